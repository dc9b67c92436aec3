//! The options of `--free`, and what they mean.

use std::collections::HashSet;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ArgAction;
use portcheck::act::parse_duration;
use portcheck::classify::Class;
use portcheck::free::{self, Demand, Handover, Order, Wanted};
use portcheck::local;
use portcheck::model::{Family, Pid, Protocol};
use portcheck::port_set::PortSet;
use portcheck::probe::{self, Outcome};
use portcheck::render::Format;
use portcheck::target::{self, Target};

use super::Stop;
use super::act::JSON_BESIDE_COMMAND;

const HEADING: &str = "Picking free ports";

/// The longest that a lease may be asked for: a year.
const LONGEST_TTL: Duration = Duration::from_hours(365 * 24);

/// How long a lease lasts if nobody says.
const USUAL_TTL: Duration = Duration::from_mins(1);

/// The options of `--free` that ask for something by themselves.
pub const ACTIONS: [&str; 3] = ["leases", "release", "keep_leases"];

/// The options that only `--free` and its leases know. That they go with it is checked by hand, as clap does not always.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person types")]
pub struct FreeArgs {
    /// Pick N ports that are really free (one, or as many as --env names), and print them, one a line
    #[arg(long, value_name = "N", num_args = 0..=1, value_parser = clap::value_parser!(u16).range(1..), help_heading = HEADING,
          conflicts_with_all = ["all", "process", "user", "exposed", "sort", "reuse_addr", "no_probe", "quick", "explain", "kill", "wait"])]
    #[expect(clippy::option_option, reason = "not given, given, given with a number")]
    free: Option<Option<u16>>,
    /// Pick from these ports, instead of 20000-29999: 3000-3999, or 3000-3999,8000-8099
    #[arg(long, value_name = "A-B", help_heading = HEADING)]
    range: Vec<String>,
    /// Never pick these: 3000, or 3000-3010,8080
    #[arg(long, value_name = "PORTS", help_heading = HEADING)]
    exclude: Vec<String>,
    /// Try these first, in this order, whatever else is said: 3000, or 3000,3001
    #[arg(long, value_name = "PORT", help_heading = HEADING)]
    prefer: Vec<String>,
    /// Pick what is nearest to this port
    #[arg(long, value_name = "PORT", conflicts_with = "sticky", help_heading = HEADING)]
    near: Option<String>,
    /// Free on this address only, such as 127.0.0.1, ::1 or localhost
    #[arg(long, value_name = "ADDRESS", help_heading = HEADING)]
    addr: Option<String>,
    /// The same port for the same NAME, directory and user, whenever it is free
    #[arg(long, value_name = "NAME", help_heading = HEADING)]
    sticky: Option<String>,
    /// How long nobody else who asks --free gets the port: 90s, 5m; 0 for not at all [default: 60s]
    #[arg(long, value_name = "TIME", conflicts_with = "cmd", value_parser = parse_duration, allow_hyphen_values = true, help_heading = HEADING)]
    ttl: Option<Duration>,
    /// Keep the port bound meanwhile: only a server that sets SO_REUSEADDR gets it. Ends with --pid, or our caller
    #[arg(long, conflicts_with = "cmd", help_heading = HEADING)]
    hold: bool,
    /// Call the ports by these names, for CMD and --env-file, instead of PORT, PORT2
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = HEADING)]
    env: Vec<String>,
    /// Append NAME=port lines to this file, such as "$GITHUB_ENV"
    #[arg(long, value_name = "FILE", help_heading = HEADING)]
    env_file: Option<PathBuf>,
    /// Give CMD listening sockets from descriptor 3 on, with LISTEN_FDS, as systemd does
    #[arg(long, conflicts_with = "release_on_exec", help_heading = HEADING)]
    pass_fds: bool,
    /// Do not hold the port while CMD runs: for servers that do not set SO_REUSEADDR
    #[arg(long, help_heading = HEADING)]
    release_on_exec: bool,
    /// List the ports that are leased
    #[arg(long, conflicts_with_all = ["targets", "free", "explain"], help_heading = HEADING)]
    leases: bool,
    /// End the lease on a port
    #[arg(long, value_name = "PORT", conflicts_with_all = ["targets", "free", "leases", "explain"], help_heading = HEADING)]
    release: Vec<String>,
    /// How the process in the background is started
    #[arg(long, hide = true, action = ArgAction::SetTrue, exclusive = true)]
    pub keep_leases: bool,
}

/// What `--free`, `--leases` and `--release` ask for.
#[derive(Debug)]
pub enum FreeWish {
    /// To pick ports.
    Pick(Box<Picking>),
    /// To list the leases.
    Leases,
    /// To end these leases.
    Release(Vec<u16>),
}

/// What to pick, and what to do with it.
#[derive(Debug)]
pub struct Picking {
    /// What to pick.
    pub demand: Demand,
    /// How long a lease lasts; none at all if zero.
    pub ttl: Duration,
    /// Whether to keep the ports bound.
    pub hold: bool,
    /// The process whose end ends the lease.
    pub pid: Option<Pid>,
    /// What the ports are called.
    pub names: Vec<String>,
    /// Where to write them.
    pub env_file: Option<PathBuf>,
    /// What to become.
    pub command: Option<(Vec<OsString>, Handover)>,
}

/// What the options that others know too mean here.
pub struct Shared<'a> {
    /// `--tcp`, `--udp`.
    pub protocols: Vec<Protocol>,
    /// `-4`, `-6`.
    pub family: Option<Family>,
    /// `--class`.
    pub class: Option<Class>,
    /// `--pid`.
    pub pids: &'a [Pid],
    /// `--json`, `--format`.
    pub format: Format,
    /// Whether ports are asked about.
    pub has_targets: bool,
}

impl FreeArgs {
    /// Whether ports are to be picked.
    pub const fn picks(&self) -> bool {
        self.free.is_some()
    }

    /// What is asked for; `None` if it is something else. `command` is what stands behind `--`.
    pub fn wish(self, shared: Shared<'_>, command: &[OsString]) -> Result<Option<FreeWish>, Stop> {
        let is_ours = self.leases || self.free.is_some() || !self.release.is_empty();
        if is_ours && !matches!(shared.format, Format::Table | Format::Json | Format::Csv) {
            return Err(usage("--free prints ports, --json or --format csv, and no other format"));
        }
        if self.leases {
            return Ok(Some(FreeWish::Leases));
        }
        if !self.release.is_empty() {
            let ports = ports("--release", &self.release)?;
            return Ok(Some(FreeWish::Release(ports)));
        }
        match self.free {
            None => Ok(None),
            Some(_) if shared.has_targets => {
                Err(usage("--free picks ports by itself: --prefer 8080 picks 8080 if it is free"))
            }
            Some(count) => Ok(Some(FreeWish::Pick(Box::new(self.picking(count, shared, command)?)))),
        }
    }

    /// An option that says how a command gets its ports.
    fn option_for_a_command(&self) -> Option<&'static str> {
        let given = [("--pass-fds", self.pass_fds), ("--release-on-exec", self.release_on_exec)];
        given.into_iter().find_map(|(option, is_given)| is_given.then_some(option))
    }

    /// The ports that would do.
    fn wanted(&self, class: Option<Class>) -> Result<Wanted, Stop> {
        let wanted = Wanted {
            range: if self.range.is_empty() { None } else { Some(port_set("--range", &self.range)?) },
            exclude: port_set("--exclude", &self.exclude)?,
            class,
            preferred: ports("--prefer", &self.prefer)?,
            near: self.near.as_deref().map(|near| port("--near", near)).transpose()?,
        };
        match (wanted.span().is_empty(), wanted.exclude.is_empty()) {
            (true, true) => Err(usage("--range and --class have no port in common")),
            (true, false) => Err(usage("--exclude leaves no port to pick from")),
            _ => Ok(wanted),
        }
    }

    fn picking(self, count: Option<u16>, shared: Shared<'_>, command: &[OsString]) -> Result<Picking, Stop> {
        if command.is_empty()
            && let Some(option) = self.option_for_a_command()
        {
            return Err(usage(format!("{option} goes with a command: add '-- CMD'")));
        }
        let ttl = self.ttl.unwrap_or(USUAL_TTL);
        if ttl > LONGEST_TTL {
            return Err(usage("--ttl: give a time of at most a year, such as 90s or 5m"));
        }
        if shared.format == Format::Json && !command.is_empty() {
            return Err(usage(JSON_BESIDE_COMMAND));
        }
        if shared.format == Format::Csv && !command.is_empty() {
            return Err(usage(
                "--format csv: standard output is the command's own, so leave --format or the command out",
            ));
        }
        if self.hold && ttl.is_zero() {
            return Err(usage("--hold needs a time: leave --ttl 0 out"));
        }
        if self.hold && shared.protocols == [Protocol::Udp] {
            return Err(usage(
                "--hold cannot keep UDP ports: the holder would get the datagrams. Leave --udp or --hold out",
            ));
        }
        if shared.class == Some(Class::WellKnown) {
            return Err(usage(
                "--class well-known is nothing to pick from: those ports belong to services of the system",
            ));
        }
        let pid = match shared.pids {
            [_, ..] if !command.is_empty() => {
                return Err(usage("--pid: a command has its ports for its own life"));
            }
            [] => None,
            [pid] => Some(*pid),
            _ => return Err(usage("--pid: a lease ends with one process, not with several")),
        };
        let wanted = self.wanted(shared.class)?;
        let names = names(self.env, count, !command.is_empty() || self.env_file.is_some())?;
        let highest =
            command.iter().map(|argument| free::highest_placeholder(argument.as_encoded_bytes())).max().unwrap_or(0);
        if highest > names.len() {
            let (number, ports) = (names.len(), if names.len() == 1 { "port is" } else { "ports are" });
            return Err(usage(format!(
                "CMD says {{port{highest}}}, but only {number} {ports} picked: --free {highest}"
            )));
        }
        let (addresses, scope) = match &self.addr {
            Some(address) => place(address)?,
            None => (Vec::new(), 0),
        };
        if !addresses.is_empty() && !addresses.iter().any(|&address| Family::fits(shared.family, address)) {
            return Err(usage("--addr is of the other family"));
        }
        let key = self.sticky.as_deref().map(sticky_key).transpose()?;
        let handover = match (self.pass_fds, self.release_on_exec) {
            (true, _) => Handover::Servers,
            (_, true) => Handover::Release,
            _ => Handover::Hold,
        };
        let order = match (wanted.near, key) {
            (Some(near), _) => Order::Near(near),
            (_, Some(key)) => Order::Scattered(key),
            _ => Order::random(),
        };
        let demand = Demand {
            count: names.len(),
            wanted,
            order,
            key,
            protocols: shared.protocols,
            family: shared.family,
            addresses: addresses.into_iter().filter(|&address| Family::fits(shared.family, address)).collect(),
            scope,
            as_servers: self.pass_fds,
        };
        Ok(Picking {
            demand,
            ttl,
            hold: self.hold,
            pid,
            names,
            env_file: self.env_file,
            command: (!command.is_empty()).then(|| (command.to_vec(), handover)),
        })
    }
}

fn usage(message: impl Into<String>) -> Stop {
    Stop::Usage(message.into())
}

/// The names of the ports, one each.
fn names(given: Vec<String>, count: Option<u16>, are_used: bool) -> Result<Vec<String>, Stop> {
    if given.is_empty() {
        return Ok(free::usual_names(count.unwrap_or(1).into()));
    }
    if !are_used {
        return Err(usage("--env names variables for a command: add '-- CMD', or --env-file FILE"));
    }
    for (index, name) in given.iter().enumerate() {
        if !free::is_name(name) {
            return Err(usage(format!("--env '{name}' is no name of a variable: letters, digits and _ only")));
        }
        if given[..index].contains(name) {
            return Err(usage(format!("--env names {name} twice")));
        }
    }
    match count {
        Some(count) if usize::from(count) != given.len() => {
            Err(usage(format!("--free {count} and --env with {} names do not fit: leave the number out", given.len())))
        }
        _ => Ok(given),
    }
}

/// Reads ports, ranges and lists of them, in the grammar of targets.
fn targets(option: &str, typed: &str) -> Result<Vec<Target>, Stop> {
    let targets = target::parse(typed, &local::NAMES).map_err(|error| usage(format!("{option} {error}")))?;
    if targets.iter().any(|target| !target.addresses.is_empty()) {
        return Err(usage(format!("{option} '{typed}': give ports only; --addr is for addresses")));
    }
    Ok(targets)
}

fn ports(option: &str, typed: &[String]) -> Result<Vec<u16>, Stop> {
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
    let targets = target::parse(&with_port, &local::NAMES).map_err(|error| wrong(&error.reason))?;
    let [Target { addresses, zone, .. }] = &targets[..] else { return Err(wrong("is no address")) };
    if addresses.is_empty() {
        return Err(wrong("is every address: leave it out"));
    }
    let scope = zone.as_deref().map_or(0, local::interface_index);
    for &address in addresses {
        // Any port of it, for the moment that it takes to ask.
        match Outcome::of(&probe::bind(0, Protocol::Udp, probe::spot_of(address, scope), false)) {
            Outcome::Invalid => return Err(wrong("needs its interface: fe80::1%eth0")),
            outcome if outcome.is_about_the_address() => return Err(wrong("is no address of this machine")),
            _ => {}
        }
    }
    Ok((addresses.clone(), scope))
}

/// The key of a project: who, where, and by which name.
fn sticky_key(name: &str) -> Result<u64, Stop> {
    let directory =
        std::env::current_dir().map_err(|error| usage(format!("--sticky: there is no current directory: {error}")))?;
    let uid = portcheck::collect::host(portcheck::model::Backend::Native).euid.unwrap_or(0);
    Ok(Order::sticky_key(uid, directory.as_os_str().as_encoded_bytes(), name))
}
