//! Surroundings and processes that would break a careless program.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::cgroup::Cgroup;
use crate::common::role::Role;
use crate::common::{
    Background, NOBODY, Run, codes, has, in_namespace, is_root, json, json_of, owners, port, portcheck_as_nobody, run,
    skip,
};

/// The binary, run by a shell that changes something about itself first.
fn after(preparation: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{preparation} exec \"$@\""), "sh", env!("CARGO_BIN_EXE_portcheck")]).args(arguments);
    command
}

#[test]
fn closed_streams_change_nothing() {
    in_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        for closed in ["exec <&-;", "exec >&-;", "exec 2>&-;", "exec <&- >&- 2>&-;"] {
            for (target, code) in [("8080/tcp", 1), ("8081/tcp", 0), ("nonsense:", 2)] {
                let status = after(closed, &[target]).stdin(Stdio::null()).output().unwrap().status;
                assert_eq!(status.code(), Some(code), "{closed} {target}");
            }
        }
    });
}

/// Regression: the judging of many ports panicked where no further thread may be started.
#[test]
fn many_ports_need_no_thread() {
    in_namespace(|| {
        if !is_root() || !has("prlimit") {
            return skip("needs root and prlimit(1) to run it as a user without threads");
        }
        let nobody = portcheck_as_nobody(&["20000-22999/tcp", "--no-probe", "-q"]);
        // The limit does not hold for root.
        let mut command = Command::new("prlimit");
        command.arg("--nproc=1").arg(nobody.get_program()).args(nobody.get_args()).current_dir("/").uid(NOBODY);
        let run = Run::from(command.output().unwrap());
        assert_eq!((run.code, &*run.stderr), (0, ""));
    });
}

#[test]
fn a_home_that_cannot_be_written_or_is_not_there_does_not_matter() {
    in_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:8080").unwrap();
        let mut command = after("HOME=/nonexistent; export HOME; cd /;", &["8080/tcp", "--json"]);
        assert_eq!(owners(port(&json_of(command), 8080, "tcp")), [std::process::id()]);
        if !is_root() {
            return skip("needs root to mount a read-only home");
        }
        command = Command::new("unshare");
        command.args([
            "-m",
            "sh",
            "-c",
            "mkdir -p \"$HOME\"; mount -t tmpfs -o ro none /mnt && HOME=/mnt exec \"$@\"",
            "sh",
        ]);
        command.args([env!("CARGO_BIN_EXE_portcheck"), "8080/tcp", "--json"]);
        assert_eq!(owners(port(&json_of(command), 8080, "tcp")), [std::process::id()]);
    });
}

/// A Python program that listens on port 8080 and then does `rest`, with these arguments.
fn server(rest: &str, arguments: &[String]) -> Option<Background> {
    if !has("python3") {
        skip("no python3");
        return None;
    }
    let listen = "import socket\ns = socket.socket(); s.bind(('127.0.0.1', 8080)); s.listen()\nprint(flush=True)\n";
    let mut command = Command::new("python3");
    command.args(["-c", &format!("{listen}{rest}")]).args(arguments).stdout(Stdio::piped());
    let mut server = Background(command.spawn().unwrap());
    let mut line = String::new();
    BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "\n", "it did not listen");
    Some(server)
}

#[test]
fn a_command_line_of_two_megabytes_is_told_whole_and_shown_short() {
    in_namespace(|| {
        // An argument may have 128 KiB (MAX_ARG_STRLEN, execve(2)).
        let arguments: Vec<String> = (0..16).map(|_| "x\u{1b}".repeat(60_000)).collect();
        let Some(server) = server("s.accept()", &arguments) else { return };
        let answer = json(&["8080/tcp"]);
        assert_eq!(owners(port(&answer, 8080, "tcp")), [server.pid()]);
        let told = answer["processes"][0]["command"].as_array().unwrap();
        let told: usize = told.iter().map(|argument| argument.as_str().unwrap().len()).sum();
        assert!(told > 1_900_000, "{told}");
        let shown = run(&["8080/tcp"]).stdout;
        assert!(shown.len() < 4000 && !shown.contains('\u{1b}'), "{} bytes", shown.len());
    });
}

#[test]
fn a_process_that_changes_its_name_all_the_time_is_followed() {
    in_namespace(|| {
        let rename = "names = [b'a)\\n(b', b'\\x1b[31m', b'\\xff\\xfe', b'', b'Name:\\tx', b'0123456789abcdef', b' ) Z 1 1 1']\n\
                      while True:\n\
                      \x20   for name in names:\n\
                      \x20       with open('/proc/self/comm', 'wb') as comm: comm.write(name)\n";
        let Some(server) = server(rename, &[]) else { return };
        for _ in 0..100 {
            let answer = json(&["8080/tcp"]);
            let tcp = port(&answer, 8080, "tcp");
            assert_eq!((codes(tcp), owners(tcp)), (vec!["listener"], vec![server.pid()]));
            assert_eq!(answer["processes"][0]["ppid"], std::process::id(), "{answer:#}");
        }
        let shown = run(&["8080/tcp"]).stdout;
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    });
}

/// The peak memory of a run in KiB, as GNU time reports it.
fn peak(arguments: &[&str]) -> u64 {
    let mut command = Command::new("time");
    command.args(["--quiet", "--format", "%M", env!("CARGO_BIN_EXE_portcheck")]).args(arguments);
    let output = command.stdin(Stdio::null()).stdout(Stdio::null()).output().unwrap();
    String::from_utf8(output.stderr).unwrap().trim().parse().unwrap()
}

/// Regression: 65,535 ports took 295 MiB, and 546 MiB as Markdown.
#[test]
fn a_free_port_takes_little_memory_in_every_output() {
    /// For each port and protocol: twice what was measured.
    const MOST_BYTES: u64 = 1_600;
    in_namespace(|| {
        if !has("time") {
            return skip("no GNU time");
        }
        for output in [&[][..], &["--json"], &["--format", "ndjson"], &["--format", "csv"], &["--format", "markdown"]] {
            let of = |range| peak(&[&[range], output].concat());
            let bytes = (of("20000-39999") - of("20000-23999")) * 1024 / (2 * 16_000);
            assert!(bytes <= MOST_BYTES, "{output:?}: {bytes}");
        }
    });
}

#[test]
fn free_ports_in_a_row_are_one_row_of_a_table_and_one_element_each_of_json() {
    in_namespace(|| {
        let _listener = TcpListener::bind("127.0.0.1:3005").unwrap();
        let markdown = run(&["3000-3010/tcp", "--format", "markdown"]).stdout;
        let first = |line: &str| line.split('|').nth(1).unwrap().trim().to_owned();
        let ports: Vec<String> = markdown.lines().skip(2).map(first).collect();
        assert_eq!(ports, ["3000-3004/tcp", "3005/tcp", "3006-3010/tcp"], "{markdown}");
        let table = run(&["3000-3010/tcp"]).stdout;
        assert!(table.contains("3000-3004/tcp") && table.contains("3006-3010/tcp"), "{table}");
        assert_eq!(json(&["3000-3010/tcp"])["ports"].as_array().unwrap().len(), 11);
    });
}

/// Regression: /b of a cgroup namespace was taken for /b of the whole tree, which is somebody else's.
#[test]
fn a_cgroup_namespace_is_not_taken_for_the_whole_tree() {
    in_namespace(|| {
        if !is_root() || !has("unshare") {
            return skip("needs root and unshare(1)");
        }
        let name = format!("portcheck-test-inside-{}", std::process::id());
        let make = |path: &str| Cgroup::make(path).map_err(|reason| skip(&reason));
        let Ok(ours) = make(&format!("/{name}-above")) else { return };
        let Ok(inner) = make(&format!("/{name}-above/{name}")) else { return };
        let Ok(other) = make(&format!("/{name}")) else { return };
        std::fs::write(other.path().join("cgroup.freeze"), "1").unwrap();
        assert!(std::fs::read_to_string(other.path().join("cgroup.events")).unwrap().contains("frozen 1"));
        let (server, _) = Role::playing("listen 127.0.0.1:8080");
        inner.add(server.pid());
        let mut inside = ours.command(Path::new("unshare"), 0, 0);
        inside.args(["--cgroup", env!("CARGO_BIN_EXE_portcheck"), "8080/tcp", "--json"]);
        let answer = json_of(inside);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((codes(tcp), owners(tcp)), (vec!["listener"], vec![server.pid()]));
    });
}
