//! What was probably meant by a word that is unknown.

use clap::{Arg, Command};

use super::definition;
use crate::platform::machine;

/// The option most like `typed`: one that `command` has, or the name of a command.
pub fn option(typed: &str, command: &str, definition: &Command) -> Option<String> {
    let own = definition.find_subcommand(command).into_iter().flat_map(long_options);
    let commands = definition.get_subcommands().filter(|known| !known.is_hide_set()).map(Command::get_name);
    let as_words = commands.map(|name| (format!("--{name}"), format!("portcheck {name}")));
    let names = own.map(|name| (name.clone(), name)).chain(as_words);
    let allowed = if typed.len() <= 6 { 1 } else { 2 };
    nearest(typed, names, allowed)
}

/// What a word that is no port may stand for: a command, an option without its hyphens, or the name
/// of a service.
pub fn word(typed: &str) -> Option<String> {
    let definition = definition();
    let visible: Vec<&Command> = definition.get_subcommands().filter(|known| !known.is_hide_set()).collect();
    let commands = visible.iter().map(|known| (known.get_name().to_owned(), format!("portcheck {}", known.get_name())));
    let options = visible.iter().flat_map(|known| long_options(known)).map(|name| (name[2..].to_owned(), name));
    // Most words of three letters are like some option.
    nearest(typed, commands, usize::from(typed.len() > 2))
        .or_else(|| nearest(typed, options, usize::from(typed.len() > 3)))
        .or_else(|| (machine::NAMES.nearest)(typed))
}

fn long_options(command: &Command) -> impl Iterator<Item = String> {
    let visible = command.get_arguments().filter(|option: &&Arg| !option.is_hide_set());
    visible.filter_map(|option| Some(format!("--{}", option.get_long()?)))
}

/// What belongs to the name that is most like `typed`, if one is within `allowed` slips.
fn nearest(typed: &str, names: impl Iterator<Item = (String, String)>, allowed: usize) -> Option<String> {
    let distances = names.map(|(name, meant)| (strsim::osa_distance(typed, &name), meant));
    distances.filter(|(distance, _)| *distance <= allowed).min_by_key(|(distance, _)| *distance).map(|(_, meant)| meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_were_meant() {
        let definition = definition();
        for (typed, command, meant) in [
            ("--jsn", "list", Some("--json")),
            ("--gracee", "kill", Some("--grace")),
            ("--kil", "check", Some("portcheck kill")),
            ("--lst", "list", Some("portcheck list")),
            ("--nonsense", "list", None),
        ] {
            assert_eq!(option(typed, command, &definition).as_deref(), meant, "{typed}");
        }
    }

    /// Regression: `kill` was taken for the service `ill`, `list` for `gist`, and `8k` for `pk`.
    #[test]
    fn commands_and_options_come_before_services() {
        for (typed, meant) in [
            ("lst", Some("portcheck list")),
            ("klil", Some("portcheck kill")),
            ("json", Some("--json")),
            ("verbos", Some("--verbose")),
            ("postgresqk", Some("postgresql")),
            ("nod", None),
            ("foo", None),
            ("xk", None),
        ] {
            assert_eq!(word(typed).as_deref(), meant, "{typed}");
        }
    }
}
