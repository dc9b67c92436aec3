//! `portcheck watch` on a terminal, driven by keys and read back by tmux.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::common::in_namespace;
use crate::common::role::Role;
use crate::common::server::until;
use crate::common::terminal::Terminal;
use crate::common::tmux::Tmux;

/// The view of columns that are the same on every machine.
const VIEW: &str = "portcheck watch --columns port,protocol,address,exposure,process";

/// Servers with names of their own.
struct Servers(tempfile::TempDir);

impl Servers {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn start(&self, name: &str, part: &str) -> Role {
        let program = self.0.path().join(name);
        if !program.exists() {
            symlink(std::env::current_exe().unwrap(), &program).unwrap();
        }
        let mut command = Command::new(Path::new(".").join(name));
        command.current_dir(self.0.path());
        let mut role = Role::spawn(command, part);
        role.go();
        role
    }
}

/// A text without what differs from run to run. What comes after the age of a process is left out:
/// its parents take more lines or less.
fn stable(screen: &str, roles: &[&Role]) -> String {
    let mut text = screen.to_owned();
    for role in roles {
        text = text.replace(&format!("pid {}", role.pid()), "pid N");
    }
    let line = |line: &str| {
        let line = match line.split_once("/tmp/.tmp") {
            Some((before, _)) => format!("{before}/tmp/..."),
            None => line.to_owned(),
        };
        line.trim_end_matches('▁').trim_end_matches('█').to_owned()
    };
    let lines = text.lines().take_while(|line| !line.contains("    started "));
    lines.map(line).collect::<Vec<_>>().join("\n")
}

/// Waits until a process has ended.
#[track_caller]
fn until_ended(role: &Role) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !has_ended(role) {
        assert!(Instant::now() < deadline, "{} still runs", role.pid());
        std::thread::yield_now();
    }
}

/// A process that has ended is a zombie until we wait for it.
fn has_ended(role: &Role) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", role.pid())).unwrap();
    stat.rsplit_once(") ").unwrap().1.starts_with('Z')
}

#[test]
fn a_small_and_a_large_terminal_show_the_list_the_report_and_the_keys() {
    in_namespace(|| {
        let servers = Servers::new();
        let api = servers.start("api", "serve 127.0.0.1:3000");
        let web = servers.start("web-server", "listen 0.0.0.0:8080");
        let client = servers.start("client", "connect 127.0.0.1:3000 from=127.0.0.1:40000");
        let roles = [&api, &web, &client];
        for (width, height) in [(80, 24), (160, 50)] {
            let Some(tmux) = Tmux::start(width, height) else { return };
            let compare = |what: &str, screen: &str| {
                insta::assert_snapshot!(format!("{what}_{width}x{height}"), stable(screen, &roles));
            };
            tmux.type_line(VIEW);
            compare("list", &tmux.until("web-server"));
            tmux.press(&["s", "s", "s", "s", "r"]);
            compare("sorted", &tmux.until("by process, reversed"));
            tmux.press(&["/"]);
            tmux.press(&["a", "p", "i"]);
            compare("filtered", &tmux.until_without("web-server"));
            tmux.press(&["Enter", "?"]);
            // The last line, so that all of it is drawn.
            compare("keys", &tmux.until("any key goes back"));
            tmux.press(&["q"]);
            tmux.until_without("redraw the screen");
            tmux.press(&["Enter"]);
            tmux.until("connections ");
            compare("report", &tmux.until("listens on"));
            tmux.press(&["Tab", "End"]);
            let end = tmux.until("127.0.0.1:40000");
            assert!(end.contains("established") && end.contains(" ms"), "{end}");
            tmux.press(&["q"]);
            tmux.until_it("the shell", |screen| screen.ends_with('$'));
            assert_eq!(tmux.modes(), "0 0 1");
        }
    });
}

/// The row that was selected is ended, though others come before it, and whatever is asked to take
/// its place is not.
#[test]
fn the_selected_row_is_ended_while_rows_move() {
    in_namespace(|| {
        let servers = Servers::new();
        let other = servers.start("other", "listen 127.0.0.1:7000");
        let victim = servers.start("victim", "listen 127.0.0.1:8080");
        let Some(tmux) = Tmux::start(80, 24) else { return };
        tmux.type_line(VIEW);
        tmux.until("victim");
        tmux.press(&["Down"]);
        tmux.until(">  8080");
        let above = servers.start("above", "listen 127.0.0.1:6000");
        tmux.until("above");
        tmux.until(">  8080");
        tmux.press(&["k"]);
        let question = tmux.until("Do this? [y/N]");
        assert!(question.contains(&format!("victim (pid {})", victim.pid())), "{question}");
        let first = servers.start("first", "listen 127.0.0.1:5000");
        tmux.until("5000");
        tmux.press(&["y"]);
        tmux.until("8080/tcp is free");
        until_ended(&victim);
        assert!([&other, &above, &first].iter().all(|role| !has_ended(role)));
        tmux.press(&["q"]);
        tmux.until_without("8080/tcp is free");
        tmux.press(&["q"]);
        tmux.until_it("the shell", |screen| screen.ends_with('$'));
    });
}

/// Between the key and the answer another program may take the port.
#[test]
fn what_takes_the_port_before_the_answer_is_not_ended() {
    in_namespace(|| {
        let servers = Servers::new();
        let victim = servers.start("victim", "listen 127.0.0.1:8080");
        let Some(tmux) = Tmux::start(80, 24) else { return };
        tmux.type_line(VIEW);
        tmux.until("victim");
        tmux.press(&["k"]);
        tmux.until("Do this? [y/N]");
        drop(victim);
        let heir = servers.start("heir", "listen 127.0.0.1:8080");
        tmux.press(&["y"]);
        let told = tmux.until("it had ended by itself");
        assert!(told.contains("heir"), "{told}");
        assert!(!has_ended(&heir));
        tmux.press(&["q", "n", "q"]);
        tmux.until_it("the shell", |screen| screen.ends_with('$'));
        // No is no.
        tmux.type_line(&format!("clear; {VIEW}"));
        tmux.until("heir");
        tmux.press(&["k"]);
        tmux.until("Do this? [y/N]");
        tmux.press(&["Enter"]);
        tmux.until_without("Do this?");
        tmux.press(&["q"]);
        tmux.until_it("the shell", |screen| screen.ends_with('$'));
        assert!(!has_ended(&heir));
    });
}

/// `k` on a connection said that its server did not hold the port any more, in a line that was cut.
#[test]
fn a_connection_of_a_server_is_ended_as_what_listens() {
    in_namespace(|| {
        let servers = Servers::new();
        let api = servers.start("api", "serve 127.0.0.1:3000");
        let client = servers.start("client", "connect 127.0.0.1:3000 from=127.0.0.1:40000");
        let Some(tmux) = Tmux::start(60, 24) else { return };
        tmux.type_line("portcheck watch --all --columns port,protocol,state,process");
        tmux.until("client");
        tmux.press(&["/"]);
        tmux.press(&["4", "0", "0", "0", "0", "Enter", "k"]);
        let told = tmux.until("nothing was done");
        let is_whole = |line: &str| !line.contains('│') || line.trim_end().ends_with('│');
        assert!(told.contains("holds the port only by a") && told.contains("--clients"), "{told}");
        assert!(told.lines().all(is_whole), "{told}");
        tmux.press(&["q", "Escape"]);
        tmux.until_without("filter:");
        tmux.press(&["/"]);
        tmux.press(&["e", "s", "t", "a", "b", "Space", "a", "p", "i", "Enter"]);
        tmux.until("filter: estab api");
        tmux.press(&["k"]);
        let question = tmux.until("Do this? [y/N]");
        let asked = format!("api (pid {}) ", api.pid());
        assert!(question.contains(&asked), "{question}");
        tmux.press(&["y"]);
        until_ended(&api);
        assert!(!has_ended(&client));
    });
}

/// It said that nothing is in use, though the filter only hid what is.
#[test]
fn a_list_without_rows_says_that_none_matches() {
    in_namespace(|| {
        let servers = Servers::new();
        let _web = servers.start("web-server", "listen 127.0.0.1:8080");
        let Some(tmux) = Tmux::start(80, 24) else { return };
        for (arguments, expected) in
            [("--process nobody", "no socket matches; --all adds connections\n"), ("8081 --all", "no socket matches\n")]
        {
            tmux.type_line(&format!("clear; portcheck watch {arguments}"));
            tmux.until(expected);
            tmux.press(&["q"]);
            tmux.until_it("the shell", |screen| screen.ends_with('$'));
        }
    });
}

#[test]
fn it_follows_the_size_of_the_terminal_and_the_wish_for_colours() {
    in_namespace(|| {
        let servers = Servers::new();
        let _web = servers.start("web-server", "listen 127.0.0.1:8080");
        let Some(tmux) = Tmux::start(80, 24) else { return };
        tmux.type_line(&format!("NO_COLOR=1 {VIEW}"));
        tmux.until("web-server");
        for (width, height) in [(160, 50), (40, 10), (200, 60), (80, 24)] {
            tmux.resize(width, height);
            let is_whole = move |screen: &str| {
                screen.starts_with("portcheck watch")
                    && screen.lines().count() == usize::from(height)
                    && screen.lines().any(|line| line.contains("8080"))
            };
            let screen = tmux.until_it("resized", is_whole);
            assert!(screen.lines().all(|line| line.chars().count() <= usize::from(width)), "{screen}");
        }
        tmux.until_it("the last line", |screen| screen.ends_with("q quit"));
        let late = servers.start("late", "listen 127.0.0.1:8081");
        tmux.until(" + 8081");
        assert!(!tmux.coloured().contains("[32m"), "{:?}", tmux.coloured());
        tmux.press(&["q"]);
        tmux.until_it("the shell", |screen| screen.ends_with('$'));
        tmux.type_line(&format!("clear; {VIEW}"));
        tmux.until("late");
        drop(late);
        tmux.until(" - 8081");
        assert!(tmux.coloured().contains("[31m"), "{:?}", tmux.coloured());
    });
}

/// Starts the view in a shell that has noted how its terminal is set.
fn start_noted(tmux: &Tmux, view: &str) {
    tmux.type_line("A=$(stty -a); clear");
    tmux.type_line(view);
    tmux.until("q quit");
    assert_eq!(tmux.modes(), "1 1 0");
}

/// Whether the terminal is as it was before.
#[track_caller]
fn expect_restored(tmux: &Tmux) {
    assert_eq!(tmux.modes(), "0 0 1");
    tmux.type_line("[[ $(stty -a) == \"$A\" ]] && echo as it $((1)) was");
    tmux.until("as it 1 was");
}

fn signal(name: &str, signal: Signal) {
    let pid = pid_of(name).unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// The process of our network namespace with this name.
fn pid_of(name: &str) -> Option<i32> {
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let mut pids = pids.filter(|pid: &i32| {
        let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        comm.trim_end() == name && std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|link| link == own)
    });
    pids.next()
}

#[test]
fn it_is_suspended_and_resumed() {
    in_namespace(|| {
        let servers = Servers::new();
        let Some(tmux) = Tmux::start(80, 24) else { return };
        start_noted(&tmux, VIEW);
        for by_key in [true, false] {
            if by_key {
                tmux.press(&["C-z"]);
            } else {
                signal("portcheck", Signal::TSTP);
            }
            tmux.until("Stopped");
            expect_restored(&tmux);
            let _late = servers.start("late", "listen 127.0.0.1:8080");
            tmux.type_line("clear; fg");
            tmux.until("late");
            assert_eq!(tmux.modes(), "1 1 0");
        }
        tmux.press(&["q"]);
        tmux.until_it("the shell", |screen| screen.ends_with('$'));
        expect_restored(&tmux);
    });
}

#[test]
fn signals_and_a_panic_leave_the_terminal_as_it_was() {
    in_namespace(|| {
        let Some(tmux) = Tmux::start(80, 24) else { return };
        tmux.type_line("ulimit -c 0");
        // All that end a program by default, but for those that tell of a fault in it.
        let wishes = ["TERM", "HUP", "INT"].map(|name| (name, Some(0)));
        let ends = ["QUIT", "ABRT", "ALRM", "PROF", "SYS", "TRAP", "USR1", "USR2", "VTALRM", "XCPU", "XFSZ", "IO"];
        let linux = ["PWR", "STKFLT", "RTMIN+1", "RTMAX"];
        for (name, code) in wishes.into_iter().chain(ends.into_iter().chain(linux).map(|name| (name, None))) {
            start_noted(&tmux, VIEW);
            let pid = pid_of("portcheck").unwrap();
            let sent =
                Command::new("bash").args(["-c", &format!("kill -{name} {pid}; kill -l {name}")]).output().unwrap();
            let number: i32 = String::from_utf8_lossy(&sent.stdout).trim().parse().unwrap();
            let code = code.unwrap_or(128 + number);
            // The shell says what ended it, above its prompt.
            tmux.until_it(name, |screen| screen.ends_with('$'));
            tmux.type_line("echo ended by $?");
            tmux.until(&format!("ended by {code}"));
            expect_restored(&tmux);
        }
        tmux.type_line("A=$(stty -a); clear");
        tmux.type_line(&format!("RUST_BACKTRACE=0 {VIEW} --panic-for-test; echo ended by $?"));
        let screen = tmux.until("ended by 101");
        assert!(screen.contains("as asked"), "{screen}");
        expect_restored(&tmux);
    });
}

/// It waited for such a terminal for ever, whatever signal it got.
#[test]
fn a_terminal_that_takes_no_more_text_does_not_keep_it() {
    in_namespace(|| {
        let line = format!("stty cols 200 rows 50; TERM=xterm exec {} watch", env!("CARGO_BIN_EXE_portcheck"));
        let Some(mut terminal) = Terminal::running(&line) else { return };
        terminal.expect("quit");
        let view = pid_of("portcheck").unwrap();
        let of_view = |file: &str| std::fs::read_to_string(format!("/proc/{view}/{file}")).unwrap_or_default();
        // Nobody reads what it draws from now on.
        until("it waits for its terminal", || {
            terminal.type_bytes(&[0x0c; 200]);
            of_view("wchan").contains("wait_woken")
        });
        kill_process(Pid::from_raw(view).unwrap(), Signal::TERM).unwrap();
        until("it has ended", || {
            let stat = of_view("stat");
            stat.is_empty() || stat.contains(") Z")
        });
    });
}

/// Neither the shell nor the terminal of a view may end without it.
#[test]
fn it_does_not_outlive_the_shell_around_it() {
    in_namespace(|| {
        let Some(tmux) = Tmux::start(80, 24) else { return };
        tmux.type_line("A=$(stty -a); clear");
        tmux.type_line("(exec bash --norc --noprofile)");
        tmux.type_line(VIEW);
        tmux.until("q quit");
        let view = pid_of("portcheck").unwrap();
        let status = std::fs::read_to_string(format!("/proc/{view}/status")).unwrap();
        let parent: i32 = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap().parse().unwrap();
        kill_process(Pid::from_raw(parent).unwrap(), Signal::KILL).unwrap();
        tmux.until("Killed");
        let deadline = Instant::now() + Duration::from_secs(10);
        while Path::new(&format!("/proc/{view}")).exists() {
            assert!(Instant::now() < deadline, "the view still runs");
            std::thread::yield_now();
        }
        tmux.type_line("reset");
        tmux.type_line("clear; stty -a | grep -ow '[-]*icanon\\|[-]*echo'");
        tmux.until_it("a sane terminal", |screen| screen.ends_with("icanon\necho\n$"));
        assert_eq!(tmux.modes(), "0 0 1");
    });
}
