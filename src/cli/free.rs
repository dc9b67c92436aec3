//! `portcheck free`: ports that stay free until they are used.

use std::collections::HashSet;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use strum::VariantNames;

use super::common::{Narrow, Output};
use super::names::{NativeOnly, PickingFormats, named, parse_pid};
use super::rules::Rule;
use super::wait::JSON_BESIDE_COMMAND;
use super::{Stop, Wish, help};
use crate::classify::Class;
use crate::commands::free::{self, Demand, Handover, LONGEST_TTL, Order, Wanted};
use crate::duration::parse_duration;
use crate::model::{Family, Pid, Protocol};
use crate::platform::machine;
use crate::port_set::PortSet;
use crate::probe::{self, Outcome};
use crate::render::Format;
use crate::target::{self, Target};
use crate::terminal::free::Picking;

const KEEPING: &str = "Keeping them";
const USING: &str = "Using them";

/// How long a lease lasts if nobody says.
const USUAL_TTL: Duration = Duration::from_mins(1);

/// The most ports that are picked at a time. Who asks for more most likely means a port by its
/// number.
const MOST: u16 = 1000;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Which ports", after_help = help::styled(help::FREE))]
pub struct FreeArgs {
    /// How many ports [default: 1, or as many as --env names]
    #[arg(value_name = "N", value_parser = parse_count, help_heading = None)]
    count: Option<u16>,
    /// Pick from these ports: 3000-3999, or 3000-3999,8000-8099 [default: 20000-29999]
    #[arg(long, value_name = "A-B")]
    range: Vec<String>,
    /// Never pick these: 3000, or 3000-3010,8080
    #[arg(long, value_name = "PORTS")]
    exclude: Vec<String>,
    /// Try these first, in this order: 3000, or 3000,3001
    #[arg(long, value_name = "PORT")]
    prefer: Vec<String>,
    /// Pick the nearest port that is free and not excluded
    #[arg(long, value_name = "PORT", conflicts_with = "sticky")]
    near: Option<String>,
    /// Only ports of this class
    #[arg(long, value_name = "CLASS", value_parser = named::<Class>(Class::VARIANTS))]
    class: Option<Class>,
    /// The same port for the same NAME, directory and user, whenever it is free
    #[arg(long, value_name = "NAME")]
    sticky: Option<String>,
    /// Free on this address only, such as 127.0.0.1, ::1 or localhost
    #[arg(long, value_name = "ADDRESS")]
    addr: Option<String>,
    #[command(flatten)]
    narrow: Narrow,
    /// How long to keep the port from other callers of portcheck: 90s, 5m; 0 for not at all
    /// [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_duration, allow_hyphen_values = true, help_heading = KEEPING)]
    ttl: Option<Duration>,
    /// Also keep the port bound; then only a server that sets SO_REUSEADDR can bind it
    #[arg(long, help_heading = KEEPING)]
    hold: bool,
    /// Release the port when this process ends [default with --hold: the caller of portcheck]
    #[arg(long, value_name = "PID", value_parser = parse_pid, help_heading = KEEPING)]
    pid: Option<Pid>,
    /// Name the variables of the ports, instead of PORT, PORT2
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = USING)]
    env: Vec<String>,
    /// Append NAME=port lines to this file, such as "$GITHUB_ENV"
    #[arg(long, value_name = "FILE", help_heading = USING)]
    env_file: Option<PathBuf>,
    /// Give CMD listening sockets, as systemd does: descriptors from 3 on, and LISTEN_FDS
    #[arg(long, conflicts_with = "release_on_exec", help_heading = USING)]
    pass_fds: bool,
    /// Do not hold the port while CMD runs: for servers that do not set SO_REUSEADDR
    #[arg(long, help_heading = USING)]
    release_on_exec: bool,
    #[command(flatten)]
    native: NativeOnly,
    #[command(flatten)]
    output: Output<PickingFormats>,
    /// A command to run with PORT set; {port} and {port2} in it are replaced
    #[arg(last = true, value_name = "CMD", help_heading = None)]
    cmd: Vec<OsString>,
}

/// What does not go together.
pub const RULES: &[Rule<FreeArgs>] = &[
    Rule {
        example: "free --pass-fds",
        is_broken: |free| free.pass_fds && free.cmd.is_empty(),
        message: "--pass-fds goes with a command: add '-- CMD'",
    },
    Rule {
        example: "free --release-on-exec",
        is_broken: |free| free.release_on_exec && free.cmd.is_empty(),
        message: "--release-on-exec goes with a command: add '-- CMD'",
    },
    Rule {
        example: "free --ttl 5s -- true",
        is_broken: |free| free.ttl.is_some() && !free.cmd.is_empty(),
        message: "--ttl does not go with a command, which has its ports for as long as it runs",
    },
    Rule {
        example: "free --hold -- true",
        is_broken: |free| free.hold && !free.cmd.is_empty(),
        message: "--hold does not go with a command, which has its ports for as long as it runs",
    },
    Rule {
        example: "free --pid 1 -- true",
        is_broken: |free| free.pid.is_some() && !free.cmd.is_empty(),
        message: "--pid does not go with a command, which has its ports for as long as it runs",
    },
    Rule {
        example: "free --ttl 9000h",
        is_broken: |free| free.ttl.is_some_and(|ttl| ttl > LONGEST_TTL),
        message: "--ttl: give a time of at most a year, such as 90s or 5m",
    },
    Rule {
        example: "free --json -- true",
        is_broken: |free| free.output.format() == Format::Json && !free.cmd.is_empty(),
        message: JSON_BESIDE_COMMAND,
    },
    Rule {
        example: "free --format csv -- true",
        is_broken: |free| !matches!(free.output.format(), Format::Table | Format::Json) && !free.cmd.is_empty(),
        message: "--format: standard output is the command's own, so leave --format or the command out",
    },
    Rule {
        example: "free --hold --ttl 0",
        is_broken: |free| free.hold && free.ttl == Some(Duration::ZERO),
        message: "--hold does not go with --ttl 0, which keeps the port for no time",
    },
    Rule {
        example: "free --hold --udp",
        is_broken: |free| free.hold && free.narrow.protocol() == Some(Protocol::Udp),
        message: "--hold cannot keep UDP ports: it would receive the datagrams. Leave --udp or --hold out",
    },
    Rule {
        example: "free --class well-known",
        is_broken: |free| matches!(free.class, Some(Class::WellKnown)),
        message: "--class well-known has no ports to pick from: they belong to system services",
    },
    Rule {
        example: "free --env A",
        is_broken: |free| !free.env.is_empty() && free.cmd.is_empty() && free.env_file.is_none(),
        message: "--env names variables for a command: add '-- CMD', or --env-file FILE",
    },
];

/// Reads the number of ports. A number that is too large for one is a port that somebody would like
/// to have.
fn parse_count(typed: &str) -> Result<u16, String> {
    match typed.parse::<u16>() {
        Ok(0) => Err("'0' ports cannot be picked: leave the number out for one port".to_owned()),
        Ok(count @ 1..=MOST) => Ok(count),
        Ok(port) => Err(format!(
            "'{typed}' is a number of ports, and at most {MOST} can be picked at a time; \
             to pick port {port} if it is free: portcheck free --prefer {port}"
        )),
        Err(_) => Err(format!("'{typed}' is not a number of ports from 1 to {MOST}: portcheck free 3")),
    }
}

impl FreeArgs {
    /// What it asks for.
    pub fn resolve(self) -> Result<Wish, Stop> {
        let printing = self.output.printing();
        Ok(Wish::Pick(Box::new(self.picking()?), printing))
    }

    fn picking(self) -> Result<Picking, Stop> {
        let names = names(&self.env, self.count)?;
        require_names(&names, &self.cmd)?;
        let handover = self.handover();
        Ok(Picking {
            demand: self.demand(names.len())?,
            ttl: self.ttl.unwrap_or(USUAL_TTL),
            hold: self.hold,
            pid: self.pid,
            names,
            env_file: self.env_file,
            command: (!self.cmd.is_empty()).then_some((self.cmd, handover)),
        })
    }

    fn demand(&self, count: usize) -> Result<Demand, Stop> {
        let (addresses, scope) = match &self.addr {
            Some(address) => place(address)?,
            None => (Vec::new(), 0),
        };
        let family = self.narrow.family();
        if !addresses.is_empty() && !addresses.iter().any(|&address| Family::fits(family, address)) {
            return Err(usage("--addr does not go with this IP version: leave -4 or -6 out"));
        }
        let wanted = self.wanted()?;
        let key = self.sticky.as_deref().map(sticky_key).transpose()?;
        Ok(Demand {
            count,
            order: match (wanted.near, key) {
                (Some(near), _) => Order::Near(near),
                (_, Some(key)) => Order::Scattered(key),
                _ => Order::random(),
            },
            wanted,
            key,
            protocols: self.narrow.protocols(),
            family,
            addresses: addresses.into_iter().filter(|&address| Family::fits(family, address)).collect(),
            scope,
            as_servers: self.pass_fds,
        })
    }

    /// The ports that would do.
    fn wanted(&self) -> Result<Wanted, Stop> {
        let wanted = Wanted {
            range: if self.range.is_empty() { None } else { Some(port_set("--range", &self.range)?) },
            exclude: port_set("--exclude", &self.exclude)?,
            class: self.class,
            preferred: ports("--prefer", &self.prefer)?,
            near: self.near.as_deref().map(|near| port("--near", near)).transpose()?,
        };
        match (wanted.span().is_empty(), wanted.exclude.is_empty()) {
            (true, true) => Err(usage("--range and --class have no port in common")),
            (true, false) => Err(usage("--exclude leaves no port to pick from")),
            _ => Ok(wanted),
        }
    }

    const fn handover(&self) -> Handover {
        match (self.pass_fds, self.release_on_exec) {
            (true, _) => Handover::Servers,
            (_, true) => Handover::Release,
            _ => Handover::Hold,
        }
    }
}

fn usage(message: impl Into<String>) -> Stop {
    Stop::Usage(message.into())
}

/// The names of the ports, one each.
fn names(given: &[String], count: Option<u16>) -> Result<Vec<String>, Stop> {
    if given.is_empty() {
        return Ok(free::usual_names(count.unwrap_or(1).into()));
    }
    for (index, name) in given.iter().enumerate() {
        if !free::is_name(name) {
            return Err(usage(format!("--env '{name}' is not a variable name: use letters, digits and _ only")));
        }
        if free::rules_programs(name) {
            return Err(usage(format!(
                "--env {name}: commands would break with a port in {name}: choose another name"
            )));
        }
        if given[..index].contains(name) {
            return Err(usage(format!("--env names {name} twice")));
        }
    }
    match count {
        Some(count) if usize::from(count) != given.len() => {
            let names = given.len();
            Err(usage(format!("{count} ports do not go with --env and {names} names: leave the number out")))
        }
        _ => Ok(given.to_vec()),
    }
}

/// Requires a port for every placeholder in the command.
fn require_names(names: &[String], command: &[OsString]) -> Result<(), Stop> {
    let highest =
        command.iter().map(|argument| free::highest_placeholder(argument.as_encoded_bytes())).max().unwrap_or(0);
    if highest <= names.len() {
        return Ok(());
    }
    let (number, ports) = (names.len(), if names.len() == 1 { "port is" } else { "ports are" });
    Err(usage(format!("CMD says {{port{highest}}}, but only {number} {ports} picked: portcheck free {highest}")))
}

/// Reads ports, ranges and lists of them, in the grammar of targets.
fn targets(option: &str, typed: &str) -> Result<Vec<Target>, Stop> {
    let targets = target::parse(typed, &machine::NAMES).map_err(|error| usage(format!("{option} {error}")))?;
    if targets.iter().any(|target| !target.addresses.is_empty()) {
        return Err(usage(format!("{option} '{typed}': give ports only; --addr is for addresses")));
    }
    Ok(targets)
}

pub fn ports(option: &str, typed: &[String]) -> Result<Vec<u16>, Stop> {
    let mut ports = Vec::new();
    for typed in typed {
        ports.extend(targets(option, typed)?.iter().flat_map(Target::ports));
    }
    // A service name is mostly one of TCP and of UDP.
    let mut known = HashSet::new();
    ports.retain(|&port| known.insert(port));
    Ok(ports)
}

fn port(option: &str, typed: &str) -> Result<u16, Stop> {
    match ports(option, &[typed.to_owned()])?[..] {
        [port] => Ok(port),
        _ => Err(usage(format!("{option} '{typed}': give one port"))),
    }
}

fn port_set(option: &str, typed: &[String]) -> Result<PortSet, Stop> {
    let targets = typed.iter().map(|typed| targets(option, typed)).collect::<Result<Vec<_>, Stop>>()?;
    Ok(target::ports_of(&targets.concat()))
}

/// Reads an address of this machine, and the index of its interface if it names one.
fn place(typed: &str) -> Result<(Vec<IpAddr>, u32), Stop> {
    // The grammar of targets wants a port behind it, and brackets around an IPv6 address.
    let with_port =
        if typed.contains(':') && !typed.starts_with('[') { format!("[{typed}]:1") } else { format!("{typed}:1") };
    let wrong = |reason: &str| usage(format!("--addr '{typed}' {reason}"));
    let targets = target::parse(&with_port, &machine::NAMES).map_err(|error| wrong(&error.reason))?;
    let [Target { addresses, zone, .. }] = &targets[..] else { return Err(wrong("is not an address")) };
    if addresses.is_empty() {
        return Err(wrong("is every address: leave it out"));
    }
    let scope = zone.as_deref().map_or(0, machine::interface_index);
    for &address in addresses {
        // Any port of it, for the moment that it takes to ask.
        match Outcome::of(&probe::bind(0, Protocol::Udp, probe::spot_of(address, scope))) {
            Outcome::Invalid => return Err(wrong("needs its interface: fe80::1%eth0")),
            outcome if outcome.is_about_the_address() => return Err(wrong("is not an address of this machine")),
            _ => {}
        }
    }
    Ok((addresses.clone(), scope))
}

/// The key of a project: who, where, and by which name.
fn sticky_key(name: &str) -> Result<u64, Stop> {
    let directory = std::env::current_dir()
        .map_err(|error| usage(format!("--sticky: cannot tell the current directory: {error}")))?;
    let uid = crate::collect::host(crate::model::Backend::Native).euid.unwrap_or(0);
    Ok(Order::sticky_key(uid, directory.as_os_str().as_encoded_bytes(), name))
}
