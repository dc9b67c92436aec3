//! What is wrong with a command line, in one line that says what would be right.

use std::error::Error as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::words;

/// Says what clap has found in the arguments of `command`.
pub fn message(error: &clap::Error, command: &str, definition: &Command) -> String {
    let argument = text(error, ContextKind::InvalidArg);
    let value = text(error, ContextKind::InvalidValue);
    match error.kind() {
        ErrorKind::UnknownArgument => unknown(&argument, command, definition),
        ErrorKind::InvalidSubcommand => {
            let word = text(error, ContextKind::InvalidSubcommand);
            format!("unknown command '{word}': portcheck --help lists them")
        }
        ErrorKind::InvalidValue => match text(error, ContextKind::ValidValue) {
            valid if value.is_empty() && valid.is_empty() => format!("{} needs a value: {argument}", name(&argument)),
            valid if value.is_empty() => format!("{} needs a value: {valid}", name(&argument)),
            valid => format!("{} '{value}' is not one of: {valid}", name(&argument)),
        },
        ErrorKind::ValueValidation => {
            let reason = error.source().map(ToString::to_string).unwrap_or_default();
            // What is wrong with an operand is a sentence by itself.
            if argument.starts_with('-') { format!("{} '{value}' {reason}", name(&argument)) } else { reason }
        }
        ErrorKind::ArgumentConflict => {
            let other = text(error, ContextKind::PriorArg);
            if other == argument {
                return format!("{} is given twice", name(&argument));
            }
            format!("{} does not go with {}", name(&argument), name(&other))
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = argument.replace(", ", " and ").replace(['<', '>'], "").replace("...", "");
            format!("{command} needs {missing}: portcheck {}", example(command))
        }
        _ => first_line(error),
    }
}

/// An option without what stands for its value.
fn name(argument: &str) -> &str {
    argument.split([' ', '=']).next().unwrap_or(argument)
}

/// A command line that has all that the command needs.
fn example(command: &str) -> String {
    match command {
        "wait" => "wait 8080 --for listening".to_owned(),
        "completions" => "completions bash".to_owned(),
        _ => format!("{command} 8080"),
    }
}

fn unknown(argument: &str, command: &str, definition: &Command) -> String {
    if !argument.starts_with('-') {
        let help = format!("portcheck {command} --help");
        return match command {
            "list" => format!("portcheck list takes no port: use portcheck {argument}"),
            _ => format!("'{argument}' is one word too many: see {help}"),
        };
    }
    let others = commands_with(argument, definition);
    match others.len() {
        0 => {}
        1..=3 => return format!("portcheck {command} has no {argument}: it goes with {}", others.join(", or ")),
        _ => return format!("{argument} does not go with portcheck {command}"),
    }
    match super::suggest::option(argument, command, definition) {
        Some(near) => format!("unknown option {argument}: did you mean {near}?"),
        None => format!("unknown option {argument}: portcheck {command} --help lists them"),
    }
}

/// The commands that have this option, as people are told of them.
fn commands_with(option: &str, definition: &Command) -> Vec<String> {
    let find = |command: &Command| {
        let mut options = command.get_arguments().filter(|known: &&Arg| !known.is_hide_set());
        let found = options.find(|known| words::is_called(known, option))?;
        let value = found.get_value_names().filter(|_| found.get_action().takes_values()).and_then(<[_]>::first);
        let value = value.map(|value| format!(" {value}")).unwrap_or_default();
        Some(phrase(command.get_name(), &format!("{option}{value}")))
    };
    definition.get_subcommands().filter_map(find).collect()
}

fn phrase(command: &str, option: &str) -> String {
    match command {
        "check" => format!("a TARGET (portcheck 8080 {option})"),
        "list" => format!("the list (portcheck {option})"),
        _ => format!("portcheck {command}"),
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> String {
    error.get(kind).map(ContextValue::to_string).unwrap_or_default()
}

fn first_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line).to_owned()
}
