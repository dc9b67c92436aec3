//! The known name that is most like a mistyped one.

/// The first of the `names` at the smallest distance from `typed`, case aside; `None` if all of
/// them are far from it.
///
/// Among up to five letters too much is two slips from anything (`kazaa` from `kafka`), so short
/// words are allowed one slip and longer ones two.
pub(super) fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase();
    let mut allowed = if typed.len() <= 5 { 1 } else { 2 };
    let mut best = None;
    for name in names {
        // A difference in length is a distance at least as large: most names need no comparison,
        // and an absurdly long `typed` costs nothing.
        if name.len().abs_diff(typed.len()) > allowed {
            continue;
        }
        let distance = strsim::osa_distance(&typed, &name.to_ascii_lowercase());
        if distance <= allowed {
            best = Some(name);
            if distance == 0 {
                break;
            }
            // From here on only a nearer name will do.
            allowed = distance - 1;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_nearest_names_is_taken() {
        let names = ["hash", "hftp", "smtp", "http"];
        assert_eq!(nearest("htp", names.into_iter()), Some("hftp"));
        assert_eq!(nearest("http", names.into_iter()), Some("http"));
        // Two slips from a short word are too many, from a longer one not.
        assert_eq!(nearest("kafka", ["kazaa"].into_iter()), None);
        assert_eq!(nearest("abcdef", ["abcd"].into_iter()), Some("abcd"));
    }
}
