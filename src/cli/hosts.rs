//! `--host`: the same question on other machines.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command as Definition};

use super::{Stop, Wish};
use crate::commands::exit::Command;
use crate::commands::hosts::{Keep, Question};
use crate::duration::parse_duration;
use crate::model::Protocol;
use crate::platform::machine;
use crate::render::Format;
use crate::target::{self, Names};
use crate::terminal::Printing;

/// How long a host may take to answer a question.
pub const USUAL_LIMIT: Duration = Duration::from_secs(10);

/// How long one may take to try its servers, or its firewall.
pub const LONGER_LIMIT: Duration = Duration::from_secs(30);

/// What is said of formats that have no room for hosts.
pub const FORMATS: &str = "--host prints a table, JSON or ndjson: write --format ndjson, or leave it out";

/// The most that a file of hosts may have.
const MOST_BYTES: u64 = 1 << 20;

/// What stays here: how to print, and whom to ask.
const OWN: [&str; 12] = [
    "host",
    "hosts_file",
    "host_timeout",
    "json",
    "format",
    "color",
    "quiet",
    "verbose",
    "exit_zero",
    "columns",
    "pids",
    "count",
];

#[derive(Debug, Args)]
#[command(next_help_heading = "Elsewhere")]
pub struct Hosts {
    /// Ask these machines over ssh, and not this one; several are joined by commas
    #[arg(long, value_name = "HOST", value_delimiter = ',', value_parser = parse_host)]
    host: Vec<String>,
    /// Ask the machines that FILE names, one a line; - is standard input
    #[arg(long, value_name = "FILE")]
    hosts_file: Option<PathBuf>,
    /// How long each of them may take [default: 10s; 30s if it has more to do]
    #[arg(long, value_name = "DURATION", value_parser = parse_limit)]
    host_timeout: Option<Duration>,
}

impl Hosts {
    /// Whether other machines are asked.
    pub fn are_asked(&self) -> bool {
        !self.host.is_empty() || self.hosts_file.is_some()
    }

    /// Whether they are, in a format without room for them.
    pub fn has_no_room_in(&self, format: Format) -> bool {
        self.are_asked() && !matches!(format, Format::Table | Format::Json | Format::Ndjson)
    }

    /// Their names, each once.
    fn names(&self) -> Result<Vec<String>, Stop> {
        let mut names: Vec<String> = Vec::new();
        let listed = self.hosts_file.as_deref().map(read_hosts).transpose()?;
        for name in self.host.iter().chain(listed.iter().flatten()) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        Ok(names)
    }
}

/// A question to other machines, as a command has it.
#[derive(Debug)]
pub struct Elsewhere<'a> {
    /// The command.
    pub command: Command,
    /// Whom to ask.
    pub hosts: &'a Hosts,
    /// The targets, as typed.
    pub targets: &'a [String],
    /// How long a host may take if nothing is said.
    pub usual: Duration,
    /// How to print.
    pub printing: Printing,
}

impl Elsewhere<'_> {
    /// What is asked, in these words.
    pub fn resolve(self, words: Vec<String>) -> Result<Wish, Stop> {
        self.targets.iter().try_for_each(|typed| require_target(typed))?;
        let hosts = self.hosts.names()?;
        match hosts.len() {
            0 => return Err(Stop::Usage("--hosts-file: the file names no host".to_owned())),
            1 => {}
            _ if self.command == Command::Kill => {
                return Err(Stop::Usage("kill takes one host: name the one whose processes you mean".to_owned()));
            }
            _ => {}
        }
        let is_table = self.printing.style.as_ref().is_none_or(|style| style.format == Format::Table);
        let question = Question {
            command: self.command,
            hosts,
            words,
            limit: self.hosts.host_timeout.unwrap_or(self.usual),
            keep: if is_table { Keep::Facts } else { Keep::Text },
        };
        Ok(Wish::Hosts(Box::new(question), self.printing))
    }
}

/// The words that ask the same question there.
pub fn words(matches: &ArgMatches, definition: &Definition) -> Result<Vec<String>, Stop> {
    let Some((name, matches)) = matches.subcommand() else { return Ok(Vec::new()) };
    let arguments = definition.find_subcommand(name).into_iter().flat_map(Definition::get_arguments);
    let typed = arguments.filter(|argument| {
        let id = argument.get_id().as_str();
        !OWN.contains(&id) && matches.value_source(id) == Some(ValueSource::CommandLine)
    });
    let (operands, options): (Vec<&Arg>, Vec<&Arg>) = typed.partition(|argument| argument.is_positional());
    let mut words = vec![name.to_owned()];
    for argument in options.into_iter().chain(operands) {
        for word in words_of(argument, matches) {
            words.push(word.filter(|word| !word.contains(['\0', '\n', '\r'])).ok_or_else(no_way)?);
        }
    }
    words.push("--json".to_owned());
    Ok(words)
}

fn no_way() -> Stop {
    Stop::Usage("--host: a line break, or what is no UTF-8, cannot be passed on to another machine".to_owned())
}

/// An argument as it is typed; `None` for what is no text.
fn words_of(argument: &Arg, matches: &ArgMatches) -> Vec<Option<String>> {
    let name = match (argument.get_long(), argument.get_short()) {
        _ if argument.is_positional() => String::new(),
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => return Vec::new(),
    };
    if !argument.get_action().takes_values() {
        return vec![Some(name)];
    }
    let joined = |value: &OsStr| {
        let value = value.to_str()?;
        Some(if argument.is_positional() { value.to_owned() } else { format!("{name}={value}") })
    };
    let occurrences = matches.get_raw_occurrences(argument.get_id().as_str()).into_iter().flatten();
    let mut words = Vec::new();
    for values in occurrences {
        match values.len() {
            0 => words.push(Some(name.clone())),
            _ => words.extend(values.map(joined)),
        }
    }
    words
}

/// Requires what could be a target somewhere: a service, or a name of a host, may exist there only.
fn require_target(typed: &str) -> Result<(), Stop> {
    let services = |name: &str| match (machine::NAMES.services)(name) {
        known if known.is_empty() => vec![(1, Protocol::Tcp)],
        known => known,
    };
    let addresses = |_: &str| vec![std::net::Ipv4Addr::LOCALHOST.into()];
    target::parse(typed, &Names { services, addresses, ..machine::NAMES }).map(drop).map_err(Stop::from)
}

fn parse_limit(typed: &str) -> Result<Duration, String> {
    match parse_duration(typed)? {
        Duration::ZERO => Err("leaves no time to answer: write 10s".to_owned()),
        limit => Ok(limit),
    }
}

/// Reads the name of a host as ssh takes it: `web1`, `ada@web1`, `ssh://ada@web1:2222`.
fn parse_host(typed: &str) -> Result<String, &'static str> {
    let name = typed.trim();
    let host = name.rsplit('@').next().unwrap_or_default();
    // ssh would read it as an option.
    if name.starts_with('-') || host.starts_with('-') {
        return Err("is no host: it begins with a dash");
    }
    if name.is_empty() || host.is_empty() {
        return Err("is no host: write web1, or web1,web2");
    }
    // ssh gives the name to the shell of a ProxyCommand.
    let is_odd =
        |letter: char| letter.is_control() || letter.is_whitespace() || "'\"`$\\;&|<>(){}*?!#,".contains(letter);
    if name.contains(is_odd) {
        return Err("is no host: write a name or an address, with USER@ before it if you like");
    }
    Ok(name.to_owned())
}

/// The hosts of a file: one a line, or several joined by commas. What follows a `#` is a comment.
fn read_hosts(file: &Path) -> Result<Vec<String>, Stop> {
    let wrong = |reason: &dyn std::fmt::Display| Stop::Usage(format!("--hosts-file {}: {reason}", file.display()));
    let mut text = String::new();
    let read = match file.to_str() {
        Some("-") => io::stdin().take(MOST_BYTES + 1).read_to_string(&mut text),
        _ => std::fs::File::open(file).and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text)),
    };
    let length = read.map_err(|error| wrong(&error))?;
    if u64::try_from(length).is_ok_and(|length| length > MOST_BYTES) {
        return Err(wrong(&"it is larger than 1 MiB"));
    }
    let mut hosts = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let names = line.split('#').next().unwrap_or_default().split(',').map(str::trim);
        for name in names.filter(|name| !name.is_empty()) {
            let host = parse_host(name).map_err(|reason| wrong(&format!("line {}: '{name}' {reason}", at + 1)))?;
            hosts.push(host);
        }
    }
    Ok(hosts)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn asked(typed: &str) -> Question {
        let arguments: Vec<OsString> = format!("portcheck {typed}").split(' ').map(OsString::from).collect();
        match super::super::parse(&arguments).and_then(super::super::resolve) {
            Ok(Wish::Hosts(question, _)) => *question,
            other => panic!("{typed}: {other:?}"),
        }
    }

    #[test]
    fn the_same_is_asked_there() {
        for (typed, words) in [
            ("8080 --host a", "check 8080 --json"),
            ("8080 53/udp -q4 --host a,b", "check -4 8080 53/udp --json"),
            ("--host a --format ndjson --process nginx,node", "list --process=nginx --process=node --json"),
            ("list --host=a -A --sort -pid --color never", "list --sort=-pid --all-namespaces --json"),
            ("kill 8080 --yes --host a --grace 1s", "kill --yes --grace=1s 8080 --json"),
            ("kill 1-1024 --yes 7 --host a", "kill --yes=7 1-1024 --json"),
            ("nonesuch db:80 --host a --exit-zero", "check nonesuch db:80 --json"),
        ] {
            assert_eq!(asked(typed).words.join(" "), words, "{typed}");
        }
    }

    #[test]
    fn each_host_is_asked_once_and_within_its_time() {
        assert_eq!(asked("80 --host a,b --host c,a").hosts, ["a", "b", "c"]);
        assert_eq!(asked("80 --host a").limit, USUAL_LIMIT);
        assert_eq!(asked("80 --host a --host-timeout 1m").limit, Duration::from_mins(1));
        assert_eq!(asked("kill 80 --dry-run --host a --grace 1m").limit, Duration::from_millis(90_300));
        assert_eq!((asked("80 --host a").keep, asked("80 --host a --json").keep), (Keep::Facts, Keep::Text));
    }

    #[test]
    fn what_ssh_or_a_shell_could_take_for_something_else_is_no_host() {
        for name in ["web1", "ada@web1", "ssh://ada@web1:2222", "::1", "fe80::1%eth0", "größe"] {
            assert_eq!(parse_host(name).as_deref(), Ok(name));
        }
        for name in ["", "-oProxyCommand=x", "ada@-oProxyCommand=x", "a b", "a;b", "$(x)", "a\nb", "a'b", "ada@"] {
            assert!(parse_host(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_file_has_hosts_and_comments() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("hosts");
        std::fs::write(&file, "# ours\nweb1\n\n  ada@web2  # the new one\nweb3,web4\n").unwrap();
        assert_eq!(read_hosts(&file).unwrap(), ["web1", "ada@web2", "web3", "web4"]);
        std::fs::write(&file, "web1\n-oX=y\n").unwrap();
        match read_hosts(&file) {
            Err(Stop::Usage(message)) => assert!(message.contains("line 2: '-oX=y' is no host"), "{message}"),
            other => panic!("{other:?}"),
        }
    }
}
