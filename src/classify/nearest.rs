//! The known name that is most like a mistyped one.

/// The first of the `names` at the smallest distance from `typed`, case aside; `None` if all of
/// them are far from it.
///
/// Among up to five letters too much is two slips from anything (`kazaa` from `kafka`), so short
/// words are allowed one slip and longer ones two.
pub(super) fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase();
    let typed_letters = letters(&typed);
    let mut allowed = if typed.len() <= 5 { 1 } else { 2 };
    let mut best = None;
    for name in names {
        // A difference in length is a distance at least as large: most names need no comparison,
        // and an absurdly long `typed` costs nothing.
        if name.len().abs_diff(typed.len()) > allowed {
            continue;
        }
        // One slip brings at most one letter in and one out. Comparing sets of letters first makes the search several
        // times as fast.
        if (letters(name) ^ typed_letters).count_ones() as usize > 2 * allowed {
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

/// The set of letters in a word, case aside. Several share a bit, so that sets may differ by less than the words, never by more.
fn letters(word: &str) -> u64 {
    word.chars().fold(0, |set, letter| set | 1 << (u32::from(letter.to_ascii_lowercase()) % 64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sets_of_letters_never_differ_by_more_than_two_a_slip(a in "[a-eé-]{0,8}", b in "[A-E0é日-]{0,8}") {
            let distance = strsim::osa_distance(&a, &b.to_ascii_lowercase());
            prop_assert!((letters(&a) ^ letters(&b)).count_ones() as usize <= 2 * distance, "{a} {b} {distance}");
        }
    }

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
