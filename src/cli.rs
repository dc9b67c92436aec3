//! The command line: what may be typed, and the [`Request`] that it means. Nothing after this file knows clap.

mod act;
mod examples;
mod free;
mod names;

use std::ffi::OsString;
use std::io::IsTerminal;
use std::iter;
use std::path::Path;

use clap::builder::styling::{AnsiColor, Styles};
use clap::error::{ContextKind, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgAction, ArgMatches, ColorChoice, CommandFactory, FromArgMatches, Id, Parser};
use portcheck::act::kill;
use portcheck::act::wait::{self, Remote};
use portcheck::collect::{self, Detail};
use portcheck::diagnose::{self, Rule};
use portcheck::local;
use portcheck::model::{Family, Protocol};
use portcheck::render::escape::quote;
use portcheck::render::{Format, Style};
use portcheck::request::{Filter, Question, Request, Sort};
use portcheck::target::{self, Target};

pub use act::{Consent, Waiting};
use act::{KillArgs, WaitArgs};
use names::{BackendName, ClassName, FormatName, SortName};

use examples::EXAMPLES;
use free::{FreeArgs, Shared};
pub use free::{FreeWish, Picking};

/// Tells who holds a port and why it cannot be bound.
#[derive(Debug, Parser)]
#[command(
    name = "portcheck",
    version,
    about = "Tells who holds a port, whether it can be bound, what is in use, and which port is free.",
    long_about = "Tells who holds a port: every process, by name, command line, user, unit and container.\n\
                  Asks the kernel itself whether the port can be bound. Without a target it lists what listens\n\
                  or is bound. With --free it picks ports that are free, with --kill it frees one, with --wait it\n\
                  waits. It changes nothing unless told to.",
    after_help = "See --help for examples and exit codes.",
    after_long_help = EXAMPLES,
    styles = Styles::styled()
        .header(AnsiColor::Yellow.on_default().bold())
        .usage(AnsiColor::Yellow.on_default().bold())
        .literal(AnsiColor::Green.on_default()),
    max_term_width = 100,
)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that a person types")]
struct Cli {
    /// Ports to look at: 8080, 3000-3010, 80,443, 53/udp, 127.0.0.1:80, [::1]:80, a URL, a service name
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,

    /// TCP only
    #[arg(long, help_heading = "Selecting")]
    tcp: bool,
    /// UDP only
    #[arg(long, help_heading = "Selecting")]
    udp: bool,
    /// Only what IPv4 reaches, a dual-stack [::] included
    #[arg(short = '4', help_heading = "Selecting")]
    ipv4: bool,
    /// Only what IPv6 reaches
    #[arg(short = '6', help_heading = "Selecting")]
    ipv6: bool,
    /// Connections too, not only what listens or is bound
    #[arg(long, help_heading = "Selecting")]
    all: bool,
    /// List only what these processes hold; with --wait, give up when one of them ends; with --free, end the lease then
    #[arg(long, value_name = "PID", value_delimiter = ',', help_heading = "Selecting")]
    pid: Vec<u32>,
    /// List only what processes with NAME in their name or command line hold
    #[arg(long, value_name = "NAME", conflicts_with = "targets", help_heading = "Selecting")]
    process: Option<String>,
    /// List only what this user holds, by name or id
    #[arg(long, value_name = "USER", conflicts_with = "targets", help_heading = "Selecting")]
    user: Option<String>,
    /// List, or pick, only ports of this class
    #[arg(long, value_enum, value_name = "CLASS", conflicts_with = "targets", help_heading = "Selecting")]
    class: Option<ClassName>,
    /// List only what can be reached from beyond this machine
    #[arg(long, conflicts_with = "targets", help_heading = "Selecting")]
    exposed: bool,
    /// Order the list by this column
    #[arg(long, value_enum, value_name = "COLUMN", conflicts_with = "targets", help_heading = "Selecting")]
    sort: Option<SortName>,

    /// Print JSON: the same as --format json
    #[arg(long, conflicts_with = "format", help_heading = "Output")]
    json: bool,
    /// How to print
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "table", help_heading = "Output")]
    format: FormatName,
    /// When to use colour; auto honours NO_COLOR
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto", help_heading = "Output")]
    color: ColorChoice,
    /// Print nothing: the exit code is the answer
    #[arg(short, long, conflicts_with_all = ["json", "format", "verbose"], help_heading = "Output")]
    quiet: bool,
    /// Show the raw facts behind each verdict
    #[arg(short, long, action = ArgAction::SetTrue, help_heading = "Output")]
    verbose: bool,

    /// Judge for a server that sets SO_REUSEADDR, as most do: then a plain TIME_WAIT is no conflict
    #[arg(long, conflicts_with = "no_probe", help_heading = "How to look")]
    reuse_addr: bool,
    /// Do not ask bind(2): judge by what can be seen
    #[arg(long, help_heading = "How to look")]
    no_probe: bool,
    /// Stop at the first holder: quick on busy machines, but other processes may have the same socket
    #[arg(long, help_heading = "How to look")]
    quick: bool,
    /// Explain a verdict by its code, or list all of them
    #[arg(long, value_name = "CODE", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["targets", "json", "format", "kill", "wait"],
          help_heading = "Help")]
    explain: Option<String>,

    #[command(flatten)]
    free: FreeArgs,

    /// What to read the sockets with
    #[arg(long, value_enum, value_name = "BACKEND", default_value = "native", help_heading = "How to look")]
    backend: BackendName,

    #[command(flatten)]
    kill: KillArgs,
    #[command(flatten)]
    wait: WaitArgs,

    /// With --wait: a command to become on success; with --free: one to become with PORT set, and {port}, {port2} replaced
    #[arg(last = true, value_name = "CMD")]
    cmd: Vec<OsString>,
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Wish {
    /// An answer about ports.
    Answer(Invocation),
    /// Ports that are to be freed.
    Kill(Invocation, kill::Options, Consent),
    /// Ports that are waited for.
    Wait(Invocation, Waiting),
    /// Ports that are free, or what became of earlier ones.
    Free(FreeWish, Printing),
    /// To be the process in the background that keeps leases.
    KeepLeases,
    /// The text of these rules, with colour or without.
    Explanation(Vec<&'static Rule>, anstream::ColorChoice),
}

/// How to print what `--free` says.
#[derive(Debug)]
pub struct Printing {
    /// How to print it; `None` for not at all.
    pub style: Option<Style>,
    /// When to use colour.
    pub color: anstream::ColorChoice,
}

/// A question about ports, and how to print the answer.
#[derive(Debug)]
pub struct Invocation {
    /// The question.
    pub request: Request,
    /// How to print the answer; `None` for not at all.
    pub style: Option<Style>,
    /// When to use colour.
    pub color: anstream::ColorChoice,
}

/// A command line that asks for nothing that could be answered.
#[derive(Debug)]
pub enum Stop {
    /// Help or version was asked for: the text.
    Text(clap::Error),
    /// It is wrong: one line on what would be right.
    Usage(String),
}

/// Reads a command line.
pub fn parse(arguments: &[OsString]) -> Result<Wish, Stop> {
    let stop = |error: clap::Error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Stop::Text(error),
        _ => Stop::Usage(one_line(&error)),
    };
    let mut command = Cli::command().color(color_of_help(arguments));
    let matches = command.try_get_matches_from_mut(arguments).map_err(stop)?;
    let cli = Cli::from_arg_matches(&matches).map_err(stop)?;
    require_sense(&cli, &command, &matches)?;
    let color = match cli.color {
        ColorChoice::Auto => anstream::ColorChoice::Auto,
        ColorChoice::Always => anstream::ColorChoice::Always,
        ColorChoice::Never => anstream::ColorChoice::Never,
    };
    if let Some(code) = &cli.explain {
        return Ok(Wish::Explanation(rules(code)?, color));
    }
    if cli.free.keep_leases {
        return Ok(Wish::KeepLeases);
    }
    let (mut targets, remotes) = parse_targets(&cli)?;
    let family = match (cli.ipv4, cli.ipv6) {
        (true, false) => Some(Family::Ipv4),
        (false, true) => Some(Family::Ipv6),
        _ => None,
    };
    narrow(&mut targets, family)?;
    let protocols = protocols(&cli, &targets)?;
    let format = if cli.json { Format::Json } else { cli.format.into() };
    let program = program();
    let style = (!cli.quiet).then(|| Style {
        format,
        width: terminal_width(),
        verbose: cli.verbose,
        connections: cli.all,
        as_root: as_root(&program, &cli, arguments),
        now: std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |now| now.as_secs()),
    });
    let shared = Shared {
        protocols: protocols.clone(),
        family,
        class: cli.class.map(Into::into),
        pids: &cli.pid,
        format,
        has_targets: !targets.is_empty(),
    };
    if let Some(wish) = cli.free.wish(shared, &cli.cmd)? {
        return Ok(Wish::Free(wish, Printing { style, color }));
    }
    let is_report = targets.iter().all(|target| target.first == target.last && target.first == targets[0].first);
    let detail = match (cli.quiet, format) {
        (true, _) => Detail::Nothing,
        (_, Format::Json | Format::Ndjson) => Detail::Full,
        (_, Format::Table) if cli.verbose || (is_report && !targets.is_empty()) => Detail::Full,
        _ => Detail::Brief,
    };
    let question = if cli.targets.is_empty() {
        let filter = Filter {
            pids: cli.pid.clone(),
            process: cli.process,
            user: cli.user,
            class: cli.class.map(Into::into),
            exposed: cli.exposed,
        };
        require_owners(&filter)?;
        Question::List(filter, cli.sort.map_or(Sort::Port, Into::into))
    } else {
        Question::Check(targets)
    };
    let mut invocation = Invocation {
        request: Request {
            question,
            protocols,
            family,
            connections: cli.all,
            detail,
            backend: cli.backend.into(),
            probe: !cli.no_probe,
            quick: cli.quick,
            reuse_address: cli.reuse_addr,
            program,
        },
        style,
        color,
    };
    if cli.kill.kill {
        let (options, consent) = cli.kill.options();
        act::require_words_or_json("--kill", &invocation)?;
        // Who holds the port is needed in full, whatever is printed.
        invocation.request.detail = Detail::Full;
        invocation.request.connections = options.clients;
        return Ok(Wish::Kill(invocation, options, consent));
    }
    if let Some(options) = cli.wait.options(&cli.pid) {
        return act::waiting(invocation, options, remotes, cli.cmd, cli.verbose);
    }
    Ok(Wish::Answer(invocation))
}

/// What the targets mean; for `--wait listening`, those on other machines apart.
fn parse_targets(cli: &Cli) -> Result<(Vec<Target>, Vec<Remote>), Stop> {
    let waits_to_listen = cli.wait.wait == Some(act::AwaitedName::Listening);
    // A service name asks for no protocol by itself. What listens, mostly is a TCP server.
    let usual = match (cli.tcp, cli.udp) {
        (true, false) => Some(Protocol::Tcp),
        (false, true) => Some(Protocol::Udp),
        _ => waits_to_listen.then_some(Protocol::Tcp),
    };
    let (mut targets, mut remotes) = (Vec::new(), Vec::new());
    for typed in &cli.targets {
        let remote = if waits_to_listen { wait::parse_remote(typed, &local::NAMES) } else { None };
        let is_here = |target: &Target| target.addresses.iter().all(|&address| local::is_own(address));
        let found = target::parse_usual(typed, &local::NAMES, usual);
        let zones = found.iter().flatten().filter_map(|target| target.zone.as_deref());
        if let Some(unknown) = zones.into_iter().find(|zone| local::interface_index(zone) == 0) {
            return Err(Stop::Usage(format!(
                "'{typed}' names the interface '{unknown}', which this machine does not have"
            )));
        }
        match (found, remote) {
            (Ok(found), None) => targets.extend(found),
            (Ok(found), Some(_)) if found.iter().all(is_here) => targets.extend(found),
            (_, Some(remote)) => remotes.extend(remote.map_err(Stop::Usage)?),
            (Err(error), None) => return Err(Stop::Usage(error.to_string())),
        }
    }
    Ok((targets, remotes))
}

/// The processes and the user that a listing is narrowed to have to exist: an empty list would say something else.
fn require_owners(filter: &Filter) -> Result<(), Stop> {
    if let Some(pid) = filter.pids.iter().find(|&&pid| !collect::is_process(pid)) {
        return Err(Stop::Usage(format!("--pid: no process has the id {pid}")));
    }
    match &filter.user {
        // Not every id has a name.
        Some(user) if user.parse::<u32>().is_err() && !collect::is_user(user) => {
            Err(Stop::Usage(format!("--user: this machine has no user '{user}'; an id such as 1000 works too")))
        }
        _ => Ok(()),
    }
}

/// Leaves the addresses of the other family out, where one was asked for: `localhost` has both.
fn narrow(targets: &mut [Target], family: Option<Family>) -> Result<(), Stop> {
    for target in targets.iter_mut().filter(|target| !target.addresses.is_empty()) {
        let asked = target.addresses[0];
        target.addresses.retain(|&address| Family::fits(family, address));
        if target.addresses.is_empty() {
            let only = if family == Some(Family::Ipv4) { "-4" } else { "-6" };
            return Err(Stop::Usage(format!("{asked} is asked about, but {only} leaves it out")));
        }
    }
    Ok(())
}

/// The protocols to look at.
fn protocols(cli: &Cli, targets: &[Target]) -> Result<Vec<Protocol>, Stop> {
    let protocols = match (cli.tcp, cli.udp) {
        (true, false) => vec![Protocol::Tcp],
        (false, true) => vec![Protocol::Udp],
        _ => Protocol::ALL.to_vec(),
    };
    if let Some(index) = targets.iter().position(|target| !protocols.iter().any(|&protocol| target.wants(protocol))) {
        let (asked, only) = if cli.tcp { ("udp", "--tcp") } else { ("tcp", "--udp") };
        return Err(Stop::Usage(format!(
            "port {}/{asked} is asked about, but {only} leaves it out",
            targets[index].first
        )));
    }
    Ok(protocols)
}

/// What clap cannot tell: options that mean something else, or nothing, beside others.
fn require_sense(cli: &Cli, command: &clap::Command, matches: &ArgMatches) -> Result<(), Stop> {
    if let Some((option, action)) = stray(cli, command, matches) {
        return Err(Stop::Usage(format!("--{option} goes with {action}")));
    }
    let is_wait = cli.wait.wait.is_some();
    let mistake = match () {
        () if cli.kill.kill && cli.targets.is_empty() => "--kill needs to be told what to free: portcheck 8080 --kill",
        () if is_wait && cli.targets.is_empty() => {
            "--wait needs to be told what to wait for: portcheck 8080 --wait listening"
        }
        () if cli.reuse_addr && cli.targets.is_empty() => {
            "--reuse-addr goes with a TARGET: portcheck 8080 --reuse-addr"
        }
        () if cli.quick && cli.targets.is_empty() => "--quick goes with a TARGET: portcheck 8080 --quick",
        () if !is_wait && !cli.pid.is_empty() && !cli.targets.is_empty() => {
            "--pid narrows the listing, which has no TARGET; beside one it needs --wait"
        }
        () if !is_wait && !cli.free.picks() && !cli.cmd.is_empty() => {
            "a command behind -- is run after a wait, or with a port: add --wait listening, or --free"
        }
        () => return Ok(()),
    };
    Err(Stop::Usage(mistake.to_owned()))
}

/// An option of an action that is not asked for, and that action. clap's `requires` does not tell: it is dropped where what is
/// required conflicts with something that is given, such as another action.
fn stray(cli: &Cli, command: &clap::Command, matches: &ArgMatches) -> Option<(String, &'static str)> {
    // clap groups the options of a struct under its name.
    let actions = [
        ("--kill", cli.kill.kill, "KillArgs"),
        ("--wait", cli.wait.wait.is_some(), "WaitArgs"),
        ("--free", cli.free.picks(), "FreeArgs"),
    ];
    let is_given = |id: &&Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    actions.iter().filter(|(_, is_asked_for, _)| !is_asked_for).find_map(|(action, _, group)| {
        let group = command.get_groups().find(|known| known.get_id() == group)?;
        let mut options = group.get_args().filter(|id| !free::ACTIONS.contains(&id.as_str()));
        let stray = options.find(is_given)?;
        let option = command.get_arguments().find(|option| option.get_id() == stray)?;
        Some((option.get_long()?.to_owned(), *action))
    })
}

/// The rule with this code; all of them for an empty one.
fn rules(code: &str) -> Result<Vec<&'static Rule>, Stop> {
    if code.is_empty() {
        return Ok(diagnose::RULES.to_vec());
    }
    diagnose::rule(code)
        .map(|rule| vec![rule])
        .ok_or_else(|| Stop::Usage(format!("'{code}' is no code of a verdict: --explain alone lists them")))
}

/// Whether a command line that may be wrong asks for the JSON envelope.
pub fn wants_json(arguments: &[OsString]) -> bool {
    options(arguments).any(|option| option == "--json") || values_of("--format", arguments).contains(&"json")
}

/// What a command line says of colour. Help stands in for the rest of it, so clap has to be told before.
fn color_of_help(arguments: &[OsString]) -> ColorChoice {
    values_of("--color", arguments).into_iter().find_map(|choice| choice.parse().ok()).unwrap_or_default()
}

/// What is typed for `option`, behind it or joined to it, before the command line is understood.
fn values_of<'a>(option: &str, arguments: &'a [OsString]) -> Vec<&'a str> {
    let options: Vec<&str> = options(arguments).collect();
    let apart = options.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1]);
    let joined = options.iter().filter_map(|typed| typed.strip_prefix(option)?.strip_prefix('='));
    apart.chain(joined).collect()
}

/// What is typed before the command behind `--`.
fn options(arguments: &[OsString]) -> impl Iterator<Item = &str> {
    let typed = arguments.iter().skip(1).take_while(|argument| *argument != "--");
    typed.map(|argument| argument.to_str().unwrap_or_default())
}

/// clap's message without its usage and its pointer to the help, in one line.
fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let message = lines.join(" ");
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    // An option that clap takes for a negative number or a bundle of flags deserves a hint at what is meant.
    match error.get(ContextKind::InvalidArg) {
        Some(_) if error.kind() == ErrorKind::UnknownArgument && !message.contains("tip:") => {
            format!("{message}; try --help")
        }
        _ => message.to_owned(),
    }
}

fn terminal_width() -> Option<u16> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    terminal_size::terminal_size_of(stdout).map(|(width, _)| width.0).filter(|&width| width > 0)
}

/// How this program can be called by root: by its name where sudo looks for it, or Windows, else by its path.
fn program() -> String {
    const SUDOS_PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let Ok(path) = std::env::current_exe() else { return "portcheck".to_owned() };
    let is_on_path = |directory: &Path| {
        local::IS_WINDOWS
            && std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|known| known == directory)
    };
    match (path.parent(), path.file_stem()) {
        (Some(directory), Some(name)) if is_on_path(directory) => quote(&name.to_string_lossy()).into_owned(),
        (Some(directory), Some(name)) if SUDOS_PATH.iter().any(|known| directory == Path::new(known)) => {
            quote(&name.to_string_lossy()).into_owned()
        }
        _ => quote(&path.to_string_lossy()).into_owned(),
    }
}

/// The same question as root: the same command line, but without what is to be done about the answer.
fn as_root(program: &str, cli: &Cli, arguments: &[OsString]) -> String {
    let acts = cli.kill.kill || cli.wait.wait.is_some() || cli.free.picks();
    let words: Vec<OsString> = if acts {
        cli.targets.iter().map(OsString::from).collect()
    } else {
        arguments.iter().skip(1).cloned().collect()
    };
    let typed = words.iter().map(|word| quote(&word.to_string_lossy()).into_owned());
    let sudo = (!local::IS_WINDOWS).then(|| "sudo".to_owned());
    sudo.into_iter().chain(iter::once(program.to_owned())).chain(typed).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
