//! The calls of bpf(2) that load a program and make an iterator of it.
//!
//! What they make lives as long as its descriptor.

#![allow(unsafe_code, reason = "a system call that no safe crate offers")]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_LINK_CREATE: libc::c_int = 28;
const BPF_ITER_CREATE: libc::c_int = 33;
const BPF_PROG_TYPE_TRACING: u64 = 26;
const BPF_TRACE_ITER: u64 = 28;

/// Loads the program for the function. The kernel verifies it before anything runs.
pub fn load(program: &[u64], function: u32) -> Result<OwnedFd, Errno> {
    let count = program.len() as u64;
    // The licence that the kernel asks for is that of the function which writes.
    let licence = c"Dual MIT/GPL";
    // `union bpf_attr` (linux/bpf.h) in words of 64 bits.
    let mut attributes = [0; 15];
    attributes[0] = BPF_PROG_TYPE_TRACING | count << 32;
    attributes[1] = program.as_ptr().expose_provenance() as u64;
    attributes[2] = licence.as_ptr().expose_provenance() as u64;
    // Its name in lists of programs.
    attributes[6] = u64::from_ne_bytes(*b"portchec");
    attributes[7] = u64::from_ne_bytes(*b"k\0\0\0\0\0\0\0");
    // expected_attach_type, attach_btf_id
    attributes[8] = BPF_TRACE_ITER << 32;
    attributes[13] = u64::from(function) << 32;
    // SAFETY: both addresses are those of slices that outlive the call, with the length that is
    // passed and a zero at the end. The kernel only reads them.
    unsafe { call(BPF_PROG_LOAD, &attributes) }
}

/// Makes an iterator of a loaded program: a read of it runs the program.
pub fn iterate(program: &OwnedFd) -> Result<OwnedFd, Errno> {
    iterate_over(program, &[])
}

/// The same for the descriptors of one process, since Linux 6.1.
pub fn iterate_process(program: &OwnedFd, process: u32) -> Result<OwnedFd, Errno> {
    // `task` of `union bpf_iter_link_info`: a thread, a process, or the descriptor of one.
    iterate_over(program, &[0, process, 0, 0])
}

fn iterate_over(program: &OwnedFd, what: &[u32]) -> Result<OwnedFd, Errno> {
    let address = if what.is_empty() { 0 } else { what.as_ptr().expose_provenance() as u64 };
    let link = [number(program), BPF_TRACE_ITER, address, size_of_val(what) as u64, 0, 0, 0, 0];
    // SAFETY: the address, if there is one, is that of a slice that outlives the call, with the
    // length that is passed. The kernel only reads it.
    let link = unsafe { call(BPF_LINK_CREATE, &link)? };
    // SAFETY: the attributes have no address.
    unsafe { call(BPF_ITER_CREATE, &[number(&link)]) }
}

fn number(descriptor: &OwnedFd) -> u64 {
    descriptor.as_raw_fd().unsigned_abs().into()
}

/// Makes one call, whose result is a descriptor.
///
/// # Safety
///
/// Each address in `attributes` must be valid for what the command does with it.
unsafe fn call(command: libc::c_int, attributes: &[u64]) -> Result<OwnedFd, Errno> {
    // SAFETY: the kernel reads the attributes during the call, within the size that is passed.
    // What they refer to is the promise of the caller.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(attributes)) };
    let descriptor = match i32::try_from(result) {
        Ok(descriptor) if descriptor >= 0 => descriptor,
        _ => return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    };
    // SAFETY: these commands return a new descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
