//! The verdicts `privileged-port` and `sandbox-denied`: nobody holds the port, but it may not be
//! bound.

use super::{
    Detail, Explanation, Facts, Observation, Phrase, Remedy, RemedyKind, Rule, Severity, Statement, Subject, Verb,
    Verdict, excluded,
};
use crate::model::Protocol;
use crate::probe::Outcome;

pub static PRIVILEGED: Rule = Rule {
    code: "privileged-port",
    severity: Severity::Blocked,
    explanation: Explanation {
        what: "The port is below the first one that may be bound without privilege, and you have none.",
        why: "Ports below net.ipv4.ip_unprivileged_port_start (1024 unless changed) need CAP_NET_BIND_SERVICE.",
        detection: "bind fails with EACCES, and the port is below that limit.",
        remedy: "Give the program the capability, lower the limit, or take a port above it. A unit of systemd gets it by \
                 AmbientCapabilities=CAP_NET_BIND_SERVICE.",
    },
    check: |facts| {
        let Some(start) = facts.host.unprivileged_start.filter(|&start| facts.observed.port < start) else {
            return Vec::new();
        };
        if !facts.fails_with(Outcome::AccessDenied) {
            return Vec::new();
        }
        vec![Observation {
            details: vec![("unprivileged_start", Detail::Number(start.into()))],
            remedies: allow(facts),
            ..Observation::of(Statement::new(
                Subject::port(facts),
                Verb("needs", "need"),
                format!("privilege: only root may bind ports below {start}"),
            ))
        }]
    },
};

/// Whether a port is blocked only because we lack the privilege to bind it.
pub fn is_for_want_of_privilege(verdict: &Verdict) -> bool {
    let mut blocking = verdict.findings.iter().filter(|finding| finding.severity <= Severity::Unknown).peekable();
    blocking.peek().is_some() && blocking.all(|finding| finding.code == PRIVILEGED.code)
}

fn allow(facts: &Facts<'_>) -> Vec<Remedy> {
    if facts.host.os == "macos" {
        return vec![Remedy::advice(
            RemedyKind::TakeAnother,
            "bind the wildcard address, which macOS lets everyone do, or start the server as root",
        )];
    }
    let program = ["sudo", "setcap", "cap_net_bind_service=+ep", "/path/to/program"];
    let setting = format!("net.ipv4.ip_unprivileged_port_start={}", facts.observed.port);
    vec![
        Remedy::run(RemedyKind::ChangeSetting, "allow one program to bind it", program),
        Remedy::run(RemedyKind::ChangeSetting, "allow everyone to bind it", ["sudo", "sysctl", &setting]),
    ]
}

pub static SANDBOX: Rule = Rule {
    code: "sandbox-denied",
    severity: Severity::Blocked,
    explanation: Explanation {
        what: "A sandbox around this process does not let it bind the port.",
        why: "It is Landlock or SELinux (EACCES), a seccomp filter (either error), or a BPF program of the cgroup, \
              such as systemd's SocketBindDeny= (EPERM). Whoever started the process, or its container, set it up.",
        detection: "bind fails with EACCES above the privileged ports, or with EPERM. Which sandbox it is follows from \
                    what the system shows: BPF programs attached to the cgroup (root may ask), Seccomp: 2 and \
                    NoNewPrivs: 1 in /proc/self/status, SELinux in enforcing mode. Landlock forbids TCP only.",
        remedy: "Loosen the sandbox where it was set up, or try outside of it: a server outside may be able to bind.",
    },
    check: |facts| {
        let is_privileged = facts.host.unprivileged_start.is_some_and(|start| facts.observed.port < start);
        let denied = |outcome: Outcome| facts.answers().any(|attempt| attempt.outcome == outcome);
        let outcome = if denied(Outcome::NotPermitted) {
            Outcome::NotPermitted
        } else if denied(Outcome::AccessDenied) && !is_privileged {
            Outcome::AccessDenied
        } else {
            return Vec::new();
        };
        if excluded::range_of(facts).is_some() {
            return Vec::new();
        }
        let errno = outcome.errno().unwrap_or_default();
        let suspects = suspects(facts, outcome);
        let sandbox = if suspects.is_empty() {
            "a sandbox".to_owned()
        } else {
            suspects.iter().map(|suspect| suspect.name).collect::<Vec<_>>().join(" or ")
        };
        let mut details = vec![("errno", Detail::Text(errno.to_string()))];
        // If there are several, it is not known which one.
        if let [only] = &suspects[..] {
            details.push(("mechanism", Detail::Text(only.mechanism.to_owned())));
        }
        let mut remedies: Vec<Remedy> =
            suspects.iter().map(|suspect| Remedy::advice(RemedyKind::ChangeSetting, suspect.remedy)).collect();
        remedies.push(Remedy::advice(RemedyKind::FindHolder, "or try outside of it"));
        vec![Observation {
            details,
            remedies,
            ..Observation::of(
                Statement::new(Subject::Thing(sandbox), Verb("does not let", "do not let"), "this process bind ")
                    .and(Phrase::port(facts))
                    .and(format!(": {errno}")),
            )
        }]
    },
};

/// A sandbox that may be the reason.
struct Suspect {
    mechanism: &'static str,
    name: &'static str,
    remedy: &'static str,
}

const SECCOMP: Suspect = Suspect {
    mechanism: "seccomp",
    name: "a seccomp filter",
    remedy: "let the filter allow bind(2): SystemCallFilter= of a unit, --security-opt seccomp= of a container",
};
const CGROUP_BPF: Suspect = Suspect {
    mechanism: "cgroup-bpf",
    name: "a BPF program of its cgroup",
    remedy: "allow the port in what attached the program: SocketBindAllow= and SocketBindDeny= of a systemd unit",
};
const LANDLOCK: Suspect = Suspect {
    mechanism: "landlock",
    name: "Landlock",
    remedy: "allow the port (LANDLOCK_ACCESS_NET_BIND_TCP) in the program that restricted itself or its children",
};
const SELINUX: Suspect = Suspect {
    mechanism: "selinux",
    name: "SELinux",
    remedy: "give the port a type that the server may bind (semanage port)",
};

/// The sandboxes here that refuse a bind with that error.
fn suspects(facts: &Facts<'_>, outcome: Outcome) -> Vec<Suspect> {
    let Some(sandbox) = &facts.circumstances.sandbox else { return Vec::new() };
    let is_filtered = sandbox.is_filtered == Some(true);
    let mut suspects = Vec::new();
    if outcome == Outcome::NotPermitted {
        // If the programs cannot be listed, they are the reason if nothing else is.
        if sandbox.bind_programs.map_or(!is_filtered, |count| count > 0) {
            suspects.push(CGROUP_BPF);
        }
    } else {
        if sandbox.selinux_enforces {
            suspects.push(SELINUX);
        }
        // Without CAP_SYS_ADMIN, only a process that has given up new privileges can be restricted
        // (landlock(7)).
        let can_be_restricted = sandbox.no_new_privileges != Some(false) || facts.host.euid == Some(0);
        if facts.observed.protocol == Protocol::Tcp && can_be_restricted {
            suspects.push(LANDLOCK);
        }
    }
    if is_filtered {
        suspects.push(SECCOMP);
    }
    suspects
}
