//! Reads what netsh prints. Its words are in the language of the machine, so only figures and their
//! places count.

use crate::model::{ExcludedRange, Protocol};

/// The ranges of `netsh interface ipv4 show excludedportrange protocol=…`. Each has a line with its
/// first and last port, and a star if an administrator made it.
pub fn excluded_ranges(text: &str, protocol: Protocol) -> Vec<ExcludedRange> {
    let range = |line: &str| {
        let mut words = line.split_whitespace();
        let (first, last) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let is_administered = match words.next() {
            None => false,
            Some("*") => true,
            Some(_) => return None,
        };
        (first <= last).then_some(ExcludedRange { protocol, first, last, is_administered })
    };
    text.lines().filter_map(range).collect()
}

/// The range of `netsh interface ipv4 show dynamicport tcp`. Two lines end with a number: the first
/// port, and the count.
pub fn dynamic_range(text: &str) -> Option<(u16, u16)> {
    let mut numbers = text.lines().filter_map(|line| {
        // Some languages put a wide colon before it, without a space.
        let (_, number) = line.rsplit_once([':', '\u{ff1a}'])?;
        number.trim().parse::<u32>().ok()
    });
    let (first, count) = (numbers.next()?, numbers.next()?);
    let last = first.checked_add(count.checked_sub(1)?)?;
    Some((u16::try_from(first).ok()?, u16::try_from(last).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENGLISH: &str = "\r
Protocol tcp Port Exclusion Ranges\r
\r
Start Port    End Port      \r
----------    --------      \r
      1080        1179      \r
      5357        5357      \r
     50000       50059     *\r
\r
* - Administered port exclusions.\r
";
    const GERMAN: &str = "
Ausgeschlossene Portbereiche: Protokoll tcp

Startport     Endport
----------    --------
     49692       49791
     50000       50059     *

* - Verwaltete Portausschlüsse.
";
    const CHINESE: &str = "
协议 tcp 端口排除范围

开始端口    结束端口
----------    --------
      2869        2869

* - 管理的端口排除。
";

    #[test]
    fn excluded_ranges_in_several_languages() {
        let of = |text| -> Vec<(u16, u16, bool)> {
            let ranges = excluded_ranges(text, Protocol::Tcp);
            ranges.iter().map(|range| (range.first, range.last, range.is_administered)).collect()
        };
        assert_eq!(of(ENGLISH), [(1080, 1179, false), (5357, 5357, false), (50000, 50059, true)]);
        assert_eq!(of(GERMAN), [(49692, 49791, false), (50000, 50059, true)]);
        assert_eq!(of(CHINESE), [(2869, 2869, false)]);
        for nothing in ["", "The following command was not found.", "1 2 3", "9 1", "70000 70001", "-1 5"] {
            assert_eq!(of(nothing), [], "{nothing}");
        }
    }

    #[test]
    fn the_dynamic_range_in_several_languages() {
        let english = "\r\nProtocol tcp Dynamic Port Range\r\n---------------------------------\r\nStart Port      : 49152\r\n\
                       Number of Ports : 16384\r\n\r\n";
        let german = "Dynamischer Portbereich fuer Protokoll TCP\n----\nStartport              : 1025\nAnzahl von Ports       : 64510\n";
        let chinese = "协议 tcp 动态端口范围\n---\n启动端口        ：49152\n端口数          ：16384\n";
        assert_eq!(dynamic_range(english), Some((49152, 65535)));
        assert_eq!(dynamic_range(german), Some((1025, 65534)));
        assert_eq!(dynamic_range(chinese), Some((49152, 65535)));
        for nothing in ["", "a: 1", "a: 1\nb: 0", "a: 65535\nb: 2", "a: 4294967295\nb: 4294967295"] {
            assert_eq!(dynamic_range(nothing), None, "{nothing}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_printed_makes_it_panic(text in "([0-9]{1,6}|[ \t\r\n:*-]|\\PC){0,60}") {
            for range in excluded_ranges(&text, Protocol::Udp) {
                assert!(range.first <= range.last);
            }
            if let Some((first, last)) = dynamic_range(&text) {
                assert!(first <= last);
            }
        }
    }
}
