//! The candidates: which ports to try, and why others are excluded.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::order::Order;
use crate::classify::{Class, browser, iana};
use crate::model::{Host, Protocol};
use crate::port_set::PortSet;

/// The default candidates: below the ports that any system picks by itself, and above most of those
/// that IANA has assigned.
pub const USUAL: (u16, u16) = (20_000, 29_999);

/// What Kubernetes gives to services of type NodePort, on every node (`--service-node-port-range`
/// of kube-apiserver).
const NODE_PORTS: (u16, u16) = (30_000, 32_767);

/// Above the well-known ports, which belong to services of the system.
const BEYOND_WELL_KNOWN: (u16, u16) = (1024, u16::MAX);

/// What the user says about the ports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wanted {
    /// Only these, even if others may claim them; the default if `None`.
    pub range: Option<PortSet>,
    /// None of these, not even a preferred one.
    pub exclude: PortSet,
    /// Only ports of this class.
    pub class: Option<Class>,
    /// These first, in this order, even if they are excluded: whoever names a port knows it.
    pub preferred: Vec<u16>,
    /// As close to this one as possible.
    pub near: Option<u16>,
}

impl Wanted {
    /// The ports to choose from, before any are excluded.
    pub fn span(&self) -> PortSet {
        let class = self.class.map(Class::range);
        let span = match (&self.range, class, self.near) {
            (Some(range), None, _) => range.clone(),
            (Some(range), Some(class), _) => range.intersect(class),
            (None, Some(class), _) => [class].into_iter().collect(),
            // The default ports are not near 8080.
            (None, None, Some(_)) => [BEYOND_WELL_KNOWN].into_iter().collect(),
            (None, None, None) => [USUAL].into_iter().collect(),
        };
        span.without(&self.exclude)
    }

    /// The preferred ports, each once.
    fn preferred(&self) -> Vec<u16> {
        let mut ports = Vec::new();
        for &port in &self.preferred {
            if !ports.contains(&port) && !self.exclude.contains(port) {
                ports.push(port);
            }
        }
        ports
    }
}

/// Why a port was not picked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Reason {
    /// Any outgoing connection may take it (`ip_local_port_range`).
    Ephemeral,
    /// The administrator keeps it for a server (`ip_local_reserved_ports`).
    Reserved,
    /// Kubernetes may forward it to a service.
    NodePort,
    /// IANA has assigned it to a service.
    Assigned,
    /// Browsers refuse it.
    BrowserRefused,
    /// Another caller of `portcheck free` has it.
    Leased,
    /// A socket holds it.
    InUse,
    /// This process may not bind it.
    NotPermitted,
}

impl Reason {
    /// The reason in words, behind a number of ports.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ephemeral => "in the ephemeral range",
            Self::Reserved => "in ip_local_reserved_ports",
            Self::NodePort => "among Kubernetes' node ports",
            Self::Assigned => "assigned by IANA",
            Self::BrowserRefused => "refused by browsers",
            Self::Leased => "leased to others",
            Self::InUse => "in use",
            Self::NotPermitted => "may not be bound",
        }
    }
}

/// Who may claim a port, even if it is free now.
struct Claims<'a> {
    host: &'a Host,
    assigned: PortSet,
}

impl<'a> Claims<'a> {
    fn on(span: &PortSet, protocols: &[Protocol], host: &'a Host) -> Self {
        let of_range = |&(first, last): &(u16, u16)| iana::assigned(first, last, protocols);
        let assigned = span.ranges().iter().flat_map(of_range).map(|port| (port, port)).collect();
        Self { host, assigned }
    }

    /// The first reason not to pick a port that the user did not name.
    fn reason_against(&self, port: u16) -> Option<Reason> {
        if self.host.ephemeral_range.is_some_and(|(first, last)| (first..=last).contains(&port)) {
            Some(Reason::Ephemeral)
        } else if self.host.reserved_ports.contains(port) {
            Some(Reason::Reserved)
        } else if (NODE_PORTS.0..=NODE_PORTS.1).contains(&port) {
            Some(Reason::NodePort)
        } else if self.assigned.contains(port) {
            Some(Reason::Assigned)
        } else {
            browser::refuses(port).then_some(Reason::BrowserRefused)
        }
    }

    /// How late to try a port of `--range`. The likelier somebody claims it, the later.
    fn reluctance(&self, port: u16) -> u8 {
        match self.reason_against(port) {
            None | Some(Reason::Leased | Reason::InUse | Reason::NotPermitted) => 0,
            Some(Reason::Assigned) => 1,
            Some(Reason::BrowserRefused) => 2,
            Some(Reason::NodePort) => 3,
            Some(Reason::Reserved) => 4,
            // The kernel does not give reserved ports to connections.
            Some(Reason::Ephemeral) if self.host.reserved_ports.contains(port) => 4,
            // connect(2) tries even ports first, and odd ones only if none is left.
            Some(Reason::Ephemeral) => 6 - u8::from(port % 2 == 1),
        }
    }
}

/// The candidates, and the ports that were excluded from the start.
#[derive(Debug, Clone)]
pub struct Pool {
    /// The ports to choose from, before anything is excluded.
    pub span: PortSet,
    /// How many candidates there are.
    pub size: usize,
    /// The ports of `span` that were excluded, each once, by the first reason that applies. None of
    /// those that `--range` names.
    pub excluded: Vec<(Reason, PortSet)>,
    preferred: std::vec::IntoIter<u16>,
    /// Sorted by reluctance, then rank.
    others: BinaryHeap<Reverse<(u8, u64, u16)>>,
}

impl Pool {
    /// The candidates for sockets of `protocols` on this machine, in order.
    pub fn new(wanted: &Wanted, order: Order, protocols: &[Protocol], host: &Host) -> Self {
        let span = wanted.span();
        let claims = Claims::on(&span, protocols, host);
        let preferred = wanted.preferred();
        let mut others = Vec::new();
        let mut excluded: BTreeMap<Reason, Vec<(u16, u16)>> = BTreeMap::new();
        let ports = span.ranges().iter().flat_map(|&(first, last)| first..=last);
        for port in ports.filter(|port| !preferred.contains(port)) {
            match claims.reason_against(port) {
                Some(reason) if wanted.range.is_none() => excluded.entry(reason).or_default().push((port, port)),
                _ => others.push(Reverse((claims.reluctance(port), order.rank(port), port))),
            }
        }
        Self {
            span,
            size: preferred.len() + others.len(),
            excluded: excluded.into_iter().map(|(reason, ports)| (reason, ports.into_iter().collect())).collect(),
            preferred: preferred.into_iter(),
            others: others.into(),
        }
    }
}

/// The candidates, the best first.
impl Iterator for Pool {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        self.preferred.next().or_else(|| self.others.pop().map(|Reverse((.., port))| port))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::host;

    fn pool(wanted: &Wanted) -> Pool {
        Pool::new(wanted, wanted.near.map_or(Order::Scattered(1), Order::Near), &Protocol::ALL, &host())
    }

    fn counts(pool: &Pool) -> Vec<(Reason, usize)> {
        pool.excluded.iter().map(|(reason, ports)| (*reason, ports.len())).collect()
    }

    #[test]
    fn the_usual_ports_are_those_that_nobody_has_a_claim_on() {
        let pool = pool(&Wanted::default());
        assert_eq!(pool.size + pool.excluded.iter().map(|(_, ports)| ports.len()).sum::<usize>(), 10_000);
        assert_eq!(counts(&pool).iter().map(|(reason, _)| *reason).collect::<Vec<_>>(), [Reason::Assigned]);
        let candidates: BTreeSet<u16> = pool.collect();
        assert!(!candidates.contains(&20000) && !candidates.contains(&25000), "dnp and icl-twobase1");
        assert!(candidates.contains(&20010) && candidates.iter().all(|port| (20_000..30_000).contains(port)));
    }

    #[test]
    fn each_port_is_excluded_once_and_for_the_first_reason() {
        let host = Host { reserved_ports: [(30_000, 30_001), (40_000, 40_000)].into_iter().collect(), ..host() };
        let exclude = [(1, 29_989), (40_001, u16::MAX)].into_iter().collect();
        let wanted = Wanted { near: Some(30_000), exclude, ..Wanted::default() };
        let pool = Pool::new(&wanted, Order::Scattered(1), &Protocol::ALL, &host);
        // IANA has nothing in 29990-29998.
        assert_eq!(
            counts(&pool),
            [
                (Reason::Ephemeral, 40_000 - 32_767),
                (Reason::Reserved, 2),
                (Reason::NodePort, 2766),
                (Reason::Assigned, 1)
            ]
        );
        assert_eq!(pool.size, 9);
    }

    /// Once `--range 5000-5010` had no port at all.
    #[test]
    fn a_range_that_is_asked_for_is_obeyed_and_what_others_may_claim_comes_last() {
        let of =
            |first, last| pool(&Wanted { range: Some([(first, last)].into_iter().collect()), ..Wanted::default() });
        let assigned = of(5000, 5010);
        assert_eq!((assigned.size, &assigned.excluded[..]), (11, &[][..]));
        let is_assigned: Vec<bool> =
            assigned.map(|port| iana::assigned(port, port, &Protocol::ALL).next().is_some()).collect();
        assert!(is_assigned.is_sorted() && is_assigned[10], "{is_assigned:?}");
        let mixed: Vec<u16> = of(32_760, 32_771).collect();
        assert!(mixed[..8].iter().all(|port| (32_760..=32_767).contains(port)), "{mixed:?}");
        assert!(mixed[8..10].iter().all(|port| [32_769, 32_771].contains(port)), "{mixed:?}");
    }

    #[test]
    fn what_is_excluded_is_never_picked() {
        let exclude: PortSet = [(20_010, 20_012), (8080, 8080)].into_iter().collect();
        let range = Some([(20_010, 20_014)].into_iter().collect());
        let pool = pool(&Wanted { range, exclude, preferred: vec![8080, 20_013], ..Wanted::default() });
        assert_eq!((pool.span.ranges(), pool.size), (&[(20_013, 20_014)][..], 2));
        assert_eq!(pool.collect::<Vec<_>>(), [20_013, 20_014]);
    }

    #[test]
    fn browsers_and_classes_count() {
        let wanted = Wanted { near: Some(6667), ..Wanted::default() };
        assert!(pool(&wanted).all(|port| !browser::refuses(port)));
        let wanted = Wanted { class: Some(Class::Dynamic), ..Wanted::default() };
        let dynamic = pool(&wanted);
        assert_eq!((dynamic.size, dynamic.excluded[0].0), (65_535 - 60_999, Reason::Ephemeral));
        let wanted = Wanted {
            range: Some([(49_000, 62_000)].into_iter().collect()),
            class: Some(Class::Registered),
            ..Wanted::default()
        };
        assert_eq!(pool(&wanted).span.ranges(), [(49_000, 49_151)]);
    }

    #[test]
    fn who_names_a_port_gets_it_first_whatever_it_is() {
        let wanted = Wanted {
            preferred: vec![8080, 40_000, 8080],
            range: Some([(20_010, 20_011)].into_iter().collect()),
            ..Wanted::default()
        };
        let mut pool = pool(&wanted);
        assert_eq!(pool.size, 4);
        assert_eq!((pool.next(), pool.next()), (Some(8080), Some(40_000)));
        assert_eq!(pool.by_ref().collect::<BTreeSet<_>>(), BTreeSet::from([20_010, 20_011]));
    }

    #[test]
    fn near_leaves_the_usual_range() {
        let wanted = Wanted { near: Some(8080), ..Wanted::default() };
        let nearest: Vec<u16> = pool(&wanted).take(3).collect();
        assert!(nearest.iter().all(|&port| port.abs_diff(8080) < 20), "{nearest:?}");
        assert!(!nearest.contains(&8080), "it is assigned");
        let first = pool(&Wanted { near: Some(20_010), ..Wanted::default() }).next();
        assert_eq!(first, Some(20_010));
    }
}
