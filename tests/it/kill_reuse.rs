//! `portcheck kill` where process ids are reused within moments: no other process is ever
//! signalled.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::common::pids::in_pid_namespace;
use crate::common::role::Role;
use crate::common::server::until;
use crate::common::terminal::Terminal;
use crate::common::{Run, json, numbers, portcheck, skip};

/// Starts a process with the id `pid`, which must be free.
fn spawn_as(pid: u32, command: &mut Command) -> Option<Child> {
    std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).ok()?;
    let child = command.spawn().unwrap();
    if child.id() == pid {
        return Some(child);
    }
    let mut other = child;
    other.kill().unwrap();
    other.wait().unwrap();
    None
}

#[test]
fn who_has_the_id_of_a_holder_that_ended_is_left_alone() {
    in_pid_namespace(500, || {
        let (holder, _) = Role::playing("listen 127.0.0.1:8080");
        let pid = holder.pid();
        let Some(mut terminal) = Terminal::start("8080 --kill --force") else { return };
        terminal.expect("[y/N] ");
        assert!(terminal.said.contains(&format!("(pid {pid})")), "{}", terminal.said);
        drop(holder);
        let Some(mut foreign) = spawn_as(pid, Command::new("sleep").arg("60")) else {
            return skip("the next process id cannot be chosen");
        };
        terminal.type_line("y");
        assert_eq!(terminal.end(), 0, "{}", terminal.said);
        assert!(terminal.said.contains(&format!("(pid {pid}) was not signalled: it had ended")), "{}", terminal.said);
        assert!(foreign.try_wait().unwrap().is_none(), "the foreign process was ended");
        foreign.kill().unwrap();
        foreign.wait().unwrap();
    });
}

/// The same if the new process holds the same port: it is another process with another socket.
#[test]
fn who_has_both_id_and_port_by_then_is_left_alone_and_named() {
    in_pid_namespace(500, || {
        let (holder, _) = Role::playing("listen 127.0.0.1:8080");
        let pid = holder.pid();
        let Some(mut terminal) = Terminal::start("8080 --kill --force") else { return };
        terminal.expect("[y/N] ");
        drop(holder);
        if std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_err() {
            return skip("the next process id cannot be chosen");
        }
        let (other, _) = Role::playing("listen 127.0.0.1:8080");
        assert_eq!(other.pid(), pid);
        terminal.type_line("y");
        assert_eq!(terminal.end(), 1, "{}", terminal.said);
        assert!(
            terminal.said.contains("was not signalled") && terminal.said.contains("was taken again"),
            "{}",
            terminal.said
        );
        assert_eq!(numbers(&json(&["8080/tcp"])["ports"][0]["sockets"][0]["owners"]["pids"]), [pid]);
    });
}

/// How many processes have to come and go.
const SPAWNS: usize = 5000;

/// Ends the churn, even if the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts processes in batches that take nearly half of all ids, and checks that each ends by
/// itself.
fn churn(spawned: &AtomicUsize, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let spawn = |_| Command::new("sleep").arg("0.03").stdin(Stdio::null()).spawn().unwrap();
        let batch: Vec<Child> = (0..20).map(spawn).collect();
        spawned.fetch_add(batch.len(), Ordering::Relaxed);
        for mut child in batch {
            let status = child.wait().unwrap();
            assert_eq!((status.signal(), status.code()), (None, Some(0)), "a foreign process was hit");
        }
    }
}

#[test]
fn thousands_of_processes_come_and_go_and_none_is_hit() {
    // A hundred ids in all.
    in_pid_namespace(400, || {
        let (spawned, is_over) = (&AtomicUsize::new(0), &AtomicBool::new(false));
        let (mut ended, mut gone) = (0, 0);
        thread::scope(|scope| {
            let churners: Vec<_> = (0..2).map(|_| scope.spawn(|| churn(spawned, is_over))).collect();
            let is_well = || !churners.iter().any(thread::ScopedJoinHandle::is_finished);
            let over = Over(is_over);
            let mut round = 0;
            while spawned.load(Ordering::Relaxed) < SPAWNS && is_well() {
                let (holder, _) = Role::playing("listen 127.0.0.1:8080");
                round += 1;
                if round % 4 == 0 {
                    // It ends after the look, and its id is reused before the signal.
                    let Some(mut terminal) = Terminal::start("8080/tcp --kill --force --settle 0") else { break };
                    terminal.expect("[y/N] ");
                    drop(holder);
                    let enough = spawned.load(Ordering::Relaxed) + 60 + round % 60;
                    until("the id goes round", || spawned.load(Ordering::Relaxed) > enough || !is_well());
                    terminal.type_line("y");
                    terminal.end();
                    assert!(terminal.said.contains("was not signalled"), "{}", terminal.said);
                    continue;
                }
                let kill = portcheck(&["8080/tcp", "--kill", "--yes", "--force", "--json", "--settle", "0"])
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap();
                // It ends at some moment of the look, or not at all.
                thread::park_timeout(Duration::from_micros(500 * (round as u64 % 40)));
                let holder = (round % 4 == 1).then_some(holder);
                let run = Run::from(kill.wait_with_output().unwrap());
                drop(holder);
                let answer: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
                for step in answer["kill"]["steps"].as_array().unwrap() {
                    match step["result"].as_str().unwrap() {
                        "done" => ended += 1,
                        _ => gone += 1,
                    }
                }
            }
            drop(over);
            for churner in churners {
                churner.join().unwrap();
            }
        });
        assert!(ended > 0, "{ended} holders were ended, {gone} were gone before the signal");
    });
}

#[test]
fn the_first_process_is_refused() {
    in_pid_namespace(500, || {
        assert_eq!(std::process::id(), 1);
        let _own = std::net::TcpListener::bind("127.0.0.1:8080").unwrap();
        let answer = json(&["8080", "--kill", "--yes", "--force"]);
        assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&"refused".into(), &1.into()));
        let refusal = &answer["kill"]["refused"][0];
        assert_eq!(numbers(&refusal["pids"]), [1]);
        assert!(refusal["reason"].as_str().unwrap().contains("first process"), "{refusal}");
    });
}
