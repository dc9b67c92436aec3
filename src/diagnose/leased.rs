//! The verdicts on leases: `portcheck free` gave the port to somebody who may not have bound it
//! yet, or a process that is not a lease daemon has the name of its lease.

use std::time::Duration;

use super::{
    Detail, Explanation, Facts, Finding, Holder, Observation, Prominence, Remedy, RemedyKind, Rule, Severity,
    Statement, Subject, Verb,
};
use crate::model::{Client, Lease, LeaseKind, NameTaken, State};

const LEASED: Verb = Verb("is leased by", "are leased by");
const HELD: Verb = Verb("is held by", "are held by");

pub static RULE: Rule = Rule {
    code: "leased",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "`portcheck free` picked the port for somebody, and keeps it for them. Perhaps nothing is bound to it \
               yet.",
        why: "A port that was merely found free may be taken before it is used. So a caller of `portcheck free` gets \
              its port alone for a while; with --hold or a command, for as long as a process runs. For that caller and \
              the processes it starts, the lease is no conflict, but an *info*. It is an *info* for everybody once a \
              server listens on the port: then the server is the conflict.",
        detection: "An abstract unix socket of this network namespace is named after the port. The process that keeps \
                    it says for whom, and for how long.",
        remedy: "Wait until the lease ends, release it, or take another port.",
    },
    check,
};

pub static NAME_TAKEN: Rule = Rule {
    code: "lease-name-taken",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "A process that is not a lease daemon of portcheck has taken the name that a lease on this port would have.",
        why: "Any process can take the name of an abstract unix socket, by mistake or to pretend that ports are leased. It \
              prevents nobody from binding the port. Only `portcheck free` skips it.",
        detection: "The socket exists, but its process runs another program, does not answer as a lease daemon within \
                    250 ms, or says what the kernel does not confirm.",
        remedy: "Bind the port as usual. To have `portcheck free` pick it again, end that process.",
    },
    check: check_name,
};

fn check_name(facts: &Facts<'_>) -> Vec<Observation> {
    let Some(NameTaken { port, pids, uid, user }) = facts.observed.name_taken.as_deref().cloned() else {
        return Vec::new();
    };
    let holder = match &pids[..] {
        [] => Holder::Hidden { user: user.clone(), uid, supervisor: Box::default() },
        pids => Holder::Processes(pids.to_vec()),
    };
    let taken = Verb("has taken", "have taken");
    let statement = Statement::new(
        Subject::Holder(holder),
        taken,
        format!("the name of the lease on {port} without being a lease daemon"),
    );
    let mut details: Vec<_> = uid.map(|uid| ("uid", Detail::Number(uid.into()))).into_iter().collect();
    details.extend(user.map(|user| ("user", Detail::Text(user))));
    vec![Observation { pids, details, ..Observation::of(statement) }]
}

/// A lease is in the way of others, until a server listens on the port: then that is.
fn is_conflict(facts: &Facts<'_>, lease: &Lease) -> bool {
    let serves = |state: State| matches!(state, State::Listen | State::Unconnected);
    !lease.is_own && !facts.observed.sockets.iter().any(|socket| serves(socket.state))
}

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    let lease = facts.observed.lease.iter().filter(|lease| is_conflict(facts, lease));
    lease.map(|lease| observe(facts, lease)).collect()
}

/// The same of a lease that is in nobody's way.
pub fn harmless(facts: &Facts<'_>) -> Option<Finding> {
    let lease = facts.observed.lease.as_ref().filter(|lease| !is_conflict(facts, lease))?;
    let Observation { statement, prominence, pids, details, remedies: _ } = observe(facts, lease);
    let remedies = Vec::new();
    Some(Finding { code: RULE.code, severity: Severity::Info, statement, prominence, pids, details, remedies })
}

fn observe(facts: &Facts<'_>, lease: &Lease) -> Observation {
    let whom = whom(lease);
    let (verb, object) = match (lease.kind, lease.expires_in) {
        (LeaseKind::Command, _) => match &lease.pids[..] {
            [] => (LEASED, vec![" while a command runs that cannot be seen".into()]),
            [pid, ..] => {
                let command = Holder::Processes(vec![*pid]);
                (LEASED, vec![" while ".into(), command.into(), " runs".into()])
            }
        },
        (LeaseKind::Held, Some(left)) => (HELD, vec![format!("{whom}, {}", until(left, lease)).into()]),
        (_, Some(left)) => (LEASED, vec![format!("{whom}, {}", until(left, lease)).into()]),
        (_, None) => (LEASED, vec![format!("{whom}; the lease daemon does not say for how long").into()]),
    };
    let object = std::iter::once("portcheck free".into()).chain(object).collect();
    let statement = Statement { subject: Subject::port(facts), verb, object };
    let mut details = vec![("kind", Detail::Text(lease.kind.into_str().to_owned()))];
    let left = lease.expires_in.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX));
    details.extend(left.map(|left| ("expires_in_ms", Detail::Number(left))));
    details.extend(lease.uid.map(|uid| ("uid", Detail::Number(uid.into()))));
    details.extend(lease.user.clone().map(|user| ("user", Detail::Text(user))));
    if let Some(Client { name, pid, .. }) = &lease.client {
        details.push(("client", Detail::Text(name.clone())));
        details.extend(pid.map(|pid| ("client_pid", Detail::Number(pid.into()))));
    }
    Observation {
        statement,
        prominence: Prominence::Always,
        pids: lease.pids.clone(),
        details,
        remedies: release(facts, lease),
    }
}

/// ` for bash (pid 4100)`, ` for you (bash, pid 4100)`, or of one whose client is not to be seen, `
/// for user ada`.
fn whom(lease: &Lease) -> String {
    match (&lease.client, &lease.user) {
        (Some(Client { name, pid: Some(pid), .. }), _) if lease.is_own => format!(" for you ({name}, pid {pid})"),
        (Some(client), _) => format!(" for {}", name_of(client)),
        (None, Some(user)) => format!(" for user {user}"),
        (None, None) => String::new(),
    }
}

fn name_of(client: &Client) -> String {
    match client.pid {
        Some(pid) => format!("{} (pid {pid})", client.name),
        None => client.name.clone(),
    }
}

/// `for 53 s`, `for 53 s or until that ends`.
fn until(left: Duration, lease: &Lease) -> String {
    // Rounded up: a lease that has not ended never has 0 s left.
    let seconds = left.as_millis().div_ceil(1000);
    let ends = lease.client.as_ref().is_some_and(|client| client.ends_lease);
    format!("for {seconds} s{}", if ends { " or until that ends" } else { "" })
}

/// How to end a lease. A command's lease ends with the command, and other findings say how to end
/// that.
fn release(facts: &Facts<'_>, lease: &Lease) -> Vec<Remedy> {
    if lease.kind == LeaseKind::Command {
        return Vec::new();
    }
    let is_ours = facts.host.euid == Some(0) || lease.uid.is_none() || lease.uid == facts.host.euid;
    let sudo = (!is_ours).then_some("sudo");
    let port = facts.observed.port.to_string();
    let command = sudo.into_iter().chain([facts.program, "release", &port]);
    vec![Remedy::run(RemedyKind::ReleaseLease, "release it", command)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::{Finding, Observed, Status, diagnose};
    use crate::model::{Process, Protocol};
    use crate::prose::sentence;
    use crate::testing::{host, process};

    fn lease() -> Lease {
        Lease {
            port: 62893,
            kind: LeaseKind::Reserved,
            uid: Some(1000),
            user: Some("ada".to_owned()),
            pids: vec![4300],
            client: Some(Client { name: "bash".to_owned(), pid: Some(4100), ends_lease: false }),
            expires_in: Some(Duration::from_millis(52_001)),
            is_own: false,
        }
    }

    /// The only finding on a port with nothing but a lease.
    fn finding(lease: &Lease, processes: &[Process]) -> Finding {
        let observed = Observed { lease: Some(Box::new(lease.clone())), ..Observed::of(62893, Protocol::Tcp) };
        let found = diagnose(&Facts { processes, ..Facts::of(&observed, &host()) });
        assert_eq!((found.len(), found[0].code, Status::of(&found)), (1, "leased", Status::Held), "{found:?}");
        found[0].clone()
    }

    #[test]
    fn it_tells_for_whom_and_how_long_and_how_to_end_it() {
        let found = finding(&lease(), &[]);
        assert_eq!(sentence(&found, &[]), "62893/tcp is leased by portcheck free for bash (pid 4100), for 53 s");
        assert_eq!((&found.pids[..], found.remedies.len()), (&[4300][..], 1));
        assert_eq!(found.remedies[0].command.clone().unwrap().join(" "), "portcheck release 62893");
        let theirs = finding(&Lease { uid: Some(0), ..lease() }, &[]);
        assert_eq!(theirs.remedies[0].command.clone().unwrap().join(" "), "sudo portcheck release 62893");
    }

    #[test]
    fn it_is_no_conflict_for_its_own_caller_nor_beside_a_server() {
        let found = |lease: Lease, sockets: Vec<crate::model::Socket>| {
            let observed = Observed { lease: Some(Box::new(lease)), sockets, ..Observed::of(62893, Protocol::Tcp) };
            diagnose(&Facts::of(&observed, &host()))
        };
        let own = found(Lease { is_own: true, ..lease() }, Vec::new());
        let codes =
            |found: &[Finding]| found.iter().map(|finding| (finding.code, finding.severity)).collect::<Vec<_>>();
        assert_eq!(
            (codes(&own), Status::of(&own)),
            (vec![("leased", Severity::Info), ("free", Severity::Info)], Status::Free)
        );
        let summary = "62893/tcp is leased by portcheck free for you (bash, pid 4100), for 53 s";
        assert_eq!(sentence(&own[0], &[]), summary);
        let served = found(lease(), vec![crate::testing::owned("127.0.0.1:62893", &[42])]);
        assert_eq!(codes(&served)[..2], [("listener", Severity::Conflict), ("leased", Severity::Info)]);
    }

    #[test]
    fn a_taken_name_is_a_warning() {
        let taken = NameTaken { port: 62893, pids: vec![42], uid: Some(1000), user: Some("ada".to_owned()) };
        for (taken, who) in [
            (taken.clone(), "squatter (pid 42)"),
            (NameTaken { pids: Vec::new(), ..taken }, "a hidden process of user ada"),
        ] {
            let observed = Observed { name_taken: Some(Box::new(taken)), ..Observed::of(62893, Protocol::Tcp) };
            let processes = [process(42, 1, "squatter")];
            let found = diagnose(&Facts { processes: &processes, ..Facts::of(&observed, &host()) });
            let codes: Vec<&str> = found.iter().map(|finding| finding.code).collect();
            assert_eq!((codes, Status::of(&found)), (vec!["lease-name-taken", "free"], Status::Free));
            let summary = format!("{who} has taken the name of the lease on 62893 without being a lease daemon");
            assert_eq!(sentence(&found[0], &processes), summary);
        }
    }

    #[test]
    fn each_kind_is_told_as_what_it_is() {
        let client = Some(Client { name: "bash".to_owned(), pid: None, ends_lease: true });
        let held = Lease { kind: LeaseKind::Held, client, ..lease() };
        let summary = sentence(&finding(&held, &[]), &[]);
        assert_eq!(summary, "62893/tcp is held by portcheck free for bash, for 53 s or until that ends");

        let command = Lease { kind: LeaseKind::Command, client: None, expires_in: None, ..lease() };
        let found = finding(&command, &[process(4300, 4100, "make")]);
        assert_eq!(
            sentence(&found, &[process(4300, 4100, "make")]),
            "62893/tcp is leased by portcheck free while make (pid 4300) runs"
        );
        assert!(found.remedies.is_empty(), "it ends with the command");
        let unseen = sentence(&finding(&Lease { pids: Vec::new(), ..command }, &[]), &[]);
        assert!(unseen.ends_with("while a command runs that cannot be seen"), "{unseen}");
    }
}
