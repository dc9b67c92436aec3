//! The verdicts `privileged-port` and `sandbox-denied`: nobody holds the port, and still it may not be bound.

use super::{Detail, Explanation, Observation, Remedy, Rule, Severity};
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
        let Some(start) = facts.host.unprivileged_start.filter(|&start| facts.port < start) else { return Vec::new() };
        if !facts.fails_with(Outcome::AccessDenied) {
            return Vec::new();
        }
        let remedy = |text: &str, command: String| Remedy { text: text.to_owned(), command: Some(command) };
        vec![Observation {
            summary: format!("{} needs privilege: ports below {start} may not be bound by everyone", facts.port_name()),
            details: vec![("unprivileged_start", Detail::Number(start.into()))],
            remedies: vec![
                remedy("allow it to one program", "sudo setcap cap_net_bind_service=+ep /path/to/program".to_owned()),
                remedy(
                    "allow it to everyone",
                    format!("sudo sysctl net.ipv4.ip_unprivileged_port_start={}", facts.port),
                ),
            ],
            ..Observation::default()
        }]
    },
};

pub static SANDBOX: Rule = Rule {
    code: "sandbox-denied",
    severity: Severity::Blocked,
    explanation: Explanation {
        what: "A sandbox around this process does not let it bind the port.",
        why: "Landlock or SELinux (EACCES), a seccomp filter or a BPF program of the cgroup, such as systemd's \
              SocketBindDeny= (EPERM).",
        detection: "bind fails with EACCES above the privileged ports, or with EPERM.",
        remedy: "Loosen what set the sandbox up, or ask outside of it.",
    },
    check: |facts| {
        let is_privileged = facts.host.unprivileged_start.is_some_and(|start| facts.port < start);
        let denied = |outcome: Outcome| facts.answers().find(|attempt| attempt.outcome == outcome);
        let found = denied(Outcome::NotPermitted)
            .or_else(|| denied(Outcome::AccessDenied).filter(|_| !is_privileged))
            .and_then(|attempt| attempt.outcome.errno());
        let Some(errno) = found else { return Vec::new() };
        vec![Observation {
            summary: format!("a sandbox does not let this process bind {}: {errno}", facts.port_name()),
            details: vec![("errno", Detail::Text(errno.to_owned()))],
            remedies: vec![Remedy {
                text: "loosen what set the sandbox up, or ask outside of it".to_owned(),
                command: None,
            }],
            ..Observation::default()
        }]
    },
};
