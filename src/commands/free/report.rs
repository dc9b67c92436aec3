//! The answers of `portcheck free`, `leases` and `release`.

use super::{Choice, Leases, Release};
use crate::collect;
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{Facts, Observed, PortReport, diagnose};
use crate::error::Error;
use crate::model::{Backend, Host, Lease, NameTaken, Protocol};
use crate::port_set::PortSet;
use crate::probe::Attempt;

/// What `portcheck free`, `leases` and `release` say besides the state of ports.
#[derive(Debug, Clone)]
pub struct Report {
    /// The picked ports, as the JSON reports them, and what could not be seen.
    pub diagnosis: Diagnosis,
    /// What was asked for.
    pub action: Action,
    /// The ports picked, released, or leased.
    pub ports: Vec<u16>,
    /// The leases on them; for a listing, all leases.
    pub leases: Vec<Lease>,
    /// What failed, a sentence each.
    pub problems: Vec<String>,
    /// Whether everything was done.
    pub is_done: bool,
}

/// What `portcheck free`, `leases` and `release` do.
#[derive(Debug, Clone, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Action {
    /// Pick ports from these.
    Pick(Choice),
    /// List leases.
    List,
    /// Release ports.
    Release,
}

/// A port that was picked, and what bind(2) said about it.
pub type Found = (u16, Vec<(Protocol, Attempt)>);

/// The answer to a pick that found all its ports.
pub fn picked(choice: Choice, found: &[Found], leases: Vec<Lease>, host: Host) -> Report {
    let protocols_of = |attempts: &[(Protocol, Attempt)]| {
        Protocol::ALL
            .into_iter()
            .filter(|&one| attempts.iter().any(|&(protocol, _)| protocol == one))
            .collect::<Vec<_>>()
    };
    let mut ports = Vec::new();
    for (port, attempts) in found {
        for protocol in protocols_of(attempts) {
            let attempts = attempts.iter().filter(|(one, _)| *one == protocol).map(|(_, attempt)| attempt.clone());
            ports.push(free_port(*port, protocol, attempts.collect(), &host));
        }
    }
    let gaps = choice.gaps.clone();
    Report {
        diagnosis: Diagnosis { ports, gaps, ..Diagnosis::of_no_ports(host) },
        ports: found.iter().map(|&(port, _)| port).collect(),
        leases,
        problems: choice
            .no_lease
            .iter()
            .map(|why| format!("no lease could be recorded, so another caller may get the same port: {why}"))
            .collect(),
        action: Action::Pick(choice),
        is_done: true,
    }
}

/// The report on a port that was ours a moment ago.
fn free_port(port: u16, protocol: Protocol, attempts: Vec<Attempt>, host: &Host) -> PortReport {
    let observed = Observed { attempts, ..Observed::of(port, protocol) };
    let verdict = diagnose(&Facts::of(&observed, host)).into();
    PortReport { observed, verdict }
}

/// The answer to a pick that did not find enough.
pub fn nothing_left(choice: Choice, host: Host) -> Report {
    Report {
        diagnosis: Diagnosis { gaps: choice.gaps.clone(), ..Diagnosis::of_no_ports(host) },
        problems: vec![why_nothing_is_left(&choice)],
        ports: Vec::new(),
        leases: Vec::new(),
        action: Action::Pick(choice),
        is_done: false,
    }
}

/// `no port is left of the 11 in 40000-40010: 11 in the ephemeral range`.
pub fn why_nothing_is_left(choice: &Choice) -> String {
    use super::Reason;
    let Choice { count, span, candidates, excluded, .. } = choice;
    let reasons: Vec<String> =
        excluded.iter().map(|(reason, ports)| format!("{} {}", ports.len(), reason.words())).collect();
    let is_taken = |reason: Reason| matches!(reason, Reason::Leased | Reason::InUse | Reason::NotPermitted);
    let taken: usize = excluded.iter().filter(|(reason, _)| is_taken(*reason)).map(|(_, ports)| ports.len()).sum();
    let left = candidates.saturating_sub(taken);
    let head = match (count, left) {
        (1, _) | (_, 0) => "no port is left".to_owned(),
        (_, 1) => format!("you asked for {count} ports, but only 1 is left"),
        _ => format!("you asked for {count} ports, but only {left} are left"),
    };
    let place = format!("of the {} in {}", span.len(), ranges(span));
    let why = if reasons.is_empty() { String::new() } else { format!(": {}", reasons.join(", ")) };
    // Preferred ports are picked even if they are excluded.
    let is_careful = excluded.iter().any(|(reason, _)| !is_taken(*reason));
    let hint = if is_careful { "; try another --range, or name a port with --prefer" } else { "; try another --range" };
    format!("{head} {place}{why}{hint}")
}

/// `20000-20003, 20005`.
pub fn ranges(ports: &PortSet) -> String {
    let range = |&(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ports.ranges().iter().map(range).collect::<Vec<_>>().join(", ")
}

/// Answers `portcheck leases`.
pub fn list_leases() -> Result<Report, Error> {
    let Leases { leases, taken, unasked } = super::leases(&PortSet::all())?;
    if let Some(source) = unasked {
        return Err(Error::Call { call: "asking a lease daemon", source });
    }
    let ports = leases.iter().map(|lease| lease.port).collect();
    let problems = taken.iter().map(|taken| format!("{}: {}", taken.port, name_taken(taken))).collect();
    Ok(Report { diagnosis: of_no_ports(), action: Action::List, ports, leases, problems, is_done: true })
}

/// Answers `portcheck release`.
pub fn release_leases(ports: &[u16]) -> Result<Report, Error> {
    let mut report = Report {
        diagnosis: of_no_ports(),
        action: Action::Release,
        ports: Vec::new(),
        leases: Vec::new(),
        problems: Vec::new(),
        is_done: false,
    };
    for (port, became) in super::release(ports)? {
        let problem = match became {
            Release::Done(lease) => {
                report.ports.push(port);
                report.leases.push(lease);
                continue;
            }
            Release::NotLeased => format!("{port} is not leased"),
            Release::NotOurs(lease) => {
                let user = lease.user.or_else(|| lease.uid.map(|uid| format!("uid {uid}"))).unwrap_or_default();
                format!("{port} is leased by user {user}: only that user or root can release it")
            }
            Release::OfCommand(lease) => match &lease.pids[..] {
                [] => format!("{port} is leased while a command runs that cannot be seen: end the command"),
                [pid, ..] => format!("{port} is leased while pid {pid} runs: end that process"),
            },
            Release::NameTaken(taken) => format!("{port} is not leased: {}", name_taken(&taken)),
            Release::Unanswered => format!("{port} is still leased: the lease daemon did not release it"),
        };
        report.problems.push(problem);
    }
    report.is_done = report.problems.is_empty();
    Ok(report)
}

/// The process that has the name of a lease.
fn name_taken(taken: &NameTaken) -> String {
    let who = match (&taken.pids[..], &taken.user, taken.uid) {
        ([pid, ..], _, _) => format!("pid {pid}"),
        ([], Some(user), _) => format!("a process of user {user}"),
        ([], None, Some(uid)) => format!("a process of uid {uid}"),
        ([], None, None) => "a process that cannot be seen".to_owned(),
    };
    format!("{who} has the name of the lease, and is not a lease daemon")
}

fn of_no_ports() -> Diagnosis {
    Diagnosis::of_no_ports(collect::host(Backend::Native))
}
