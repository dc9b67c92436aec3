//! What could not be seen: every kind of gap, what it hides, and what to do about it.

use super::{Pid, Protocol};

/// What a gap hides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Hides {
    /// Whole sockets: a port may be held without any trace.
    Sockets,
    /// Who holds a socket.
    Owners,
    /// Something else about a socket or process.
    Details,
}

/// What would close a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownBy {
    /// Being the superuser.
    Root,
    /// Asking for it: an option left it out.
    Asking,
    /// Nothing that portcheck could do here.
    Nothing,
}

/// Something that could not be seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// What kind of thing.
    pub kind: &'static GapKind,
    /// The protocol it concerns, if only one.
    pub protocol: Option<Protocol>,
    /// What could not be seen, and why.
    pub summary: String,
    /// What would show it.
    pub shown_by: ShownBy,
    /// The processes that could not be inspected; empty if nobody knows which.
    pub pids: Vec<Pid>,
}

impl Gap {
    /// Whether root would see owners that it hides.
    pub fn hides_owners_from_us_only(&self) -> bool {
        self.kind.hides == Hides::Owners && self.shown_by == ShownBy::Root
    }
}

/// A kind of gap. `docs/gaps.md` is made from these.
#[derive(Debug, PartialEq, Eq)]
pub struct GapKind {
    /// Stable and kebab-case: scripts compare it.
    pub code: &'static str,
    /// What it hides.
    pub hides: Hides,
    /// What cannot be seen, and why.
    pub what: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

impl GapKind {
    /// A gap of both protocols that nothing closes.
    pub fn gap(&'static self, summary: impl Into<String>) -> Gap {
        Gap { kind: self, protocol: None, summary: summary.into(), shown_by: ShownBy::Nothing, pids: Vec::new() }
    }
}

/// Makes a static of each kind, and the list of all.
macro_rules! kinds {
    ($($name:ident: $code:literal, $hides:ident, $what:literal, $remedy:literal;)*) => {
        $(pub static $name: GapKind =
            GapKind { code: $code, hides: Hides::$hides, what: $what, remedy: $remedy };)*

        /// Every kind of gap.
        #[cfg(test)]
        static KINDS: &[&GapKind] = &[$(&$name),*];
    };
}

kinds! {
    BOUND_SOCKETS_UNLISTED: "bound-sockets-unlisted", Sockets,
        "TCP sockets that are bound but not listening. Linux lists them by sock_diag since 6.8. /proc/net/tcp and \
         the portable backend list none.",
        "Let portcheck try bind (leave `--no-probe` out).";
    TABLE_CHANGED: "table-changed", Sockets,
        "Some sockets. The kernel's table changed each time it was read.",
        "Ask again, or ask for a single port.";
    ROWS_UNREADABLE: "rows-unreadable", Sockets,
        "Some sockets. netstat2 could not read their rows in the table of the system.",
        "Let portcheck try bind. On Linux, use the native backend.";
    SOCKETS_OF_OTHERS_UNLISTED: "sockets-of-others-unlisted", Sockets,
        "Sockets of other users, and those without a process. macOS lists sockets by their processes.",
        "Ask as root, and let portcheck try bind.";
    UNREADABLE_PROCESSES: "unreadable-processes", Owners,
        "What some processes have open. They belong to other users, or protect themselves.",
        "Ask as root.";
    INVISIBLE_PROCESSES: "invisible-processes", Owners,
        "The processes of other users. /proc is mounted with hidepid.",
        "Ask as root, or as a member of the group of that mount.";
    NO_PROC: "no-proc", Owners,
        "Every process. /proc is not mounted, or cannot be read.",
        "Mount it: `mount -t proc proc /proc`.";
    PID_NAMESPACE: "pid-namespace", Owners,
        "Processes outside of this pid namespace, such as those of the machine around a container.",
        "Ask outside of the container.";
    QUICK_LOOK: "quick-look", Owners,
        "Other processes with the same socket. `--quick` stops at the first one.",
        "Leave `--quick` out.";
    OTHER_NAMESPACES: "other-namespaces", Owners,
        "Without root, other network namespaces are read from /proc/PID/net. This shows neither the holders nor \
         sockets that are bound without listening, and bind is not tried. A namespace without a process is not shown \
         at all.",
        "Ask as root.";
    NETLINK_UNAVAILABLE: "netlink-unavailable", Details,
        "The device, the cgroup and IPV6_V6ONLY of sockets. A sandbox or the kernel refuses sock_diag.",
        "Allow AF_NETLINK in the sandbox.";
    NO_IPV6_TABLE: "no-ipv6-table", Details,
        "The table of IPv6 sockets. The kernel has none, nor any such sockets: it was built or started without IPv6.",
        "Nothing, unless this machine is to have IPv6.";
    LEASES_UNREAD: "leases-unread", Details,
        "Whether a port is leased, or who leased it. A sandbox refuses AF_UNIX, or the names of leases cannot be read.",
        "Allow AF_UNIX in the sandbox.";
    TABLES_UNREAD: "tables-unread", Details,
        "Whether the socket tables, too, show a picked port as free. They could not be read, so bind alone decided. \
         It overlooks sockets in another routing domain (VRF).",
        "Allow AF_NETLINK in the sandbox, or mount /proc.";
    FIREWALL_UNREAD: "firewall-unread", Details,
        "Whether a rule of the firewall sends what arrives for a port elsewhere (DNAT). Only root may read the rules, \
         and nft or iptables has to print them.",
        "Ask as root. Install nft or iptables, if a table of the firewall could not be printed.";
    REACH_UNTRIED: "reach-untried", Details,
        "Who can reach a port. Only root may read the firewall and try it on a replica of the network. Some of it cannot be \
         replayed: programs of tc and XDP, routing domains (VRF), IPsec, rules that do not load.",
        "Ask as root. The summary names what could not be replayed.";
    UNIT_FILES_LATE: "unit-files-late", Details,
        "The socket unit of systemd that opened a socket. Its files could not be read within two seconds.",
        "Find out why /etc/systemd or the home directory does not answer.";
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;
    use crate::testing::expect_file;

    #[test]
    fn the_page_of_gaps_is_current() {
        let mut page = "# Gaps\n\n\
            What portcheck could not see. The JSON has the code of each gap in `gaps[].code`.\n\
            A code never changes its meaning.\n\n\
            - A gap that hides *sockets* makes a port without any socket `unknown`, unless bind could be tried.\n\
            - A gap that hides *owners* hides who holds a port. The status stays the same.\n\
            - A gap that hides *details* hides something else. The status stays the same.\n\n\
            This page is generated from `src/model/gap.rs`.\n\n\
            | code | hides | what cannot be seen, and why | what to do |\n|---|---|---|---|\n"
            .to_owned();
        for kind in KINDS {
            let GapKind { code, hides, what, remedy } = kind;
            writeln!(page, "| `{code}` | {} | {what} | {remedy} |", hides.into_str()).unwrap();
        }
        expect_file("docs/gaps.md", &page);
    }

    #[test]
    fn every_code_is_of_one_kind() {
        let mut codes: Vec<&str> = KINDS.iter().map(|kind| kind.code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), KINDS.len());
    }
}
