//! The types of the running kernel (BTF), some 5 MB in a file of sysfs.

#![allow(unsafe_code, reason = "no safe crate maps a file")]

use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;

/// The types of the running kernel.
const TYPES: &str = "/sys/kernel/btf/vmlinux";
const LIMIT: usize = 10 << 20;

/// An open file of types.
#[derive(Debug)]
pub struct Types {
    file: File,
    length: usize,
}

impl Types {
    /// `None` if there are none, or too many.
    pub fn open() -> Option<Self> {
        let file = File::open(TYPES).ok()?;
        let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
        (1..=LIMIT).contains(&length).then_some(Self { file, length })
    }

    /// Lets `look` see the bytes. To map them takes a tenth of the time, since Linux 6.16.
    pub fn look<T>(self, look: impl FnOnce(&[u8]) -> Option<T>) -> Option<T> {
        if let Some(map) = Map::of(&self) {
            return look(map.bytes());
        }
        let Self { mut file, length } = self;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).ok()?;
        look(&bytes)
    }
}

/// Pages of the kernel, unmapped when dropped.
struct Map {
    address: *mut libc::c_void,
    length: usize,
}

impl Map {
    /// `None` if the kernel cannot map it, or it is not its own: such a file could shrink, and a
    /// look at what it had would end this process.
    fn of(types: &Types) -> Option<Self> {
        const SYSFS_MAGIC: u64 = 0x6265_6572;
        let system = rustix::fs::fstatfs(&types.file).ok()?;
        if u64::try_from(system.f_type).ok()? != SYSFS_MAGIC {
            return None;
        }
        let (length, descriptor) = (types.length, types.file.as_raw_fd());
        // SAFETY: a new mapping, at an address that the kernel chooses, takes no memory in use.
        let address =
            unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, descriptor, 0) };
        (address != libc::MAP_FAILED).then_some(Self { address, length })
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has this length, which is above zero and below the limit, and lives as
        // long as `self`. The kernel never changes its types.
        unsafe { std::slice::from_raw_parts(self.address.cast(), self.length) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: this is the whole mapping, and nothing borrows from it any more. Its result tells
        // nothing that could be acted upon.
        unsafe { libc::munmap(self.address, self.length) };
    }
}
