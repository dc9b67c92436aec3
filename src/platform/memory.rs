//! The memory of commands that read a hundred thousand sockets, or that run on and on.

#![allow(unsafe_code, reason = "a call that no safe crate offers")]

/// Makes the allocator give large blocks back to the system as soon as they are freed. To be called
/// before any thread is started.
///
/// Glibc does so until the first of them is freed, and keeps blocks of that size from then on
/// (`M_MMAP_THRESHOLD` in mallopt(3)). What is needed while sockets are read would be kept beside what
/// is made of them.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back_large_blocks() {
    const LARGE: libc::c_int = 64 * 1024;
    // SAFETY: it sets numbers of the allocator, and no other thread is there to read them.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE) };
}

/// Other allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub const fn give_back_large_blocks() {}
