//! This program, to be copied to a host that has none.

use std::fs::File;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

/// The program, read when the first host needs it.
#[derive(Debug, Default)]
pub struct Own(OnceLock<Result<Program, String>>);

/// The file of the program.
#[derive(Debug)]
pub struct Program {
    /// Its content.
    pub bytes: Arc<Vec<u8>>,
    /// Its checksum, where a tool for it is installed.
    pub sha256: Option<String>,
}

impl Own {
    /// The program for a `system` such as `Linux x86_64`.
    pub fn program_for(&self, system: &str) -> Result<&Program, String> {
        if !fits(system) {
            let own = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
            return Err(format!("it has no portcheck, and runs {system} where this portcheck is for {own}"));
        }
        let read = || read().map_err(|error| format!("it has no portcheck, and this one cannot be read: {error}"));
        self.0.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

/// Whether this program is for a system, as `uname -sm` names it.
fn fits(system: &str) -> bool {
    let Some((kernel, machine)) = system.trim().split_once(' ') else { return false };
    let own_kernel = match std::env::consts::OS {
        "linux" => "Linux",
        "macos" => "Darwin",
        "freebsd" => "FreeBSD",
        _ => return false,
    };
    let own_machines: &[&str] = match std::env::consts::ARCH {
        "x86_64" => &["x86_64", "amd64"],
        "aarch64" => &["aarch64", "arm64"],
        "arm" => &["armv6l", "armv7l", "armv8l"],
        "x86" => &["i386", "i486", "i586", "i686"],
        "powerpc64" => &["ppc64", "ppc64le"],
        other => &[other],
    };
    kernel == own_kernel && own_machines.contains(&machine)
}

fn read() -> io::Result<Program> {
    // The running program, even if its file was replaced since.
    let mut file = File::open("/proc/self/exe").or_else(|_| File::open(std::env::current_exe()?))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let sha256 = sha256(&bytes);
    Ok(Program { bytes: Arc::new(bytes), sha256 })
}

/// The checksum, by the tool that the other side has, too.
fn sha256(bytes: &[u8]) -> Option<String> {
    let mut command = Command::new("sha256sum");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    // It prints nothing before its input has ended.
    let written = child.stdin.take().map(|mut pipe| pipe.write_all(bytes));
    let output = child.wait_with_output().ok()?;
    written.and_then(Result::ok)?;
    let text = String::from_utf8(output.stdout).ok()?;
    let sum = text.split(' ').next()?;
    (sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| sum.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_fits_its_own_system_only() {
        assert!(!fits("Plan9 x86_64") && !fits("") && !fits("Linux") && !fits("Linux vax"));
        if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            assert!(fits("Linux x86_64") && !fits("Linux aarch64") && !fits("FreeBSD amd64"));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_checksum_is_that_of_the_tool() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(sha256(b"abc").is_none_or(|sum| sum == abc));
    }
}
