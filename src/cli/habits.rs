//! What people type because other tools have it so, and the command line that they mean.

use super::words::{Kind, Line, Word};

const PORT: &str = "a port needs no option";
const LIST: &str = "the list needs no options";
const KILL: &str = "to end what holds a port, use kill";
const PROTOCOL: &str = "the protocol follows the port";
const RANGE: &str = "a range has a hyphen";
const MAPPING: &str = "the port on this machine is enough";
const NUMBER: &str = "a port is a number";
const ORDER: &str = "the command comes first";

/// A few words of another tool's, in our own.
struct Step {
    /// What is to be learnt.
    lesson: &'static str,
    /// How many words it replaces.
    replaces: usize,
    means: Meaning,
}

enum Meaning {
    /// This target.
    Target(String),
    /// This target, to be freed.
    Kill(String),
    /// This option, or nothing.
    Option(Option<&'static str>),
}

/// The right command line, in place of one that is another tool's. `command` is the one that was
/// named by its word.
pub fn hint(line: &Line, command: Option<&str>, commands: &[&str]) -> Option<String> {
    // Their operands are no targets.
    if matches!(command, Some("explain" | "help")) {
        return None;
    }
    let (lesson, words) = translate(&line.words, command).or_else(|| reorder(&line.words, command, commands))?;
    Some(format!("{lesson}: portcheck {}", words.join(" ")))
}

/// Replaces what other tools have otherwise, wherever it stands.
fn translate(typed: &[Word], command: Option<&str>) -> Option<(&'static str, Vec<String>)> {
    let (mut lesson, mut words, mut kills) = (None, Vec::new(), false);
    let picks = command == Some("free") || typed.iter().any(|word| word.text() == "--free");
    let mut at = 0;
    while let Some(word) = typed.get(at) {
        let Some(step) = step(&typed[at..], command) else {
            words.push(word.text().to_owned());
            at += 1;
            continue;
        };
        lesson = lesson.or(Some(step.lesson));
        at += step.replaces;
        match step.means {
            Meaning::Option(option) => words.extend(option.map(str::to_owned)),
            Meaning::Target(target) if picks => {
                words.extend([if target.contains('-') { "--range" } else { "--prefer" }.to_owned(), target]);
            }
            Meaning::Target(target) => words.push(target),
            Meaning::Kill(target) => {
                kills = true;
                words.push(target);
            }
        }
    }
    let lesson = lesson?;
    if kills && command.is_none() {
        words.insert(0, "kill".to_owned());
    }
    // What is left may be about one port.
    if command == Some("list") {
        words.retain(|word| word != "list");
    }
    if words.is_empty() {
        words.push("list".to_owned());
    }
    Some((lesson, words))
}

/// What the first of these words, perhaps with the next, is another tool's way to say.
fn step(words: &[Word], command: Option<&str>) -> Option<Step> {
    let text = words[0].text();
    match words[0].kind {
        Kind::Option => port_option(text, words.get(1)).or_else(|| letters(text, command)),
        Kind::Operand => {
            let (lesson, target) = foreign_target(text)?;
            Some(Step { lesson, replaces: 1, means: Meaning::Target(target) })
        }
        Kind::Value => None,
    }
}

/// `-p 8080`, `--port=8080`, `-i :8080` and `-iTCP:8080` of lsof, `-k 8080` of fuser.
fn port_option(text: &str, next: Option<&Word>) -> Option<Step> {
    let name = ["--ports", "--port", "-p", "-i", "-k"].into_iter().find(|name| text.starts_with(name))?;
    let joined = text[name.len()..].trim_start_matches('=');
    let (port, replaces) = match next {
        _ if !joined.is_empty() => (joined, 1),
        Some(next) if next.kind == Kind::Operand => (next.text(), 2),
        _ => return None,
    };
    if !port.contains(|letter: char| letter.is_ascii_digit()) {
        return None;
    }
    let port = port.strip_prefix(':').unwrap_or(port);
    let target = foreign_target(port).map_or_else(|| port.to_owned(), |(_, target)| target);
    let (lesson, means) = match name {
        "-k" => (KILL, Meaning::Kill(target)),
        _ => (PORT, Meaning::Target(target)),
    };
    Some(Step { lesson, replaces, means })
}

/// `-tulpn` of ss and netstat, `-nP -i -sTCP:LISTEN` of lsof.
fn letters(text: &str, command: Option<&str>) -> Option<Step> {
    let letters = text.strip_prefix('-')?;
    let is_foreign = !letters.is_empty() && letters.bytes().all(|letter| b"tulpnaeoxsriP".contains(&letter));
    if !(is_foreign || letters.starts_with("sTCP:")) || !matches!(command, None | Some("list")) {
        return None;
    }
    let option = match (letters.contains('t'), letters.contains('u')) {
        (true, false) => Some("--tcp"),
        (false, true) => Some("--udp"),
        _ => None,
    };
    Some(Step { lesson: LIST, replaces: 1, means: Meaning::Option(option) })
}

/// `tcp/8080`, `3000:3005`, `8080:80` of Docker, `8k`; and what it is in our words.
fn foreign_target(text: &str) -> Option<(&'static str, String)> {
    protocol_first(text).or_else(|| pair(text)).or_else(|| thousands(text))
}

fn protocol_first(text: &str) -> Option<(&'static str, String)> {
    let (protocol, port) = text.split_once(['/', ':'])?;
    let protocol = protocol.to_ascii_lowercase();
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit() || b"-,".contains(&byte));
    (["tcp", "udp"].contains(&&*protocol) && is_port).then(|| (PROTOCOL, format!("{port}/{protocol}")))
}

fn pair(text: &str) -> Option<(&'static str, String)> {
    let (first, last) = text.split_once("..").or_else(|| text.split_once(':'))?;
    let (first, last): (u16, u16) = (first.parse().ok()?, last.parse().ok()?);
    // Docker has the port of the machine before the one of the container.
    Some(if first < last { (RANGE, format!("{first}-{last}")) } else { (MAPPING, first.to_string()) })
}

fn thousands(text: &str) -> Option<(&'static str, String)> {
    let number: u16 = text.strip_suffix(['k', 'K'])?.parse().ok()?;
    (1..=65).contains(&number).then(|| (NUMBER, format!("{number}000")))
}

/// `8080 kill`: the command behind its target.
fn reorder(typed: &[Word], command: Option<&str>, commands: &[&str]) -> Option<(&'static str, Vec<String>)> {
    if command.is_some() {
        return None;
    }
    let is_command = |word: &&Word| word.kind == Kind::Operand && commands.contains(&word.text());
    let command = typed.iter().find(is_command)?.text();
    let mut rest: Vec<String> =
        typed.iter().filter(|word| !is_command(word)).map(|word| word.text().to_owned()).collect();
    match command {
        // They are about one port as well as about all.
        "check" | "list" => return Some((ORDER, rest)),
        "leases" | "help" => rest.clear(),
        "free" => rest.insert(0, "--prefer".to_owned()),
        "wait" if !rest.iter().any(|word| word == "--for") => rest.extend(["--for".to_owned(), "listening".to_owned()]),
        _ => {}
    }
    rest.insert(0, command.to_owned());
    Some((ORDER, rest))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::{definition, words};
    use super::*;

    fn hint_for(typed: &str) -> Option<String> {
        let mut definition = definition();
        let arguments: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
        let line = Line::read(&arguments, &mut definition);
        let commands: Vec<&str> = definition.get_subcommands().map(clap::Command::get_name).collect();
        hint(&line, line.command_word(&definition), &commands)
    }

    #[test]
    fn each_habit_gets_the_right_command() {
        for (typed, right) in [
            ("-p 8080", "8080"),
            ("-p8080", "8080"),
            ("--port 8080", "8080"),
            ("--port=8080", "8080"),
            ("-p 8080 --json", "8080 --json"),
            ("-p 8080 --kill", "8080 --kill"),
            ("kill -p 8080 --yes", "kill 8080 --yes"),
            ("list -p 8080", "8080"),
            ("free -p 3000", "free --prefer 3000"),
            ("--free --port 3000", "--free --prefer 3000"),
            ("tcp/8080", "8080/tcp"),
            ("UDP/53", "53/udp"),
            ("tcp:8123", "8123/tcp"),
            ("wait tcp/80,443 --for free", "wait 80,443/tcp --for free"),
            ("-i :8080", "8080"),
            ("-i:8080", "8080"),
            ("-iTCP:8080", "8080/tcp"),
            ("-nP -iTCP:8080 -sTCP:LISTEN", "8080/tcp"),
            ("-i", "list"),
            ("-tulpn", "list"),
            ("-tlnp", "--tcp"),
            ("-ulnp", "--udp"),
            ("-ano", "list"),
            ("list -tulpn", "list"),
            ("-k 8080", "kill 8080"),
            ("-k 8080/tcp", "kill 8080/tcp"),
            ("kill -k 8080", "kill 8080"),
            ("8080 kill", "kill 8080"),
            ("8080 kill --yes", "kill 8080 --yes"),
            ("8080 free", "free --prefer 8080"),
            ("8080 wait", "wait 8080 --for listening"),
            ("8080 list", "8080"),
            ("time-wait explain", "explain time-wait"),
            ("3000:3005", "3000-3005"),
            ("3000..3005", "3000-3005"),
            ("8080:80", "8080"),
            ("free 3000:3005", "free --range 3000-3005"),
            ("8k", "8000"),
            ("kill 8k", "kill 8000"),
        ] {
            let hint = hint_for(typed).unwrap_or_else(|| panic!("{typed}"));
            assert!(hint.ends_with(&format!(": portcheck {right}")), "{typed}: {hint}");
            assert!(hint_for(right).is_none(), "{right}");
        }
    }

    #[test]
    fn what_is_right_needs_no_hint() {
        for typed in [
            "8080",
            "kill 8080",
            "kill 8080 -y",
            "explain free",
            "help kill",
            "--process 8k",
            "free --sticky tcp/80",
            "127.0.0.1:80",
            "::1",
            "http://localhost:80",
            "-q 80",
            "-46v",
            "kill 8080 -n",
            "localhost:80",
            "99k",
        ] {
            assert_eq!(hint_for(typed), None, "{typed}");
        }
    }

    /// A habit must not take the place of an option that is there.
    #[test]
    fn no_habit_is_an_option_of_ours() {
        let definition = definition();
        let options: Vec<&clap::Arg> = definition.get_subcommands().flat_map(clap::Command::get_arguments).collect();
        for foreign in
            ["-p", "-i", "-k", "--port", "--ports", "-t", "-u", "-l", "-n", "-a", "-e", "-o", "-x", "-s", "-r"]
        {
            assert!(!options.iter().any(|option| words::is_called(option, foreign)), "{foreign}");
        }
    }
}
