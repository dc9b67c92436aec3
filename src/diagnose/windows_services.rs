//! The verdicts `http-sys` and `portproxy`: services of Windows that hold the port for others.

use super::holders::groups_where;
use super::statement::LISTENS;
use super::{Detail, Explanation, Observation, Prominence, Remedy, RemedyKind, Rule, Severity, Statement, Subject};
use crate::model::{KernelUser, PortProxy};

pub static HTTP_SYS: Rule = Rule {
    code: "http-sys",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "The HTTP server in the kernel of Windows (http.sys) listens on the port, for one or more programs.",
        why: "IIS, SQL Server's reports, Windows Remote Management, the print spooler and .NET programs register URLs with it. \
              Tools show its sockets as those of the process System (pid 4), which cannot be ended.",
        detection: "The listener's process is pid 4, and no other driver is known for the port (NetBIOS, SMB, NFS, \
                    PPTP).",
        remedy: "Find out who registered URLs there, and stop that service.",
    },
    check: |facts| {
        groups_where(facts, |socket| socket.kernel_user.as_deref() == Some(&KernelUser::HttpSys))
            .iter()
            .map(|group| Observation {
                remedies: vec![
                    Remedy::run(
                        RemedyKind::FindHolder,
                        "see which service it is",
                        ["netsh", "http", "show", "servicestate", "view=requestq"],
                    ),
                    Remedy::run(
                        RemedyKind::StopService,
                        "end all services that use http.sys, in an elevated prompt",
                        ["net", "stop", "http"],
                    ),
                ],
                ..Observation::of(Statement::new(
                    Subject::Thing("a driver".to_owned()),
                    LISTENS,
                    format!(
                        "{}, most likely http.sys for a service of Windows (shown as System, pid 4)",
                        group.addresses()
                    ),
                ))
            })
            .collect()
    },
};

pub static PORTPROXY: Rule = Rule {
    code: "portproxy",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "The IP Helper service listens on the port and passes connections on to another address.",
        why: "Somebody set that up with `netsh interface portproxy add`, usually to reach a server in WSL or a virtual \
              machine. The rule outlives restarts.",
        detection: "The registry has a rule under Services\\PortProxy for the address and port of the listener.",
        remedy: "Delete the rule. Ending the process would end other services of Windows with it.",
    },
    check: |facts| {
        groups_where(facts, |socket| socket.forwards_to.is_some())
            .iter()
            .filter_map(|group| Some((group, group.sockets[0].forwards_to.as_deref()?)))
            .map(|(group, PortProxy { kind, listen_address, target })| {
                let port = group.sockets[0].local.port();
                let words = ["netsh", "interface", "portproxy", "delete", kind].map(str::to_owned);
                let address = (listen_address != "*").then(|| format!("listenaddress={listen_address}"));
                let delete = words.into_iter().chain([format!("listenport={port}")]).chain(address);
                Observation {
                    pids: group.owners.pids().to_vec(),
                    details: vec![("forwards_to", Detail::Text(target.clone()))],
                    remedies: vec![
                        Remedy::run(
                            RemedyKind::FindHolder,
                            "see all such rules",
                            ["netsh", "interface", "portproxy", "show", "all"],
                        ),
                        Remedy::run(RemedyKind::ChangeSetting, "delete it, in an elevated prompt", delete),
                    ],
                    prominence: Prominence::Always,
                    statement: Statement::new(
                        Subject::Thing("netsh's portproxy".to_owned()),
                        LISTENS,
                        format!("{} and forwards to {target}", group.addresses()),
                    ),
                }
            })
            .collect()
    },
};
