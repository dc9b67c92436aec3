//! The output reads well: sentences are grammatical, and nothing is broken where it must stay
//! whole.

use std::process::{Child, Command, Stdio};

use crate::common::lease::Leases;
use crate::common::role::listening;
use crate::common::terminal::Terminal;
use crate::common::{has, in_namespace, json, run, skip, until_it_listens};

/// Regression: "0.0.0.0:6379 and [::]:6379 takes every address" was said.
#[test]
fn several_addresses_are_several() {
    in_namespace(|| {
        let _wildcards = [
            listening("0.0.0.0:6379".parse().unwrap(), &[]),
            listening("[::]:6379".parse().unwrap(), &["v6only"]),
            listening("0.0.0.0:6380".parse().unwrap(), &[]),
        ];
        let summary = |target: &str, code: &str| {
            let answer = json(&[target]);
            let findings = answer["ports"][0]["findings"].as_array().unwrap().clone();
            let found = findings.iter().find(|finding| finding["code"] == code).unwrap();
            found["summary"].as_str().unwrap().to_owned()
        };
        let both = summary("localhost:6379/tcp", "wildcard-overlap");
        assert!(both.starts_with("0.0.0.0:6379 and [::]:6379 take every address"), "{both}");
        let one = summary("127.0.0.1:6380/tcp", "wildcard-overlap");
        assert!(one.starts_with("0.0.0.0:6380 takes every address"), "{one}");
    });
}

/// Regression: "24854/udp: 24854/udp is leased by …" was said.
#[test]
fn a_refusal_names_the_port_once() {
    in_namespace(|| {
        let _leases = Leases;
        // A shell asks, so the lease is not our own.
        let shell = Command::new("sh").args(["-c", "\"$1\" free; :", "sh", env!("CARGO_BIN_EXE_portcheck")]).output();
        let target = format!("{}/udp", String::from_utf8(shell.unwrap().stdout).unwrap().trim());
        let plan = run(&[&target, "--kill", "--dry-run"]);
        assert!(plan.stdout.contains(&format!("{target} is leased by")), "{plan:?}");
        assert!(!plan.stdout.contains(&format!("{target}: {target}")), "{plan:?}");
    });
}

/// A server with a long command line, and three addresses.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const SERVER: &str = "
import socket, sys
sockets = [socket.socket() for _ in range(3)]
for number, listener in enumerate(sockets):
    listener.bind((f'127.0.0.{number + 1}', 54079)); listener.listen()
sys.stdin.read()
";

/// What a terminal of this width shows.
fn on_a_terminal(width: usize, arguments: &str) -> Option<String> {
    let mut terminal = Terminal::start_after(&format!("stty cols {width} rows 50;"), arguments)?;
    terminal.end();
    assert!(!terminal.said.is_empty());
    Some(terminal.said.clone())
}

/// Regression: at 80 and 120 columns, COMMAND was left out while CLASS and SERVICE stayed,
/// addresses were broken in the middle, and the terminal broke long command lines inside an
/// argument.
#[test]
fn nothing_is_broken_in_the_middle_at_any_width() {
    in_namespace(|| {
        if !has("python3") {
            return skip("no python3");
        }
        let directory = "/opt/a-directory-with-a-long-name";
        let arguments = (0..6).map(|number| format!("--option-{number}={directory}/file-{number}"));
        let mut command = Command::new("python3");
        command.args(["-c", SERVER]).args(arguments).arg("x".repeat(300)).stdin(Stdio::piped());
        let _server = Server(command.spawn().unwrap());
        until_it_listens(54079);
        for width in [80, 100, 120, 160] {
            let Some(listing) = on_a_terminal(width, "") else { return };
            let is_narrow = |line: &str| line.trim_end().chars().count() <= width;
            assert!(listing.lines().all(is_narrow), "{width}:\n{listing}");
            let heading = listing.lines().next().unwrap();
            assert!(heading.trim_end().ends_with("COMMAND"), "{width}:\n{listing}");
            assert!(width > 100 || !heading.contains("CLASS"), "{width}:\n{listing}");
            let report = on_a_terminal(width, "54079/tcp").unwrap();
            assert!(report.lines().all(is_narrow), "{width}:\n{report}");
            for number in 1..=3 {
                assert!(listing.contains(&format!("127.0.0.{number}")), "{width}:\n{listing}");
                assert!(report.contains(&format!("127.0.0.{number}")), "{width}:\n{report}");
            }
            assert!(report.contains(&format!("{directory}/file-0")), "{width}:\n{report}");
            let all = on_a_terminal(width, "54079/tcp -v").unwrap();
            assert!(all.lines().all(is_narrow) && all.contains("file-5"), "{width}:\n{all}");
        }
    });
}
