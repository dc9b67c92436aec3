//! The system call that a thread is in (proc_pid_syscall(5)).

use std::fs;
use std::io;
use std::path::Path;

/// A system call in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemCall {
    /// See asm/unistd.h.
    pub number: libc::c_long,
    /// The first argument, which is often a descriptor.
    pub first_argument: u64,
}

impl SystemCall {
    /// Reads the call of the thread with this directory in /proc. `None` if it is in no call.
    pub fn read(thread: &Path) -> io::Result<Option<Self>> {
        Ok(Self::parse(&fs::read_to_string(thread.join("syscall"))?))
    }

    /// `NUMBER ARGUMENTS STACK PC`, `running`, or `-1 STACK PC` outside of a call. A thread of the
    /// kernel has zeros only.
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [number, first, _, _, _, _, _, stack, _] = words[..] else { return None };
        let hexadecimal = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
        let call = Self { number: number.parse().ok()?, first_argument: hexadecimal(first)? };
        (hexadecimal(stack)? != 0).then_some(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_what_is_none() {
        let line = "43 0x3 0x7f30 0x20000 0x0 0xffffffff 0x0 0x7ffc99a70578 0x7f307a6ce2ad\n";
        assert_eq!(SystemCall::parse(line), Some(SystemCall { number: 43, first_argument: 3 }));
        for none in ["running\n", "-1 0x7ffc99a70578 0x7f307a6ce2ad\n", "0 0x0 0x0 0x0 0x0 0x0 0x0 0x0 0x0\n", "", "x"]
        {
            assert_eq!(SystemCall::parse(none), None, "{none}");
        }
    }
}
