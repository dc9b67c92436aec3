//! The verdict `kernel-owned`: the kernel itself holds the port.

use super::holders::groups_where;
use super::{Explanation, Facts, Observation, Rule, Severity};
use crate::model::Owners;

pub static RULE: Rule = Rule {
    code: "kernel-owned",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "The kernel holds the port itself: there is no process to end.",
        why: "A tunnel device such as vxlan or wireguard, an NFS server, or an MPTCP endpoint with a port.",
        detection: "Every process, thread, io_uring and unix socket queue could be looked at, and none has a \
                    descriptor of the socket.",
        remedy: "Remove the device or stop the subsystem that opened it.",
    },
    check,
};

fn check(facts: &Facts<'_>) -> Vec<Observation> {
    groups_where(facts, |socket| socket.owners == Owners::Kernel)
        .iter()
        .map(|group| Observation {
            summary: format!("the kernel itself holds {}", group.addresses()),
            ..Observation::default()
        })
        .collect()
}
