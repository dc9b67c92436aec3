//! A set of port numbers as ranges, the form in which the kernel can be asked for them.

use std::fmt;

/// A set of port numbers: sorted ranges that neither overlap nor touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PortSet {
    ranges: Vec<(u16, u16)>,
}

const EVERY_PORT: (u16, u16) = (1, u16::MAX);

impl PortSet {
    /// Every port. Port 0 means no port, and is never in a set that a person asks for.
    pub fn all() -> Self {
        Self { ranges: vec![EVERY_PORT] }
    }

    /// Whether this is every port, so that no filter is needed.
    pub fn is_all(&self) -> bool {
        self.ranges == [EVERY_PORT]
    }

    /// Whether no port is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether `port` is in it.
    pub fn contains(&self, port: u16) -> bool {
        let after = self.ranges.partition_point(|&(first, _)| first <= port);
        after > 0 && port <= self.ranges[after - 1].1
    }

    /// How many ports are in it.
    pub fn len(&self) -> usize {
        self.ranges.iter().map(|&(first, last)| usize::from(last - first) + 1).sum()
    }

    /// The ports of it from `first` to `last`.
    pub fn intersect(&self, (first, last): (u16, u16)) -> Self {
        let cut = |&(from, to): &(u16, u16)| (from.max(first), to.min(last));
        Self { ranges: self.ranges.iter().map(cut).filter(|(from, to)| from <= to).collect() }
    }

    /// The ports of it that are not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        let ports = self.ranges.iter().flat_map(|&(first, last)| first..=last);
        ports.filter(|&port| !other.contains(port)).map(|port| (port, port)).collect()
    }

    /// The first and last port of each range, ascending.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }
}

/// Writes it as the kernel does: `8080,9000-9010`.
impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, &(first, last)) in self.ranges.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

/// Takes ranges in any order, as first and last port.
impl FromIterator<(u16, u16)> for PortSet {
    fn from_iter<I: IntoIterator<Item = (u16, u16)>>(ranges: I) -> Self {
        let mut sorted: Vec<(u16, u16)> = ranges.into_iter().collect();
        sorted.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match merged.last_mut() {
                Some(previous) if u32::from(first) <= u32::from(previous.1) + 1 => previous.1 = previous.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self { ranges: merged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_overlap_or_touch_become_one() {
        let set: PortSet = [(80, 80), (3000, 3010), (81, 90), (3005, 3020)].into_iter().collect();
        assert_eq!(set.ranges(), [(80, 90), (3000, 3020)]);
    }

    #[test]
    fn it_is_written_as_the_kernel_writes_it() {
        let set: PortSet = [(9000, 9010), (8080, 8080)].into_iter().collect();
        assert_eq!(set.to_string(), "8080,9000-9010");
        assert_eq!(PortSet::default().to_string(), "");
    }

    #[test]
    fn a_cut_keeps_what_lies_inside() {
        let set: PortSet = [(10, 20), (30, 40), (50, 60)].into_iter().collect();
        assert_eq!(set.intersect((15, 50)).ranges(), [(15, 20), (30, 40), (50, 50)]);
        assert_eq!((set.len(), set.intersect((21, 29)).len(), PortSet::all().len()), (33, 0, 65_535));
    }

    #[test]
    fn what_is_taken_out_is_gone() {
        let set: PortSet = [(10, 20), (65_534, 65_535)].into_iter().collect();
        let out = [(1, 10), (15, 16), (65_535, 65_535)].into_iter().collect();
        assert_eq!(set.without(&out).ranges(), [(11, 14), (17, 20), (65_534, 65_534)]);
        assert_eq!((set.without(&PortSet::default()), set.without(&PortSet::all())), (set, PortSet::default()));
    }

    #[test]
    fn the_last_port_does_not_overflow() {
        let set: PortSet = [(65535, 65535), (65535, 65535), (0, 0)].into_iter().collect();
        assert_eq!(set.ranges(), [(0, 0), (65535, 65535)]);
    }

    #[test]
    fn contains_is_exact_at_the_borders() {
        let set: PortSet = [(10, 20), (30, 30)].into_iter().collect();
        let inside: Vec<u16> = (0..=40).filter(|&port| set.contains(port)).collect();
        let expected: Vec<u16> = (10..=20).chain([30]).collect();
        assert_eq!(inside, expected);
        assert!(!PortSet::default().contains(0));
        assert!(!PortSet::all().contains(0) && PortSet::all().contains(1) && PortSet::all().contains(u16::MAX));
    }
}
