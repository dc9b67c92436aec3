//! The known name that is most similar to a mistyped one.

/// The first of the `names` that differs from `typed` by one slip, ignoring case.
///
/// In words of three letters one slip makes another word (`nfs`, `nss`). Two slips turn anything
/// into anything.
pub(super) fn nearest<'a>(typed: &str, mut names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase();
    typed.chars().nth(3)?;
    let typed_letters = letters(&typed);
    names.find(|name| {
        // One slip changes the length by at most one, and adds and removes at most one letter. So
        // most names need no comparison, and an absurdly long `typed` costs nothing.
        name.len().abs_diff(typed.len()) <= 1
            && (letters(name) ^ typed_letters).count_ones() <= 2
            && strsim::osa_distance(&typed, &name.to_ascii_lowercase()) <= 1
    })
}

/// The set of letters in a word, ignoring case. Several letters share a bit, so sets may differ by
/// less than the words, but never by more.
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
    fn the_first_name_one_slip_away_is_taken() {
        let names = ["hash", "hftp", "smtp", "http"];
        assert_eq!(nearest("htpp", names.into_iter()), Some("http"));
        assert_eq!(nearest("HTTPS", names.into_iter()), Some("http"));
        // Two slips are too many. One slip is too many in a short word.
        assert_eq!(nearest("kafka", ["kazaa"].into_iter()), None);
        assert_eq!(nearest("abcdef", ["abcd"].into_iter()), None);
        assert_eq!(nearest("pk", ["8k", "pkt"].into_iter()), None);
        assert_eq!(nearest("nfs", ["nss"].into_iter()), None);
    }
}
