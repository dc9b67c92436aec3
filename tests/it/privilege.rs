//! What an ordinary user learns of another user's sockets. Making them takes root.

use std::net::TcpStream;
use std::process::Command;

use crate::common::cgroup::Cgroup;
use crate::common::role::{Role, bound};
use crate::common::{
    codes, has, in_namespace, is_root, json, json_as_nobody, json_of, owners, port, portcheck_as_nobody, skip,
};
use serde_json::json as value;

#[test]
fn somebody_elses_port_is_held_and_never_free() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        let (_role, _) = Role::playing("listen 127.0.0.1:8080");
        let _bound = bound("127.0.0.1:8081".parse().unwrap());
        for number in [8080, 8081] {
            let answer = json_as_nobody(&[&number.to_string()]);
            let tcp = port(&answer, number, "tcp");
            assert_eq!((&tcp["status"], codes(tcp)), (&value!("held"), vec!["hidden-owner"]), "{answer:#}");
            assert_eq!(tcp["sockets"][0]["owners"]["kind"], "hidden");
            assert_eq!((&tcp["sockets"][0]["uid"], &tcp["sockets"][0]["user"]), (&value!(0), &value!("root")));
            let gap = &answer["gaps"][0];
            assert_eq!((&gap["code"], &gap["root_would_see"]), (&value!("unreadable-processes"), &value!(true)));
        }
        let run = crate::common::Run::from(portcheck_as_nobody(&["8080"]).output().unwrap());
        assert!(run.first_line().starts_with("8080/tcp is in use: a hidden process of user root"), "{}", run.stdout);
        assert_eq!((run.code, run.stdout.matches("sudo ").count()), (1, 1), "{}", run.stdout);
        // Root sees it, and is not told to ask as root.
        let run = crate::common::run(&["8080"]);
        assert!(!run.stdout.contains("sudo"), "{}", run.stdout);
        assert_eq!(
            json(&["8080"])["gaps"].as_array().unwrap().iter().filter(|gap| gap["root_would_see"] == true).count(),
            0
        );
        // The listing says it once. It offers the command that shows more only if that shows more.
        let list = crate::common::Run::from(portcheck_as_nobody(&[]).output().unwrap());
        assert_eq!((list.code, list.stdout.matches("sudo ").count()), (0, 1), "{}", list.stdout);
        assert_eq!(list.stdout.matches("(hidden)").count(), 2, "{}", list.stdout);
    });
}

/// Regression: "nothing to show" and 0 looked like nobody, though root's process holds the port.
#[test]
fn a_filter_tells_that_what_it_asks_for_may_not_have_been_seen() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        let (role, _) = Role::playing("listen 127.0.0.1:8080");
        let _client = TcpStream::connect("127.0.0.1:8080").unwrap();
        let pid = role.pid().to_string();
        let as_nobody = |typed: &[&str]| crate::common::Run::from(portcheck_as_nobody(typed).output().unwrap());
        for typed in [
            &["list", "--pid", &pid][..],
            &["list", "--process", "it-"],
            &["list", "--summary", "--pid", &pid],
            &["connections", "--pid", &pid],
            &["connections", "--process", "it-", "--by", "process"],
        ] {
            let run = as_nobody(typed);
            let text = &run.stdout;
            assert_eq!(
                (run.code, &*run.stderr, text.matches("could not be inspected\n").count()),
                (0, "", 1),
                "{run:?}"
            );
            assert!(text.contains("to see every holder:  sudo /"), "{typed:?} {text}");
        }
        for (typed, shown) in [
            (&["list", "--pids"][..], ""),
            (&["list", "--pid", &pid, "--count"], "0\n"),
            (&["connections", "--process", "it-", "--count"], "0\n"),
            (&["connections", "--pids"], ""),
            (&["8080", "--pids"], ""),
        ] {
            let run = as_nobody(typed);
            assert_eq!((&*run.stdout, run.stderr.lines().count()), (shown, 2), "{typed:?} {run:?}");
            assert!(run.stderr.contains("portcheck: not seen: ") && run.stderr.contains("sudo "), "{run:?}");
        }
        // Nobody who was not seen is called that, and a count has a socket whoever holds it.
        for typed in [&["list", "--process", "no-such-name"][..], &["list", "--count"]] {
            let run = as_nobody(typed);
            assert_eq!((&*run.stderr, run.stdout.contains("not seen")), ("", false), "{run:?}");
        }
    });
}

#[test]
fn who_sees_all_that_was_asked_for_is_told_nothing_of_root() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        let run = crate::common::Run::from(portcheck_as_nobody(&["8080"]).output().unwrap());
        assert!(run.code == 0 && run.first_line().starts_with("8080 is free"), "{run:?}");
        assert!(!run.stdout.contains("sudo") && !run.stdout.contains("not seen"), "{}", run.stdout);
    });
}

/// Plays, as process 1 of a pid namespace: a listener of root, a process that has ended and was not
/// waited for, one without descriptors, and one whose main thread has ended while another runs.
/// Then runs the arguments as nobody.
const FOUR_PROCESSES: &str = "
import ctypes, os, platform, signal, socket, subprocess, sys, threading
listener = socket.socket(); listener.bind(('127.0.0.1', 8080)); listener.listen()
def forked(body):
    done, begun = os.pipe()
    pid = os.fork()
    if pid == 0:
        body(begun)
        os._exit(0)
    os.close(begun)
    os.read(done, 1)
    os.close(done)
    return pid
def nothing_open(begun):
    os.closerange(0, 1000)
    signal.pause()
def without_main_thread(begun):
    def go_on():
        while open(f'/proc/self/task/{os.getpid()}/stat').read().rsplit(')')[-1].split()[0] != 'Z': pass
        os.write(begun, b'x')
        threading.Event().wait()
    threading.Thread(target=go_on).start()
    ctypes.CDLL(None).syscall({'x86_64': 60, 'aarch64': 93}[platform.machine()], 0)
os.waitid(os.P_PID, forked(lambda begun: None), os.WEXITED | os.WNOWAIT)
forked(nothing_open)
forked(without_main_thread)
sys.exit(subprocess.run(sys.argv[1:], user=65534, group=65534, extra_groups=[]).returncode)
";

#[test]
fn only_processes_with_descriptors_count_as_unseen() {
    in_namespace(|| {
        if !is_root() || !has("python3") {
            return skip("needs root to be two users, and python3");
        }
        if std::fs::metadata("/proc/self/fd").unwrap().len() == 0 {
            return skip("this kernel, older than Linux 6.2, does not count descriptors");
        }
        let nobody = portcheck_as_nobody(&["8080/tcp", "--json"]);
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "python3", "-c", FOUR_PROCESSES]);
        command.arg(nobody.get_program()).args(nobody.get_args());
        let answer = json_of(command);
        assert_eq!(codes(port(&answer, 8080, "tcp")), ["hidden-owner"]);
        let gaps = answer["gaps"].as_array().unwrap();
        let gap = gaps.iter().find(|gap| gap["code"] == "unreadable-processes").unwrap();
        // The listener, and the thread that still runs.
        assert_eq!(gap["summary"], "2 processes could not be inspected");
    });
}

/// Plays `parts` in processes that are in the cgroup before they make their sockets.
fn play_in(cgroup: &Cgroup, parts: &[&str]) -> Vec<Role> {
    let start = |part: &&str| {
        let mut role = Role::start(part);
        cgroup.add(role.pid());
        role.go();
        role
    };
    parts.iter().map(start).collect()
}

#[test]
fn the_cgroup_names_the_likely_process_and_its_unit() {
    in_namespace(|| {
        let path = format!("/system.slice/portcheck-test-{}.service", std::process::id());
        let Some(Ok(cgroup)) = is_root().then(|| Cgroup::make(&path)) else {
            return skip("needs root and cgroups of version 2");
        };
        let roles = play_in(&cgroup, &["listen 127.0.0.1:8080"]);
        let unit = path.rsplit('/').next().unwrap();

        let answer = json_as_nobody(&["8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((codes(tcp), owners(tcp)), (vec!["hidden-owner"], vec![roles[0].pid()]));
        assert_eq!(tcp["sockets"][0]["owners"]["kind"], "likely");
        assert!(tcp["sockets"][0]["owners"]["reason"].as_str().unwrap().contains(&path));
        assert_eq!(tcp["sockets"][0]["cgroup"], path.as_str());
        assert_eq!(answer["processes"][0]["unit"], value!({"name": unit, "manager": "system", "files": []}));
        let commands: Vec<&str> = tcp["findings"][0]["remedies"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|remedy| remedy["command"].as_str())
            .collect();
        assert!(commands.contains(&&*format!("sudo systemctl stop -- {unit}")), "{commands:?}");
        let text = crate::common::Run::from(portcheck_as_nobody(&["8080"]).output().unwrap());
        assert!(text.first_line().starts_with("8080/tcp is in use, probably by it-"), "{}", text.stdout);

        // Root knows the holder, and gets the supervisor's command instead of kill.
        let answer = json(&["8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((codes(tcp), owners(tcp)), (vec!["listener"], vec![roles[0].pid()]));
        assert_eq!(tcp["findings"][0]["remedies"].as_array().unwrap().len(), 1);
        assert_eq!(tcp["findings"][0]["remedies"][0]["command"], format!("sudo systemctl stop -- {unit}"));
        drop(roles);
    });
}

#[test]
fn several_that_fit_are_ranked_and_none_is_called_known() {
    in_namespace(|| {
        let id = "8f3a0c1d2e4b5a69788796a5b4c3d2e1f00112233445566778899aabbccddeef";
        let Some(Ok(cgroup)) = is_root().then(|| Cgroup::make(&format!("/docker/{id}"))) else {
            return skip("needs root and cgroups of version 2");
        };
        let roles = play_in(&cgroup, &["listen 127.0.0.1:8080", "listen 127.0.0.1:8081"]);
        let answer = json_as_nobody(&["8081/tcp"]);
        let tcp = port(&answer, 8081, "tcp");
        let mut expected: Vec<u32> = roles.iter().map(Role::pid).collect();
        expected.sort_unstable();
        assert_eq!((owners(tcp), &tcp["sockets"][0]["owners"]["kind"]), (expected, &value!("likely")));
        assert!(tcp["sockets"][0]["owners"]["reason"].as_str().unwrap().starts_with("among the 2 processes"));
        assert_eq!(answer["processes"][0]["container"], value!({"runtime": "docker", "id": id, "pod": null}));
        assert_eq!(tcp["findings"][0]["details"]["container"], id);
        let text = crate::common::Run::from(portcheck_as_nobody(&["8081"]).output().unwrap()).stdout;
        assert!(text.contains("docker 8f3a0c1d2e4b") && text.contains("docker stop 8f3a0c1d2e4b"), "{text}");
        drop(roles);
    });
}

#[test]
fn the_only_hidden_process_of_a_user_is_the_likely_one() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be two users");
        }
        // A user without other processes, and not the one who asks.
        let (role, _) = Role::playing_as_user(58_231, "listen 127.0.0.1:8080");
        let answer = json_as_nobody(&["8080/tcp"]);
        let tcp = port(&answer, 8080, "tcp");
        assert_eq!((codes(tcp), owners(tcp)), (vec!["hidden-owner"], vec![role.pid()]));
        assert_eq!(tcp["sockets"][0]["owners"]["kind"], "likely");
        assert_eq!((&tcp["sockets"][0]["uid"], &tcp["sockets"][0]["user"]), (&value!(58_231), &value!(null)));

        let (_second, _) = Role::playing_as_user(58_231, "listen 127.0.0.1:8081");
        let answer = json_as_nobody(&["8080/tcp"]);
        assert_eq!(port(&answer, 8080, "tcp")["sockets"][0]["owners"]["kind"], "hidden");
    });
}
