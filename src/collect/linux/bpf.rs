//! Asks bpf(2) how many programs decide about binds, or about packets.
//!
//! No crate used here offers the call, so this file makes the system call itself.

#![allow(unsafe_code, reason = "a system call that no safe crate offers")]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// The part of `union bpf_attr` that `BPF_PROG_QUERY` uses (linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct Query {
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    attached_flags: u32,
    program_ids: u64,
    program_count: u32,
    /// The kernel takes only sizes that are a multiple of 8.
    padding: u32,
}

/// Programs attached to bind(2) in a cgroup: `BPF_CGROUP_INET4_BIND`, `…INET6_BIND`,
/// `…INET4_POST_BIND`, `…INET6_POST_BIND`.
const BIND_HOOKS: [u32; 4] = [8, 9, 12, 13];

/// Programs that see the packets of a cgroup: `BPF_CGROUP_INET_INGRESS`, `…EGRESS`.
const PACKET_HOOKS: [u32; 2] = [0, 1];

/// `BPF_SK_LOOKUP`, of a network namespace; `BPF_TCX_INGRESS`, `…EGRESS`, of an interface.
const SOCKET_LOOKUP: u32 = 36;
const TCX_HOOKS: [u32; 2] = [46, 47];

/// How many programs decide about the packets of a cgroup and of those above it. Needs CAP_NET_ADMIN.
pub fn count_packet_programs(cgroup: impl AsFd) -> io::Result<u32> {
    let count = |hook: &u32| count_programs(cgroup.as_fd().as_raw_fd(), *hook);
    PACKET_HOOKS.iter().map(count).sum()
}

/// How many programs choose sockets for packets in a network namespace.
pub fn count_socket_lookups(namespace: impl AsFd) -> io::Result<u32> {
    count(u32::try_from(namespace.as_fd().as_raw_fd()).map_err(io::Error::other)?, SOCKET_LOOKUP, 0)
}

/// How many programs of tc decide about the packets of an interface, without a qdisc that shows them.
pub fn count_tcx_programs(interface: u32) -> io::Result<u32> {
    TCX_HOOKS.iter().map(|&hook| count(interface, hook, 0)).sum()
}

/// How many programs decide about a bind: those of the cgroup with this directory, and of the
/// cgroups above it. Needs CAP_NET_ADMIN.
pub fn count_bind_programs(cgroup: impl AsFd) -> io::Result<u32> {
    let mut count = 0;
    for hook in BIND_HOOKS {
        count += count_programs(cgroup.as_fd().as_raw_fd(), hook)?;
    }
    Ok(count)
}

fn count_programs(cgroup: i32, hook: u32) -> io::Result<u32> {
    const BPF_F_QUERY_EFFECTIVE: u32 = 1;
    count(u32::try_from(cgroup).map_err(io::Error::other)?, hook, BPF_F_QUERY_EFFECTIVE)
}

fn count(target_fd: u32, attach_type: u32, flags: u32) -> io::Result<u32> {
    const BPF_PROG_QUERY: libc::c_int = 16;
    let mut query = Query { target_fd, attach_type, flags, ..Query::default() };
    // SAFETY: the kernel reads and writes the structure during the call, within the size that is
    // passed with it. `program_ids` and `program_count` are 0, so it writes to no other memory.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, BPF_PROG_QUERY, std::ptr::from_mut(&mut query), std::mem::size_of::<Query>())
    };
    match result {
        0 => Ok(query.program_count),
        _ => match io::Error::last_os_error() {
            // If there are programs and no room for their ids, the kernel still counts them.
            error if error.raw_os_error() == Some(libc::ENOSPC) => Ok(query.program_count),
            error => Err(error),
        },
    }
}
