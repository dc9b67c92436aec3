//! Processes that play a part in a test: the test binary, started again with its part in the
//! environment.
//!
//! A test file that uses them has `#[test] fn role() { common::role::play() }`, which does nothing
//! by itself.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

const ROLE: &str = "PORTCHECK_TEST_ROLE";
/// Precedes what a role says, as the test harness writes to standard output, too.
const SAYS: &str = "role says ";

/// A running role. It is ended and reaped when dropped.
#[derive(Debug)]
pub struct Role {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Role {
    /// Starts a role in a process of its own. It waits for [`Role::go`] before it does anything.
    pub fn start(part: &str) -> Self {
        Self::spawn(Command::new(std::env::current_exe().unwrap()), part)
    }

    /// The same under another name: the program is found through the file `alias`.
    pub fn start_as(alias: &Path, part: &str) -> Self {
        Self::spawn(Command::new(alias), part)
    }

    /// Starts a role as another user. It waits for [`Role::go`].
    pub fn start_as_user(uid: u32, part: &str) -> Self {
        let mut command = Command::new(super::readable_copy(&std::env::current_exe().unwrap()));
        command.current_dir("/").uid(uid).gid(uid);
        Self::spawn(command, part)
    }

    /// Starts a role as another user, and lets it begin.
    pub fn playing_as_user(uid: u32, part: &str) -> (Self, String) {
        let mut role = Self::start_as_user(uid, part);
        let said = role.go();
        (role, said)
    }

    /// Starts a role by a command that ends by running this test binary, such as a shell that
    /// prepares something.
    pub fn spawn(mut command: Command, part: &str) -> Self {
        let mut child = command
            .args(["--exact", "role", "--nocapture", "--test-threads=1"])
            .env(ROLE, part)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdin, stdout }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it begin, and waits until it is ready. Returns what it says then.
    pub fn go(&mut self) -> String {
        self.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "the role ended");
            // The harness leaves its own line unfinished: `test role ... `.
            if let Some((_, said)) = line.split_once(SAYS) {
                return said.trim_end().to_owned();
            }
        }
    }

    /// Starts a role and lets it begin.
    pub fn playing(part: &str) -> (Self, String) {
        let mut role = Self::start(part);
        let said = role.go();
        (role, said)
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn say(text: &str) {
    println!("{SAYS}{text}");
}

/// Plays the part that the environment names, if it names one.
///
/// - `listen ADDRESS [OPTION...]`: listens, says the address
/// - `nameless ADDRESS [OPTION...]`: the same, after it has blanked its own name
/// - `bind ADDRESS [OPTION...]`: binds without listening, says the address
/// - `udp ADDRESS [OPTION...]`: binds a UDP socket, says the address
/// - `connect ADDRESS [from=ADDRESS]`: connects, says its own address
/// - `accept ADDRESS [OPTION...]`: listens, accepts one connection and closes the listener, says
///   the address
/// - `itself ADDRESS`: connects to itself, says the address
/// - `serve ADDRESS [OPTION...]`: listens, says the address, accepts one connection and keeps both
/// - `family ADDRESS [OPTION...]`: listens, and has seven children that have the socket too; says
///   their ids
/// - `portcheck ARGUMENTS...`: runs the binary, says the first line that it prints
/// - `blink FIRST`: listens on 250 ports from FIRST on, on each for 250 ms, on a new one every few
///   milliseconds; then says so
/// - `churn FIRST`: opens and closes sockets on 100 ports from FIRST on, as fast as it can
///
/// The options are those of [`open`].
pub fn play() {
    let Ok(part) = std::env::var(ROLE) else { return };
    let words: Vec<&str> = part.split(' ').collect();
    let (verb, argument, options) = (words[0], words[1], &words[2..]);
    let mut go = String::new();
    if std::io::stdin().lock().read_line(&mut go).unwrap() == 0 {
        return;
    }
    let address = || argument.parse::<SocketAddr>().unwrap();
    let say_address = |socket: &Socket| say(&socket.local_addr().unwrap().as_socket().unwrap().to_string());
    // Everything that stays open until the role ends.
    let _kept = match verb {
        "listen" | "nameless" => {
            if verb == "nameless" {
                std::fs::write("/proc/self/comm", [0]).unwrap();
            }
            let socket = listening(address(), options);
            say_address(&socket);
            socket
        }
        "bind" => {
            let socket = open(address(), Type::STREAM, options);
            say_address(&socket);
            socket
        }
        "udp" => {
            let socket = open(address(), Type::DGRAM, options);
            if let Some(peer) = options.iter().find_map(|option| option.strip_prefix("to=")) {
                socket.connect(&peer.parse::<SocketAddr>().unwrap().into()).unwrap();
            }
            say_address(&socket);
            socket
        }
        "connect" => {
            let socket = Socket::new(Domain::for_address(address()), Type::STREAM, None).unwrap();
            if let Some(own) = options.iter().find_map(|option| option.strip_prefix("from=")) {
                socket.bind(&own.parse::<SocketAddr>().unwrap().into()).unwrap();
            }
            socket.connect(&address().into()).unwrap();
            say_address(&socket);
            socket
        }
        "accept" => {
            let listener = listening(address(), options);
            say_address(&listener);
            listener.accept().unwrap().0
        }
        "itself" => {
            let socket = open(address(), Type::STREAM, &[]);
            socket.connect(&address().into()).unwrap();
            say_address(&socket);
            socket
        }
        "serve" => {
            let listener = listening(address(), options);
            say_address(&listener);
            let connection = listener.accept().unwrap().0;
            std::mem::forget(connection);
            listener
        }
        "family" => {
            let listener = listening(address(), options);
            listener.set_cloexec(false).unwrap();
            // They end with our standard input, which they share.
            let child = || Command::new("cat").stdout(Stdio::null()).spawn().unwrap().id().to_string();
            say(&(0..7).map(|_| child()).collect::<Vec<_>>().join(" "));
            listener
        }
        "portcheck" => {
            let arguments: Vec<&str> = part.split(' ').skip(1).collect();
            say(super::run(&arguments).first_line());
            return until_ended();
        }
        "blink" => {
            blink(argument.parse().unwrap());
            say("blinked");
            return until_ended();
        }
        "churn" => {
            say("churning");
            churn(argument.parse().unwrap())
        }
        other => panic!("no such role: {other}"),
    };
    until_ended();
}

/// A bound socket. SO_REUSEADDR is not set unless an option says so.
///
/// - `reuse-address`, `reuse-port`, `v6only`: the options of the socket
/// - `device=NAME`: bound to a device
pub fn open(address: SocketAddr, kind: Type, options: &[&str]) -> Socket {
    let socket = Socket::new(Domain::for_address(address), kind, None).unwrap();
    for option in options {
        match option.split_once('=').unwrap_or((option, "")) {
            ("reuse-address", _) => socket.set_reuse_address(true).unwrap(),
            ("reuse-port", _) => socket.set_reuse_port(true).unwrap(),
            ("v6only", _) => socket.set_only_v6(true).unwrap(),
            ("device", name) => socket.bind_device(Some(name.as_bytes())).unwrap(),
            ("to" | "backlog", _) => {}
            (other, _) => panic!("no such option: {other}"),
        }
    }
    if address.is_ipv6() && !options.contains(&"v6only") {
        socket.set_only_v6(false).unwrap();
    }
    socket.bind(&address.into()).unwrap_or_else(|error| panic!("{address} {options:?}: {error}"));
    socket
}

/// The same, listening. The option `backlog=N` sets the backlog.
pub fn listening(address: SocketAddr, options: &[&str]) -> Socket {
    let backlog = options.iter().find_map(|option| option.strip_prefix("backlog="));
    let socket = open(address, Type::STREAM, options);
    socket.listen(backlog.map_or(8, |backlog| backlog.parse().unwrap())).unwrap();
    socket
}

/// A TCP socket that is bound and does not listen.
pub fn bound(address: SocketAddr) -> Socket {
    open(address, Type::STREAM, &[])
}

/// Waits until the test closes our standard input, or ends.
fn until_ended() {
    let mut rest = Vec::new();
    let _ = std::io::stdin().lock().read_to_end(&mut rest);
}

fn blink(first: u16) {
    const OPEN: Duration = Duration::from_millis(250);
    let mut open: VecDeque<(Instant, TcpListener)> = VecDeque::new();
    for port in first..first + 250 {
        open.push_back((Instant::now(), TcpListener::bind(("127.0.0.1", port)).unwrap()));
        std::thread::sleep(Duration::from_millis(5));
        while open.front().is_some_and(|(since, _)| since.elapsed() >= OPEN) {
            open.pop_front();
        }
    }
    for (since, _listener) in open {
        std::thread::sleep(OPEN.saturating_sub(since.elapsed()));
    }
}

fn churn(first: u16) -> ! {
    // As fast as it can, without starving the test: there are more roles than processors.
    rustix::process::nice(19).unwrap();
    let mut port = first;
    loop {
        let address: SocketAddr = ([127, 0, 0, 1], port).into();
        let _listener = TcpListener::bind(address);
        let _bound = Socket::new(Domain::IPV4, Type::STREAM, None)
            .and_then(|socket| socket.bind(&SocketAddr::from(([127, 0, 0, 2], port)).into()).map(|()| socket));
        let _udp = UdpSocket::bind(address);
        port = if port == first + 99 { first } else { port + 1 };
    }
}
