//! `portcheck --host`, by the real ssh and an sshd for each machine, in a network namespace of its own.

mod machines;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json as value};

use crate::common::server::until;
use crate::common::{Run, in_namespace, run};
use machines::{ADA, Kind, Machines};

/// What is left of the copies of portcheck on a machine.
fn left(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn host<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let hosts = answer["hosts"].as_array().unwrap();
    hosts.iter().find(|host| host["name"] == name).unwrap_or_else(|| panic!("no {name} in {answer:#}"))
}

#[test]
fn several_machines_are_one_table() {
    in_namespace(|| {
        let Some(machines) = Machines::start(&[("with", Kind::Installed), ("without", Kind::Bare)]) else { return };
        let server = machines.of("with").netns.playing("listen 0.0.0.0:8080");
        let hosts = "with,without,ada@without,down";
        let asked = machines.json(&["8080/tcp", "--host", hosts]);
        let names: Vec<&str> =
            asked["hosts"].as_array().unwrap().iter().map(|host| host["name"].as_str().unwrap()).collect();
        assert_eq!(
            (names.join(","), &asked["exit_code"], &asked["command"]),
            (hosts.to_owned(), &value!(3), &value!("check"))
        );
        let port = &host(&asked, "with")["answer"]["ports"][0];
        assert_eq!(
            (&port["status"], &port["sockets"][0]["owners"]["pids"]),
            (&value!("held"), &value!([server.pid()]))
        );
        for (name, euid) in [("without", 0), ("ada@without", ADA)] {
            let other = host(&asked, name);
            let found = (&other["exit_code"], &other["answer"]["ports"][0]["status"], &other["answer"]["host"]["euid"]);
            assert_eq!(found, (&value!(0), &value!("free"), &value!(euid)), "{other:#}");
        }
        let down = host(&asked, "down");
        assert_eq!(
            (&down["exit_code"], &down["answer"], &down["error"]["kind"]),
            (&value!(3), &value!(null), &value!("unreachable"))
        );
        assert!(down["error"]["message"].as_str().unwrap().contains("Connection refused"), "{down:#}");
        // Copied, and removed.
        assert_eq!(left(&machines.of("without").temporary), [] as [PathBuf; 0]);

        let table = machines.run(&["8080", "--host", "with,down", "--host", "without"]);
        let lines: Vec<&str> = table.stdout.lines().collect();
        assert_eq!(
            (table.code, lines[0].split_whitespace().collect::<Vec<_>>().join(" ")),
            (3, "HOST STATUS PORT WHY".to_owned())
        );
        assert!(lines[1].starts_with("with     held         8080/tcp  "), "{table:?}");
        let start = |name: &str, row: &str| lines.iter().any(|line| line.starts_with(name) && line.contains(row));
        assert!(start("with ", " free         8080/udp"), "{table:?}");
        assert!(
            start("down ", " unreachable            ssh: connect to host 127.0.0.1 port 9: Connection refused"),
            "{table:?}"
        );
        assert!(start("without ", " free         8080"), "{table:?}");

        let lines =
            machines.run(&["list", "--format", "ndjson", "--tcp", "--process", "it-", "--host", "with,down,without"]);
        let lines: Vec<Value> = lines.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (lines.len(), &lines[0]["host"], &lines[0]["port"]),
            (2, &value!("with"), &value!(8080)),
            "{lines:#?}"
        );
        assert_eq!(lines[0]["processes"][0]["pid"], server.pid());
        assert_eq!((&lines[1]["host"], &lines[1]["status"]), (&value!("down"), &value!("unreachable")));
    });
}

#[test]
fn a_list_has_the_processes_of_each_machine_and_a_file_names_them() {
    in_namespace(|| {
        let Some(machines) = Machines::start(&[("one", Kind::Installed), ("two", Kind::Installed)]) else { return };
        let _server = machines.of("two").netns.playing("listen 0.0.0.0:8080");
        let file = machines.path("hosts");
        std::fs::write(&file, "# both\none\n  root@two # the second\n").unwrap();
        let list = machines.run(&["list", "--tcp", "--hosts-file", file.to_str().unwrap()]);
        assert_eq!(list.code, 0, "{list:?}");
        let row = |host: &str, port: &str| {
            let mut lines = list.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
            lines.find(|row| row[0] == host && row[2] == port).unwrap_or_else(|| panic!("{list:?}"))
        };
        assert_eq!(row("one", "22/tcp")[3..5], ["interface", "sshd"]);
        assert_eq!(row("root@two", "8080/tcp")[1..4], ["held", "8080/tcp", "all"]);
        let none = machines.run(&["list", "--udp", "--host", "one"]);
        assert_eq!((none.code, none.stdout.contains("one   none")), (0, true), "{none:?}");
        // A yes there is a yes here, and a no a no.
        assert_eq!(machines.run(&["8080/udp", "-q", "--host", "one,two"]).code, 0);
        assert_eq!(machines.run(&["8080/tcp", "-q", "--host", "one,two"]).code, 1);
        assert_eq!(machines.run(&["8080/tcp", "--exit-zero", "--host", "one,two"]).code, 0);
        assert_eq!(machines.run(&["8080/tcp", "--exit-zero", "--host", "one,down"]).code, 3);
    });
}

#[test]
fn one_machine_is_asked_what_answers_who_can_reach_it_and_to_end_a_holder() {
    in_namespace(|| {
        let Some(machines) = Machines::start(&[("one", Kind::Installed)]) else { return };
        let answers = machines.run(&["identify", "22/tcp", "--host", "one"]);
        let row = answers.stdout.lines().nth(1).unwrap_or_default();
        assert!(answers.code == 0 && row.contains("22/tcp  answers ssh: "), "{answers:?}");
        let reached = machines.run(&["reach", "22/tcp", "--host", "one"]);
        assert!(reached.stdout.lines().nth(1).is_some_and(|row| row.contains(" from ")), "{reached:?}");
        let server = machines.of("one").netns.playing("listen 0.0.0.0:8080");
        let planned = machines.json(&["kill", "8080/tcp", "--dry-run", "--host", "one"]);
        let outcome = |answer: &Value| host(answer, "one")["answer"]["kill"]["outcome"].clone();
        assert_eq!((outcome(&planned), &planned["exit_code"]), (value!("would-free"), &value!(0)), "{planned:#}");
        let killed = machines.run(&["kill", "8080/tcp", "--yes", "--host", "one"]);
        assert_eq!(killed.code, 0, "{killed:?}");
        let row = killed.stdout.lines().nth(1).unwrap();
        assert!(row.starts_with("one   freed") && row.contains(&format!("(pid {})", server.pid())), "{killed:?}");
        assert!(killed.stdout.lines().nth(2).unwrap().contains("free    8080/tcp"), "{killed:?}");
    });
}

#[test]
fn a_machine_that_hangs_costs_its_own_time() {
    in_namespace(|| {
        let kinds = [("one", Kind::Installed), ("hangs", Kind::Forced("exec cat >/dev/null"))];
        let Some(machines) = Machines::start(&kinds) else { return };
        // The kernel accepts for it, and nobody greets.
        let _mute = std::net::TcpListener::bind("127.0.0.1:2299").unwrap();
        let begin = Instant::now();
        let asked = machines.json(&["8080/tcp", "--host", "hangs,one,mute", "--host-timeout", "5s"]);
        assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
        let message = |name: &str| host(&asked, name)["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!((&host(&asked, "one")["exit_code"], &asked["exit_code"]), (&value!(0), &value!(3)), "{asked:#}");
        assert_eq!(message("hangs"), "no answer within 5 s");
        let mute = message("mute");
        assert!(mute.starts_with("no answer within 5 s") || mute.contains("timed out"), "{mute}");
    });
}

/// Whether a terminal acts upon nothing in a text.
fn is_harmless(text: &str) -> bool {
    let harmful = |letter: char| letter != '\n' && (letter.is_control() || letter == '\u{202e}');
    !text.contains(harmful) && text.len() < 100_000
}

#[test]
fn a_hostile_machine_harms_neither_the_terminal_nor_the_rows_of_others() {
    const FORGED: &str = r#"{"schema_version":1,"version":"9","exit_code":0,"host":{},"gaps":[],"error":null,
        "processes":[{"pid":1,"name":"\u001b[31mred","user":null}],"hosts":[{"name":"good","exit_code":0}],
        "ports":[{"port":8080,"protocol":"tcp","status":"free","host":"good","findings":[],"sockets":[]},
                 {"port":81,"protocol":"t\u001b]0;x\u0007","status":"held\u001b[2J","host":"good",
                  "findings":[{"summary":"\u001b[2J\u202egood\nx"}],
                  "sockets":[{"exposure":"all","user":"\u0007","owners":{"kind":"known","pids":[1]}}]}]}"#;
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("forged"), FORGED).unwrap();
        let forged = format!(
            "echo portcheck-host: answer; cat {}/forged; echo; echo portcheck-host: end",
            directory.path().display()
        );
        let kinds = [
            ("good", Kind::Installed),
            ("endless", Kind::Forced("echo portcheck-host: answer; exec yes")),
            ("noisy", Kind::Forced("exec cat /dev/zero")),
            ("complains", Kind::Forced(r"printf '\033[2J\033]0;x\007\n\n' >&2; exit 7")),
            (
                "deep",
                Kind::Forced(
                    "echo portcheck-host: answer; head -c 1000000 /dev/zero | tr '\\0' '['; echo; echo portcheck-host: end",
                ),
            ),
            ("forged", Kind::Forced(&forged)),
        ];
        let Some(machines) = Machines::start(&kinds) else { return };
        let _server = machines.of("good").netns.playing("listen 0.0.0.0:8080");
        for format in ["table", "json", "ndjson"] {
            let said = machines.run(&["8080/tcp", "--host", "forged,good,complains,deep", "--format", format]);
            assert_eq!(said.code, 3, "{said:?}");
            assert!(is_harmless(&said.stdout), "{format}: {said:?}");
            if format == "ndjson" {
                let lines: Vec<Value> = said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                let of = |name: &str| lines.iter().filter(|line| line["host"] == name).collect::<Vec<_>>();
                assert_eq!((of("good").len(), of("forged").len(), lines.len()), (1, 2, 5), "{lines:#?}");
                assert_eq!(of("good")[0]["status"], "held");
            }
        }
        let flood = ["8080/tcp", "--host", "forged,good,endless,noisy,complains", "--host-timeout", "40s"];
        let asked = machines.json(&flood);
        let reason = |name: &str| host(&asked, name)["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(reason("endless"), "it printed more than portcheck would, and was cut off");
        assert_eq!(reason("noisy"), reason("endless"));
        assert_eq!(reason("complains"), "\u{1b}[2J\u{1b}]0;x\u{7}");
        assert_eq!(host(&asked, "good")["answer"]["ports"][0]["status"], "held");
    });
}

/// The caller is killed while its copy is on the other side, and so is the shell there.
#[test]
fn at_most_one_file_is_left_and_the_next_use_removes_it() {
    in_namespace(|| {
        let kinds = [("slow", Kind::Bare), ("next", Kind::Sharing("slow"))];
        let Some(machines) = Machines::start(&kinds) else { return };
        let slow = machines.of("slow");
        // Comparing takes until somebody lets it end.
        let fifo = machines.path("fifo");
        assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        script(&slow.programs.join("sha256sum"), &format!("cat >/dev/null; read word <{}", fifo.display()));
        let ask = || {
            let mut command = machines.portcheck(&["8080/tcp", "--host", "slow", "--host-timeout", "1m"]);
            let mut caller = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            until("the copy is there", || left(&slow.temporary).iter().any(|made| made.join("portcheck").is_file()));
            // Not before it is being compared: then all of it has arrived.
            let opened = std::fs::OpenOptions::new().write(true).open(&fifo).unwrap();
            caller.kill().unwrap();
            caller.wait().unwrap();
            drop(opened);
        };
        ask();
        until("the other side has tidied up by itself", || left(&slow.temporary).is_empty());

        script(&slow.programs.join("sha256sum"), "cat >/dev/null; kill -9 $PPID");
        let lost = machines.run(&["8080/tcp", "--host", "slow"]);
        assert_eq!(lost.code, 3, "{lost:?}");
        let [rest] = &left(&slow.temporary)[..] else { panic!("{:?}", left(&slow.temporary)) };
        let mode = std::fs::metadata(rest).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        // What a shell that still runs has made is left alone.
        let own = slow.temporary.join(format!("portcheck-0.{}.abcdef", std::process::id()));
        std::fs::create_dir(&own).unwrap();
        assert_eq!(machines.run(&["8080/tcp", "--host", "next"]).code, 0);
        assert_eq!(left(&slow.temporary), [own]);

        // A copy that is not the same is not run.
        script(&slow.programs.join("sha256sum"), "cat >/dev/null; echo 0000  -");
        let refused = machines.json(&["8080/tcp", "--host", "slow"]);
        let message = host(&refused, "slow")["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("portcheck could not be copied there"), "{message}");
        let pid = Pid::from_raw(std::process::id().cast_signed()).unwrap();
        assert!(left(&slow.temporary).len() == 1 && kill_process(pid, Signal::CONT).is_ok());
    });
}

/// `PORTCHECK_FLEET=20` asks twenty, prints the times of docs/fleet.md, and requires what it says of them.
/// `PORTCHECK_FLEET_PROGRAM` names another build to measure.
#[test]
fn many_machines_take_hardly_longer_than_the_slowest() {
    in_namespace(|| {
        let wanted: Option<usize> = std::env::var("PORTCHECK_FLEET").ok().map(|text| text.parse().unwrap());
        let names: Vec<String> = (1..=wanted.unwrap_or(3)).map(|number| format!("m{number}")).collect();
        let mut kinds: Vec<(&str, Kind)> = names.iter().map(|name| (&**name, Kind::Installed)).collect();
        kinds.extend(wanted.map(|_| ("bare", Kind::Bare)));
        let Some(machines) = Machines::start(&kinds) else { return };
        let plain = |names: &[String]| {
            let begin = Instant::now();
            let ssh = |name: &String| machines.ssh(&["-T", "-o", "BatchMode=yes", "--", name, "true"]).spawn().unwrap();
            let sessions: Vec<Child> = names.iter().map(ssh).collect();
            for mut session in sessions {
                assert!(session.wait().unwrap().success());
            }
            begin.elapsed()
        };
        let asked = |names: &[String]| {
            let begin = Instant::now();
            let run = machines.run(&["8080", "--host", &names.join(",")]);
            assert_eq!((run.code, run.stdout.lines().count()), (0, names.len() + 1), "{run:?}");
            begin.elapsed()
        };
        if wanted.is_none() {
            asked(&names);
            return;
        }
        let median = |measure: &dyn Fn() -> Duration| {
            let mut times: Vec<Duration> = (0..7).map(|_| measure()).collect();
            times.sort_unstable();
            times[3]
        };
        let one = &names[..1];
        eprintln!("one: ssh {:?}, portcheck --host {:?}", median(&|| plain(one)), median(&|| asked(one)));
        eprintln!("one without portcheck: {:?}", median(&|| asked(&["bare".to_owned()])));
        let (ssh, all) = (median(&|| plain(&names)), median(&|| asked(&names)));
        eprintln!("{}: the slowest ssh alone {ssh:?}, portcheck --host {all:?}", names.len());
        assert!(all <= ssh.mul_f32(1.2), "{all:?} {ssh:?}");
    });
}

#[test]
fn wrong_input_is_told_before_anybody_is_asked() {
    for (arguments, says) in [
        (&["8080", "--host", "a,-oProxyCommand=x"][..], "begins with a dash"),
        (&["8080", "--host=-oProxyCommand=x"], "begins with a dash"),
        (&["8080", "--host", "a b"], "is no host"),
        (&["99999", "--host", "a"], "65535"),
        (&["kill", "8080", "--yes", "--host", "a,b"], "kill takes one host"),
        (&["kill", "8080", "--host", "a"], "--dry-run"),
        (&["8080", "--host", "a", "--format", "csv"], "--format ndjson"),
        (&["8080", "--host", "a", "--pids"], "--format ndjson"),
        (&["8080", "--hosts-file", "/nonexistent"], "No such file"),
        (&["8080", "--host", "a", "--host-timeout", "0"], "no time"),
        (&["free", "--host", "a"], "--host"),
    ] {
        let wrong: Run = run(arguments);
        assert_eq!((wrong.code, wrong.stdout.as_str()), (2, ""), "{wrong:?}");
        assert!(wrong.stderr.contains(says), "{arguments:?}: {wrong:?}");
    }
}
