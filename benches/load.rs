//! Makes a load of processes, descriptors and TCP sockets, and runs a command inside it.
//!
//! It does so in a network namespace of its own. The load is this program itself, started again for
//! every process: a child waits for a byte on its standard input, opens its share, reports one line
//! (empty, or what failed) and then holds everything until the pipe is closed.

#[path = "load/cgroup.rs"]
mod cgroup;
#[path = "load/child.rs"]
mod child;

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode};

use clap::{CommandFactory, Parser, ValueEnum};
use rustix::process::geteuid;

use cgroup::Cgroup;

/// The exit status if this program itself fails, as `env` and `timeout` have it.
const OWN_FAILURE: u8 = 125;

/// Run a command among many processes, descriptors and TCP sockets
///
/// Without a command, hold them until standard input ends, after the line `ready PID=... port=...`
/// about the process that listens on the port.
#[derive(Parser)]
#[command(name = "load")]
struct Options {
    /// Processes that share the descriptors, besides the one that listens on the port
    #[arg(long, default_value_t = 370, value_parser = clap::value_parser!(u32).range(1..))]
    processes: u32,
    /// Descriptors these processes hold together, sockets included
    #[arg(long, default_value_t = 110_000)]
    descriptors: u64,
    /// Established connections over loopback, two sockets each
    #[arg(long, default_value_t = 9_000)]
    connections: u64,
    /// Listening sockets, besides the one on the port
    #[arg(long, default_value_t = 50)]
    listeners: u64,
    /// The port that one more process listens on, at 127.0.0.1
    #[arg(long, default_value_t = 62_893, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Put the process that listens on the port into a cgroup (version 2) of its own
    #[arg(long)]
    cgroups: bool,
    /// Internal: the network namespace is entered already
    #[arg(long, hide = true)]
    inside: bool,
    /// Internal: be one process of the load, with the share that the other options give
    #[arg(long, hide = true)]
    child: Option<Role>,
    /// Internal: the address this child listens and connects at
    #[arg(long, hide = true, default_value_t = Ipv4Addr::LOCALHOST)]
    address: Ipv4Addr,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Role {
    /// Holds a share of descriptors, connections and listeners
    Worker,
    /// Listens on the port
    Holder,
}

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = env::args_os().skip(1).collect();
    // Cargo puts its `--bench` behind all arguments, where the command would get it.
    arguments.pop_if(|last| last == "--bench");
    // A bare `cargo bench` or `cargo test --all-targets` runs this, too, and must not have to wait.
    if arguments.is_empty() {
        println!("{}", Options::command().render_help());
        return ExitCode::SUCCESS;
    }
    let options = Options::parse_from([OsString::from("load")].iter().chain(&arguments));
    let outcome = match options.child {
        Some(role) => child::be(role, &options),
        None if options.inside => run(&options),
        None => enter_namespace(&arguments),
    };
    outcome.unwrap_or_else(|message| {
        eprintln!("load: {message}");
        ExitCode::from(OWN_FAILURE)
    })
}

/// Puts what failed in front of the error.
fn cannot<E: Display>(what: impl Display) -> impl FnOnce(E) -> String {
    move |error| format!("cannot {what}: {error}")
}

fn own_program() -> Result<PathBuf, String> {
    env::current_exe().map_err(cannot("find this program's own file"))
}

/// Starts this program again, as the same process, in a new network namespace.
fn enter_namespace(arguments: &[OsString]) -> Result<ExitCode, String> {
    let mut unshare = Command::new("unshare");
    unshare.arg("--net");
    if !geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    let error = unshare.arg("--").arg(own_program()?).arg("--inside").args(arguments).exec();
    Err(format!("cannot run unshare (of util-linux): {error}"))
}

/// Builds the load, runs the command or waits in it, and takes it down.
fn run(options: &Options) -> Result<ExitCode, String> {
    bring_loopback_up()?;
    // Declared before the processes, so that it is dropped after them: a cgroup is removed only
    // when empty.
    let cgroup = options.cgroups.then(Cgroup::create).transpose()?;
    let mut workers = Crew::new()?;
    let mut holder = Crew::new()?;
    for index in 0..options.processes {
        // In the middle of the process list: a tool that stops at the first holder has to go half
        // of the way.
        if index == options.processes / 2 {
            holder.spawn(Role::Holder, &[format!("--port={}", options.port)])?;
        }
        workers.spawn(Role::Worker, &worker_share(options, index))?;
    }
    let holder_pid = holder.members.iter().map(Child::id).next().ok_or("no process for the port")?;
    if let Some(cgroup) = &cgroup {
        cgroup.admit(holder_pid)?;
    }
    // The holder first, as a connection could get its port.
    holder.set_to_work()?;
    workers.set_to_work()?;

    let Some((program, arguments)) = options.command.split_first() else {
        println!("ready PID={holder_pid} port={}", options.port);
        io::copy(&mut io::stdin(), &mut io::sink()).map_err(cannot("wait for the end of standard input"))?;
        return Ok(ExitCode::SUCCESS);
    };
    let status =
        Command::new(program).args(arguments).status().map_err(cannot(format_args!("run {}", program.display())))?;
    // A command that was killed is reported as a shell does it.
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(OWN_FAILURE)))
}

fn bring_loopback_up() -> Result<(), String> {
    let status =
        Command::new("ip").args(["link", "set", "lo", "up"]).status().map_err(cannot("run ip (of iproute2)"))?;
    if status.success() { Ok(()) } else { Err(format!("`ip link set lo up` failed: {status}")) }
}

/// The options with the share of the worker at `index`.
fn worker_share(options: &Options, index: u32) -> [String; 4] {
    let (index, count) = (u64::from(index), u64::from(options.processes));
    // Differences of a running total, so the remainder is spread and the shares add up to `total`.
    let share = |total: u64| total * (index + 1) / count - total * index / count;
    // An address for each, so that no two workers compete for the ephemeral ports of one
    // destination.
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 1)).saturating_add(index as u32));
    [
        format!("--address={address}"),
        format!("--descriptors={}", share(options.descriptors)),
        format!("--connections={}", share(options.connections)),
        format!("--listeners={}", share(options.listeners)),
    ]
}

/// Child processes that start together. They are killed and reaped when dropped.
struct Crew {
    members: Vec<Child>,
    go: PipeWriter,
    reports: PipeReader,
    /// The children's ends of both pipes, kept until all children are started.
    child_ends: Option<(PipeReader, PipeWriter)>,
}

impl Crew {
    fn new() -> Result<Self, String> {
        let (wait, go) = io::pipe().map_err(cannot("make a pipe"))?;
        let (reports, report) = io::pipe().map_err(cannot("make a pipe"))?;
        Ok(Self { members: Vec::new(), go, reports, child_ends: Some((wait, report)) })
    }

    fn spawn(&mut self, role: Role, share: &[String]) -> Result<(), String> {
        let (wait, report) = self.child_ends.as_ref().ok_or("this crew is at work already")?;
        let name = role.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let child = Command::new(own_program()?)
            .arg(format!("--child={name}"))
            .args(share)
            .stdin(wait.try_clone().map_err(cannot("duplicate a pipe"))?)
            .stdout(report.try_clone().map_err(cannot("duplicate a pipe"))?)
            .spawn()
            .map_err(cannot(format_args!("start {name} {}", self.members.len() + 1)))?;
        self.members.push(child);
        Ok(())
    }

    /// Lets every child open its share, and returns when all have.
    fn set_to_work(&mut self) -> Result<(), String> {
        // Without this process's copies, the reports end when the last child has closed its own or
        // has died.
        self.child_ends = None;
        let count = self.members.len();
        self.go.write_all(&vec![b'\n'; count]).map_err(cannot("set the processes to work"))?;
        let mut reports = String::new();
        self.reports.read_to_string(&mut reports).map_err(cannot("read what the processes report"))?;
        let ready = reports.lines().filter(|line| line.is_empty()).count();
        if ready == count {
            return Ok(());
        }
        let first = reports.lines().find(|line| !line.is_empty()).unwrap_or("died without a word");
        Err(format!("{} of {count} processes failed, the first said: {first}", count - ready))
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        // All children are told before the first is awaited. This fails only if a child has ended
        // already.
        for child in &mut self.members {
            let _ = child.kill();
        }
        for child in &mut self.members {
            let _ = child.wait();
        }
    }
}
