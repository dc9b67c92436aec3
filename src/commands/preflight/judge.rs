//! Whether the ports are available: one look at the machine for all of them, and the ordinary rules.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::Path;

use super::wanted::{Asked, Fault, Wanted};
use super::{Failure, Report, Row, Standing, collisions, own, suggest};
use crate::commands::check;
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{Status, is_for_want_of_privilege};
use crate::model::Protocol;
use crate::port_set::PortSet;
use crate::request::Request;
use crate::target::Target;

/// The most ports that are looked at, those of ranges of which one will do included.
const MOST: usize = 200_000;

/// Judges what the files ask for.
pub fn judge(request: &Request, wanted: Vec<Wanted>, files: usize) -> Result<Report, Failure> {
    let targets = targets(&wanted)?;
    let request = &Request { targets, ..request.clone() };
    let diagnosis = if request.targets.is_empty() {
        Diagnosis::of_no_ports(crate::collect::host(request.backend))
    } else {
        let (ports, snapshot) = check::observe(request)?;
        Diagnosis::judge(request, ports, snapshot)
    };
    let is_rootless = is_engine_rootless(diagnosis.host.euid);
    let judge = Judge { index: index(&diagnosis), diagnosis: &diagnosis, is_rootless };
    let mut rows: Vec<Row> = wanted.into_iter().map(|wanted| judge.row(wanted)).collect();
    collisions::mark(&mut rows);
    judge.choose(&mut rows);
    for (at, row) in rows.iter_mut().enumerate() {
        // Of those that ask for a port that others hold, the first one is held up by these.
        let is_first = row.collides_with.is_some_and(|other| other > at);
        if row.collides_with.is_some() && (!is_first || row.is_fine()) {
            row.standing = Standing::Collision;
        }
    }
    suggest::add(&mut rows, &diagnosis.host);
    Ok(Report { diagnosis, rows, files })
}

/// Where ports are asked for.
type Place = (Option<IpAddr>, Protocol);

/// The first and last port of each range.
type Ranges = Vec<(u16, u16)>;

/// What to look at: each port once, neighbours together.
fn targets(wanted: &[Wanted]) -> Result<Vec<Target>, Fault> {
    let mut places: BTreeMap<Place, Ranges> = BTreeMap::new();
    let mut left = MOST;
    for one in wanted {
        let range = match one.port {
            Asked::One(port) => (port, port),
            Asked::AnyOf(first, last) => (first, last),
            Asked::Unresolved(_) => continue,
        };
        let too_many = || Fault::at(&one.file, one.spot, format!("more than {MOST} ports are asked for"));
        left = left.checked_sub(usize::from(range.1 - range.0) + 1).ok_or_else(too_many)?;
        places.entry((one.address, one.protocol)).or_default().push(range);
    }
    let target = |(address, protocol): Place, (first, last): (u16, u16)| Target {
        first,
        last,
        protocol: Some(protocol),
        addresses: address.into_iter().collect(),
        zone: None,
    };
    let ranges = |(place, ranges): (Place, Ranges)| {
        let ports: PortSet = ranges.into_iter().collect();
        ports.ranges().iter().map(|&range| target(place, range)).collect::<Vec<_>>()
    };
    Ok(places.into_iter().flat_map(ranges).collect())
}

type Index = HashMap<(u16, Protocol, Option<IpAddr>), usize>;

/// Where the report on each port is.
fn index(diagnosis: &Diagnosis) -> Index {
    let key = |(at, port): (usize, &crate::diagnose::PortReport)| {
        ((port.observed.port, port.observed.protocol, port.observed.addresses.first().copied()), at)
    };
    diagnosis.ports.iter().enumerate().map(key).collect()
}

struct Judge<'a> {
    diagnosis: &'a Diagnosis,
    index: Index,
    is_rootless: bool,
}

impl Judge<'_> {
    /// A row, without what the others mean for it. Of a range, the first port.
    fn row(&self, wanted: Wanted) -> Row {
        let port = match wanted.port {
            Asked::One(port) => Some(port),
            Asked::AnyOf(..) | Asked::Unresolved(_) => None,
        };
        let standing =
            if matches!(wanted.port, Asked::Unresolved(_)) { Standing::Unresolved } else { Standing::Unknown };
        let row = Row {
            wanted,
            port: None,
            standing,
            report: None,
            is_own: false,
            collides_with: None,
            is_bound_by_root: false,
            suggestion: None,
            substitute: None,
        };
        match port {
            Some(port) => self.on(row, port),
            None => row,
        }
    }

    /// The row with this port, and what the diagnosis says of it.
    fn on(&self, row: Row, port: u16) -> Row {
        let wanted = &row.wanted;
        let report = self.index.get(&(port, wanted.protocol, wanted.address)).copied();
        let row = Row { port: Some(port), report, ..row };
        let Some(answered) = report.map(|at| &self.diagnosis.ports[at]) else { return row };
        let is_service = row.wanted.kind.is_bound_by_a_service() && !self.is_rootless;
        let is_bound_by_root = is_service && is_for_want_of_privilege(&answered.verdict);
        let standing = match answered.verdict.status {
            Status::Blocked if is_bound_by_root => Standing::Free,
            Status::Held => Standing::Held,
            Status::Blocked => Standing::Blocked,
            Status::Unknown => Standing::Unknown,
            Status::Free => Standing::Free,
        };
        let is_own =
            standing == Standing::Held && own::is_own(&row.wanted, &answered.observed, &self.diagnosis.processes);
        Row { standing, is_own, is_bound_by_root, ..row }
    }

    /// Gives each row that takes any port of a range the first that is available, as an engine does:
    /// one that nobody holds, and no other row asks for.
    fn choose(&self, rows: &mut [Row]) {
        let mut asked: HashMap<(u16, Protocol), Vec<Option<IpAddr>>> = HashMap::new();
        for row in rows.iter().filter(|row| row.port.is_some() && row.wanted.kind.is_started_with_others()) {
            let key = (row.port.unwrap_or_default(), row.wanted.protocol);
            asked.entry(key).or_default().push(row.wanted.address);
        }
        for row in rows.iter_mut() {
            let Asked::AnyOf(first, last) = row.wanted.port else { continue };
            let (protocol, address) = (row.wanted.protocol, row.wanted.address);
            let is_asked = |port: u16| {
                let mut others = asked.get(&(port, protocol)).into_iter().flatten();
                others.any(|&other| collisions::overlap(other, address))
            };
            let mut candidates = (first..=last).filter(|&port| !is_asked(port));
            let found = candidates.find(|&port| self.on(row.clone(), port).is_fine());
            let port = found.unwrap_or(first);
            *row = self.on(row.clone(), port);
            if row.is_fine() && is_asked(port) {
                // Others ask for every port of the range.
                row.standing = Standing::Collision;
            }
            asked.entry((port, protocol)).or_default().push(address);
        }
    }
}

/// Whether containers are run by an engine of the caller, who may bind no privileged ports.
fn is_engine_rootless(euid: Option<u32>) -> bool {
    let Some(uid) = euid.filter(|&uid| uid != 0) else { return false };
    let has = |path: &str| Path::new(path).exists();
    match std::env::var("DOCKER_HOST") {
        Ok(host) if !host.is_empty() => host.contains("/run/user/"),
        _ => !has("/run/docker.sock") && !has("/var/run/docker.sock") && has(&format!("/run/user/{uid}")),
    }
}
