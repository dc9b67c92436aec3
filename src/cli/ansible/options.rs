//! The options of the module, and the words of the command line that they stand for.

use std::ffi::OsString;

use serde_json::{Map, Value};
use strum::VariantNames;

use crate::commands::ansible::{State, Task};

/// How long a picked port is kept for the tasks that follow, if nobody says.
const USUAL_TTL: &str = "5m";

/// How an option of the module is written on the command line.
#[derive(Clone, Copy)]
enum Form {
    /// `--range=20000-20100`.
    Value,
    /// The same, with all values of a list joined by commas.
    List,
    /// `--force`, if it is true.
    Flag,
}

/// An option that is also one of the command line.
struct Known {
    name: &'static str,
    option: &'static str,
    form: Form,
    /// The commands that have it.
    commands: &'static [&'static str],
}

const fn known(name: &'static str, option: &'static str, form: Form, commands: &'static [&'static str]) -> Known {
    Known { name, option, form, commands }
}

const KNOWN: [Known; 23] = [
    known("reuse_addr", "--reuse-addr", Form::Flag, &["check", "kill", "wait"]),
    known("timeout", "--timeout", Form::Value, &["wait"]),
    known("any", "--any", Form::Flag, &["wait"]),
    known("by", "--by", Form::Value, &["wait"]),
    known("status", "--status", Form::Value, &["wait"]),
    known("signal", "--signal", Form::Value, &["kill"]),
    known("grace", "--grace", Form::Value, &["kill"]),
    known("settle", "--settle", Form::Value, &["kill"]),
    known("processes", "--yes", Form::Value, &["kill"]),
    known("force", "--force", Form::Flag, &["kill"]),
    known("clients", "--clients", Form::Flag, &["kill"]),
    known("supervisor", "--supervisor", Form::Flag, &["kill"]),
    known("remnants", "--remnants", Form::Flag, &["kill"]),
    known("expect_held", "--expect-held", Form::Flag, &["kill"]),
    known("range", "--range", Form::List, &["free"]),
    known("exclude", "--exclude", Form::List, &["free"]),
    known("prefer", "--prefer", Form::List, &["free"]),
    known("near", "--near", Form::Value, &["free"]),
    known("sticky", "--sticky", Form::Value, &["free"]),
    known("address", "--addr", Form::Value, &["free"]),
    known("ttl", "--ttl", Form::Value, &["free"]),
    known("from", "--from", Form::List, &["reach"]),
    known("profile", "--profile", Form::List, &["preflight"]),
];

/// The options that say which command it is, with the word of the command.
const COMMANDS: [(&str, &str); 6] = [
    ("kill", "kill"),
    ("wait", "wait"),
    ("free", "free"),
    ("reach", "reach"),
    ("preflight", "preflight"),
    ("facts", "list"),
];

/// The options that every task may have.
const GENERAL: [&str; 3] = ["ports", "state", "protocol"];

type Arguments = Map<String, Value>;

/// What the arguments of a module require, and what they ask for, as a command line.
pub fn command_line(arguments: &Arguments) -> Result<(Task, Vec<OsString>), String> {
    require_known(arguments)?;
    let named = command(arguments)?;
    let is_check = is_set(arguments, "_ansible_check_mode")?;
    let ports = list(arguments, "ports")?;
    let command = named.unwrap_or(if ports.is_empty() { "list" } else { "check" });
    require_ports(command, named, &ports)?;
    let state = state(arguments, command)?;
    let is_fact = is_set(arguments, "facts")?;
    let task = Task { state, is_check, is_fact };
    if command == "wait" && is_check {
        // What would be awaited is not there: the tasks before this one did nothing either.
        let task = Task { state: State::Reported, ..task };
        return Ok((task, words("check", arguments, ports, is_check)?));
    }
    Ok((task, words(command, arguments, ports, is_check)?))
}

/// The words of a command, which is the first of them.
fn words(command: &str, arguments: &Arguments, ports: Vec<String>, is_check: bool) -> Result<Vec<OsString>, String> {
    let mut words = vec![command.to_owned()];
    let operands = match command {
        "free" => text(arguments, "free")?.into_iter().collect(),
        "preflight" => list(arguments, "preflight")?,
        _ => ports,
    };
    // A value must not become an option.
    if let Some(bad) = operands.iter().find(|operand| operand.is_empty() || operand.starts_with('-')) {
        return Err(format!("'{bad}' is neither a port nor a file"));
    }
    match command {
        "wait" => words.push(format!("--for={}", text(arguments, "wait")?.unwrap_or_default())),
        "kill" if !is_given(arguments, "processes") => words.push("--yes".to_owned()),
        "preflight" if operands.is_empty() => return Err("preflight needs the path of a file".to_owned()),
        _ => {}
    }
    words.extend(operands);
    words.extend(protocol(arguments)?);
    for known in KNOWN.iter().filter(|known| known.commands.contains(&command)) {
        words.extend(option(known, arguments)?);
    }
    if command == "free" {
        // A lease changes the machine.
        let ttl = if is_check { Some("0") } else { (!is_given(arguments, "ttl")).then_some(USUAL_TTL) };
        words.retain(|word| !(is_check && word.starts_with("--ttl=")));
        words.extend(ttl.map(|ttl| format!("--ttl={ttl}")));
    }
    words.push("--json".to_owned());
    Ok(words.into_iter().map(OsString::from).collect())
}

fn option(known: &Known, arguments: &Arguments) -> Result<Option<String>, String> {
    Ok(match known.form {
        Form::Flag => is_set(arguments, known.name)?.then(|| known.option.to_owned()),
        Form::Value => text(arguments, known.name)?.map(|value| format!("{}={value}", known.option)),
        Form::List => {
            let values = list(arguments, known.name)?;
            (!values.is_empty()).then(|| format!("{}={}", known.option, values.join(",")))
        }
    })
}

fn protocol(arguments: &Arguments) -> Result<Option<String>, String> {
    match text(arguments, "protocol")?.as_deref() {
        None | Some("both") => Ok(None),
        Some("tcp") => Ok(Some("--tcp".to_owned())),
        Some("udp") => Ok(Some("--udp".to_owned())),
        Some(other) => Err(format!("protocol is tcp, udp or both, not '{other}'")),
    }
}

fn state(arguments: &Arguments, command: &str) -> Result<State, String> {
    let state = match text(arguments, "state")? {
        None if command == "kill" => State::Free,
        None => State::Reported,
        Some(typed) => {
            let names = State::VARIANTS.join(", ");
            typed.parse().map_err(|_| format!("state is one of {names}, not '{typed}'"))?
        }
    };
    match (command, state) {
        ("kill", State::Reported | State::Listening) => Err("kill goes with state: free".to_owned()),
        ("list" | "reach" | "free" | "wait", State::Free | State::Listening) => {
            Err("state: free and state: listening are about ports: give 'ports', and no other task".to_owned())
        }
        ("preflight", State::Listening) => Err("preflight goes with state: free or state: reported".to_owned()),
        _ => Ok(state),
    }
}

/// The command that an option names.
fn command(arguments: &Arguments) -> Result<Option<&'static str>, String> {
    let mut named = Vec::new();
    for (option, command) in COMMANDS {
        let is_flag = matches!(option, "kill" | "reach" | "facts");
        let is_named = if is_flag { is_set(arguments, option)? } else { is_given(arguments, option) };
        if is_named {
            named.push((option, command));
        }
    }
    match named[..] {
        [] => Ok(None),
        [(_, command)] => Ok(Some(command)),
        [(one, _), (other, _), ..] => Err(format!("{one} and {other} are two tasks: give one of them")),
    }
}

fn require_ports(command: &str, named: Option<&str>, ports: &[String]) -> Result<(), String> {
    match (command, ports.is_empty()) {
        ("kill" | "wait", true) => Err(format!("{command} needs 'ports'")),
        ("free" | "preflight", false) => Err(format!("{command} finds its ports by itself: leave 'ports' out")),
        ("list", false) if named.is_some() => Err("facts are about all ports: leave 'ports' out".to_owned()),
        _ => Ok(()),
    }
}

/// Requires that each option is known, and has a place in the command.
fn require_known(arguments: &Arguments) -> Result<(), String> {
    let names = || {
        let known = KNOWN.iter().map(|known| known.name);
        known.chain(COMMANDS.iter().map(|(name, _)| *name)).chain(GENERAL)
    };
    let command = command(arguments)?.unwrap_or("check");
    for name in arguments.keys().filter(|name| !name.starts_with("_ansible_")) {
        if !names().any(|known| known == name) {
            let nearest = names().min_by_key(|known| strsim::osa_distance(known, name));
            let meant = nearest.filter(|known| strsim::osa_distance(known, name) <= 2);
            let meant = meant.map(|meant| format!(": did you mean {meant}?")).unwrap_or_default();
            return Err(format!("unknown option '{name}'{meant}"));
        }
        let known = KNOWN.iter().find(|known| known.name == name && is_given(arguments, name));
        if let Some(known) = known.filter(|known| !known.commands.contains(&command)) {
            let homes: Vec<&str> =
                known.commands.iter().copied().map(|one| if one == "check" { "ports" } else { one }).collect();
            return Err(format!("{name} goes with {} only", homes.join(" or ")));
        }
    }
    Ok(())
}

fn is_given(arguments: &Arguments, name: &str) -> bool {
    arguments.get(name).is_some_and(|value| !value.is_null())
}

/// A truth value, in any of Ansible's spellings.
fn is_set(arguments: &Arguments, name: &str) -> Result<bool, String> {
    let Some(typed) = text(arguments, name)? else { return Ok(false) };
    match &*typed.to_ascii_lowercase() {
        "true" | "yes" | "on" | "1" | "y" | "t" => Ok(true),
        "false" | "no" | "off" | "0" | "n" | "f" => Ok(false),
        _ => Err(format!("{name} is true or false, not '{typed}'")),
    }
}

/// A single value as it is typed; `None` if it is not given.
fn text(arguments: &Arguments, name: &str) -> Result<Option<String>, String> {
    match arguments.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => plain(value).map(Some).ok_or_else(|| format!("{name} is a single value")),
    }
}

/// The values of a list; as text they are parted by commas.
fn list(arguments: &Arguments, name: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("{name} is a list of single values");
    match arguments.get(name) {
        Some(Value::Array(values)) => values.iter().map(|value| plain(value).ok_or_else(wrong)).collect(),
        _ => {
            let typed = text(arguments, name).map_err(|_| wrong())?;
            Ok(typed.iter().flat_map(|typed| typed.split(',')).map(|part| part.trim().to_owned()).collect())
        }
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests;
