//! The verdict `kernel-owned`: the kernel itself holds the port.

use super::holders::groups_where;
use super::{Detail, Explanation, Observation, Remedy, RemedyKind, Rule, Severity, Verb};
use crate::model::{KernelUser, Owners};

const HOLDS: Verb = Verb("holds", "hold");

pub static RULE: Rule = Rule {
    code: "kernel-owned",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "The kernel holds the port itself: there is no process to end.",
        why: "A tunnel device such as vxlan or wireguard, an NFS server, or an MPTCP endpoint with a port.",
        detection: "No process has the socket, and a network device (rtnetlink), an MPTCP endpoint or the NFS server \
                    has the port. Or none of these has it, and every process, thread, io_uring and unix socket queue \
                    was inspected as root, and none has the socket.",
        remedy: "Remove the device or the endpoint, or stop the server.",
    },
    check: |facts| {
        groups_where(facts, |socket| {
            socket.owners == Owners::Kernel && socket.kernel_user.as_deref() != Some(&KernelUser::HttpSys)
        })
        .iter()
        .map(|group| {
            let addresses = group.addresses();
            let Some(user) = &group.sockets[0].kernel_user else {
                return Observation::about(group, HOLDS, format!("{addresses} itself"));
            };
            let (name, remedy) = describe(user);
            Observation {
                details: vec![("kernel_user", Detail::Text(name.clone()))],
                remedies: vec![remedy],
                ..Observation::about(group, HOLDS, format!("{addresses} for {name}"))
            }
        })
        .collect()
    },
};

/// Its name, and what ends it.
fn describe(user: &KernelUser) -> (String, Remedy) {
    use RemedyKind::{ChangeSetting, StopService};
    match user {
        KernelUser::Device { kind, name } => (
            format!("the {kind} device {name}"),
            Remedy::run(ChangeSetting, "remove the device", ["sudo", "ip", "link", "delete", "dev", name]),
        ),
        KernelUser::MptcpEndpoint(id) => (
            format!("MPTCP endpoint {id}"),
            Remedy::run(
                ChangeSetting,
                "remove the endpoint",
                ["sudo", "ip", "mptcp", "endpoint", "delete", "id", &id.to_string()],
            ),
        ),
        KernelUser::HttpSys => ("http.sys".to_owned(), Remedy::advice(StopService, "stop the service that uses it")),
        KernelUser::FileSharing => (
            "file sharing".to_owned(),
            Remedy::run(
                StopService,
                "stop sharing files and printers, in an elevated prompt",
                ["net", "stop", "server"],
            ),
        ),
        KernelUser::NetBios => (
            "NetBIOS over TCP/IP".to_owned(),
            Remedy::advice(ChangeSetting, "switch NetBIOS over TCP/IP off in the adapter's settings, under WINS"),
        ),
        KernelUser::Nfsd => {
            ("the NFS server".to_owned(), Remedy::run(StopService, "stop the NFS server", ["sudo", "rpc.nfsd", "0"]))
        }
    }
}
