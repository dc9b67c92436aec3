//! The verdict `kernel-owned`: the kernel itself holds the port.

use super::holders::groups_where;
use super::remedy::quote;
use super::{Detail, Explanation, Observation, Remedy, Rule, Severity, Verb};
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
        groups_where(facts, |socket| socket.owners == Owners::Kernel && socket.kernel_user != Some(KernelUser::HttpSys))
            .iter()
            .map(|group| {
                let addresses = group.addresses();
                let Some(user) = &group.sockets[0].kernel_user else {
                    return Observation::about(group, HOLDS, format!("{addresses} itself"));
                };
                let (name, text, command) = describe(user);
                Observation {
                    details: vec![("kernel_user", Detail::Text(name.clone()))],
                    remedies: vec![Remedy { text: text.to_owned(), command }],
                    ..Observation::about(group, HOLDS, format!("{addresses} for {name}"))
                }
            })
            .collect()
    },
};

/// Its name, and what ends it, in words and as a command.
fn describe(user: &KernelUser) -> (String, &'static str, Option<String>) {
    match user {
        KernelUser::Device { kind, name } => (
            format!("the {kind} device {name}"),
            "remove the device",
            quote(name).map(|name| format!("sudo ip link delete {name}")),
        ),
        KernelUser::MptcpEndpoint(id) => (
            format!("MPTCP endpoint {id}"),
            "remove the endpoint",
            Some(format!("sudo ip mptcp endpoint delete id {id}")),
        ),
        KernelUser::HttpSys => ("http.sys".to_owned(), "stop the service that uses it", None),
        KernelUser::FileSharing => (
            "file sharing".to_owned(),
            "stop sharing files and printers, in an elevated prompt",
            Some("net stop server".to_owned()),
        ),
        KernelUser::NetBios => (
            "NetBIOS over TCP/IP".to_owned(),
            "switch NetBIOS over TCP/IP off in the adapter's settings, under WINS",
            None,
        ),
        KernelUser::Nfsd => ("the NFS server".to_owned(), "stop the NFS server", Some("sudo rpc.nfsd 0".to_owned())),
    }
}
