//! Names of leases that a process has taken which is no lease daemon: no conflict, no waiting, and
//! nothing it says is believed.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::lease::{Leases, leased, pick_one, ports_of};
use crate::common::seccomp::portcheck_without;
use crate::common::server::program;
use crate::common::{
    NOBODY, codes, in_namespace, is_root, json, json_as_nobody, json_of, numbers, port, portcheck, run, skip,
};
use serde_json::{Value, json as value};

/// Takes COUNT names from the port FIRST on. A process that poses looks like a lease daemon in
/// listings.
const SQUATTER: &str = r#"
use Socket;
my ($kind, $poses, $first, $count, $client) = @ARGV;
my %type = (datagram => SOCK_DGRAM, stream => SOCK_STREAM);
for my $port ($first .. $first + $count - 1) {
    socket(my $socket, AF_UNIX, $type{$kind} // SOCK_SEQPACKET, 0) or die $!;
    bind($socket, pack('S a*', AF_UNIX, "\0portcheck.lease.$port")) or die $!;
    listen($socket, 128) or die $! unless $kind =~ /bound|datagram/;
    push @sockets, $socket;
}
if ($poses) {
    # Its arguments are in its own memory, from `arg_start` on (proc_pid_stat(5)).
    open(my $stat, '<', '/proc/self/stat') or die $!;
    my ($fields) = <$stat> =~ /.*\) (.*)/;
    open(my $memory, '+<', '/proc/self/mem') or die $!;
    sysseek($memory, (split / /, $fields)[45], 0) and syswrite($memory, "portcheck\0--keep-leases\0") or die $!;
}
$| = 1; print "ready\n";
sleep 1 while $kind =~ /silent|bound|datagram|stream/;
my $left = $kind eq 'absurd' ? '18446744073709551615' : '60000';
while (1) {
    my $wanted = '';
    vec($wanted, fileno($_), 1) = 1 for @sockets;
    select(my $ready = $wanted, undef, undef, undef);
    for my $socket (grep { vec($ready, fileno($_), 1) } @sockets) {
        accept(my $connection, $socket) or next;
        if ($kind eq 'slow') { push @open, $connection; select undef, undef, undef, 1.9 }
        recv($connection, my $asked, 1024, 0);
        my $told = "kind held\nexpires_in_ms $left\nclient $client\nends_with_client true\nclient_name systemd\n";
        send($connection, $asked eq 'tell' ? ($kind eq 'nonsense' ? "kind\n" : $told) : 'done', 0);
    }
}
"#;

/// A running squatter. It is ended when dropped.
struct Squatter(Child);

impl Squatter {
    /// As root, with another name than a lease daemon's.
    fn start(kind: &str, count: u16) -> Self {
        Self::spawn(Command::new("perl"), kind, false, count)
    }

    fn spawn(mut perl: Command, kind: &str, poses: bool, count: u16) -> Self {
        let client = identity_of(1);
        let poses = if poses { "1" } else { "" };
        perl.args(["-e", SQUATTER, kind, poses, "20010", &count.to_string(), &client]);
        let mut child = perl.current_dir("/").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{kind}");
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Squatter {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How lease daemons identify a process: by pid namespace, id and start.
fn identity_of(pid: u32) -> String {
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let started = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap();
    format!("{} {pid} {started}", namespace.display())
}

/// A copy of perl that is called as portcheck is, and that others may run, too.
fn perl_called_portcheck(directory: &tempfile::TempDir) -> Option<PathBuf> {
    let copy = directory.path().join("portcheck");
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::copy(program("perl")?, &copy).unwrap();
    Some(copy)
}

/// The first of the taken names, as the report on its port shows it.
#[track_caller]
fn look(kind: &str) -> Value {
    let answer = json(&["20010"]);
    for protocol in ["tcp", "udp"] {
        assert_eq!(port(&answer, 20_010, protocol)["status"], "free", "{kind}: {answer:#}");
    }
    assert_eq!(answer["exit_code"], 0, "{kind}");
    port(&answer, 20_010, "tcp").clone()
}

/// Regression: such a name was a conflict with exit code 1, and what its process said was believed.
#[test]
fn a_name_that_no_lease_daemon_has_is_a_warning() {
    in_namespace(|| {
        if program("perl").is_none() {
            return skip("no perl");
        }
        for kind in ["silent", "slow", "absurd", "lying", "nonsense", "bound"] {
            let squatter = Squatter::start(kind, 1);
            let tcp = look(kind);
            assert_eq!(codes(&tcp)[..1], ["lease-name-taken"], "{kind}: {tcp:#}");
            let finding = &tcp["findings"][0];
            assert_eq!((&finding["severity"], numbers(&finding["pids"])), (&value!("warning"), vec![squatter.pid()]));
            let who = format!("perl (pid {}) has taken the name of the lease on 20010", squatter.pid());
            assert!(finding["summary"].as_str().unwrap().starts_with(&who), "{finding}");
            let listing = json(&["--leases"]);
            assert_eq!(listing["free"]["leases"], value!([]), "{kind}");
            let problem = listing["free"]["problems"][0].as_str().unwrap();
            assert!(problem.contains(&format!("pid {} has the name", squatter.pid())), "{kind}: {problem}");
            // Nothing was released, whatever its process says.
            let released = run(&["--release", "20010"]);
            assert_eq!((released.code, &*released.stdout), (1, ""), "{kind}: {released:?}");
            assert!(released.stderr.contains("20010 is not leased"), "{kind}: {released:?}");
            drop(squatter);
            assert_eq!(codes(&look(kind))[..1], ["free"], "{kind}");
        }
        // Nobody is affected, as names of other socket types are separate.
        for kind in ["datagram", "stream"] {
            let _squatter = Squatter::start(kind, 1);
            assert_eq!(codes(&look(kind))[..1], ["free"], "{kind}");
            let _leases = Leases;
            assert_eq!(pick_one(&["--range", "20010-20010"]), 20_010, "{kind}");
            assert_eq!(leased(), [20_010], "{kind}");
        }
    });
}

/// Regression: a silent process cost 2 s a look, and a slow one over a minute for a range of 100.
#[test]
fn a_thousand_taken_names_cost_no_time() {
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        let Some(copy) = perl_called_portcheck(&directory) else { return skip("no perl") };
        let time = |arguments: &[&str]| {
            let start = Instant::now();
            run(arguments);
            start.elapsed()
        };
        // Other programs work on this machine, too. So it is too slow only if it is slow every
        // time.
        let is_within = |limit: Duration, arguments: &[&str]| (0..20).any(|_| time(arguments) <= limit);
        let (one, range) = (["20010/tcp", "--no-probe"], ["20010-21009/tcp", "--no-probe"]);
        let usual = |arguments: &[&str]| (0..3).map(|_| time(arguments)).min().unwrap();
        let limits = [usual(&one) + Duration::from_millis(300), usual(&range) + Duration::from_secs(1)];
        for kind in ["silent", "slow", "lying", "absurd", "bound", "datagram", "stream"] {
            for poses in [false, true] {
                let mut perl = Command::new("sh");
                perl.args(["-c", "ulimit -n 4096; exec \"$0\" \"$@\""]);
                perl.arg(if poses { copy.as_os_str() } else { "perl".as_ref() });
                let _squatter = Squatter::spawn(perl, kind, poses, 1000);
                assert!(is_within(limits[0], &one), "{kind}, {poses}: one port takes more than {:?}", limits[0]);
                assert!(is_within(limits[1], &range), "{kind}, {poses}: a range takes more than {:?}", limits[1]);
            }
        }
    });
}

/// A process that speaks the protocol could as well have called portcheck. But its word alone names
/// nobody else.
#[test]
fn nobody_is_named_on_another_users_word() {
    in_namespace(|| {
        let directory = tempfile::tempdir().unwrap();
        let Some(copy) = perl_called_portcheck(&directory) else { return skip("no perl") };
        if !is_root() {
            return skip("needs root to be somebody else");
        }
        let mut perl = Command::new(copy);
        perl.uid(NOBODY).gid(NOBODY);
        let squatter = Squatter::spawn(perl, "lying", true, 1);
        let report = json(&["20010/tcp"]);
        let finding = &port(&report, 20_010, "tcp")["findings"][0];
        assert_eq!((&finding["code"], &finding["details"]["uid"]), (&value!("leased"), &value!(NOBODY)));
        assert_eq!(finding["details"]["client_pid"], Value::Null, "{finding:#}");
        assert!(!finding["summary"].as_str().unwrap().contains("systemd"), "{finding:#}");
        // It says that it ends the lease, and does not.
        let released = run(&["--release", "20010"]);
        assert_eq!((released.code, &*released.stdout), (1, ""), "{released:?}");
        assert!(released.stderr.contains("20010 is still leased"), "{released:?}");
        drop(squatter);
        assert_eq!(run(&["-q", "20010/tcp"]).code, 0);
    });
}

/// Every user can see a lease, and respects it.
#[test]
fn other_users_see_a_lease_for_what_it_is() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to be somebody else");
        }
        let _leases = Leases;
        let picked = pick_one(&[]).to_string();
        let answer = json_as_nobody(&[&picked]);
        let found = &port(&answer, picked.parse().unwrap(), "tcp")["findings"][0];
        assert_eq!((&found["code"], &found["details"]["client_pid"]), (&value!("leased"), &value!(std::process::id())));
    });
}

/// Regression: where a sandbox forbids unix sockets, it said that no port was leased.
#[test]
fn leases_that_cannot_be_asked_about_are_not_called_none() {
    in_namespace(|| {
        const AF_UNIX: &str = "socket=1";
        let _leases = Leases;
        let Some(none) = portcheck_without(AF_UNIX, &["--leases"]) else { return };
        let none = json_of(none);
        assert_eq!((&none["exit_code"], ports_of(&none).len()), (&value!(0), 0), "there are none, and that is seen");
        let picked = pick_one(&[]).to_string();
        for arguments in [&["--leases"][..], &["--release", &picked]] {
            let Some(command) = portcheck_without(AF_UNIX, arguments) else { return };
            let answer = json_of(command);
            let message = answer["error"]["message"].as_str().unwrap();
            assert_eq!((&answer["exit_code"], message.contains("lease daemon")), (&value!(4), true), "{answer:#}");
        }
        let Some(command) = portcheck_without(AF_UNIX, &[&picked]) else { return };
        let answer = json_of(command);
        assert_eq!(answer["gaps"][0]["code"], "leases-unread", "{answer:#}");
        assert_eq!(leased(), [picked.parse::<u16>().unwrap()]);
        assert_eq!(portcheck(&["--release", &picked]).status().unwrap().code(), Some(0));
    });
}
