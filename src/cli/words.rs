//! What was typed, word by word: where the command is, and the older forms in which an option names
//! it.
//!
//! `portcheck 8080 --kill` means `portcheck kill 8080`, and `portcheck 8080` means `portcheck check
//! 8080`: after this file, every command line starts with its command.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// An option that names a command: the form that was there before there were words.
struct OldForm {
    option: &'static str,
    command: &'static str,
    value: Value,
}

/// What becomes of the option's own value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    /// It has none.
    None,
    /// An operand of the command, which has no others in this form.
    Operand,
    /// The value of this option.
    Of(&'static str),
}

const OLD_FORMS: [OldForm; 7] = [
    OldForm { option: "--kill", command: "kill", value: Value::None },
    OldForm { option: "--free", command: "free", value: Value::Operand },
    OldForm { option: "--wait", command: "wait", value: Value::Of("--for") },
    OldForm { option: "--leases", command: "leases", value: Value::None },
    OldForm { option: "--release", command: "release", value: Value::Operand },
    OldForm { option: "--explain", command: "explain", value: Value::Operand },
    OldForm { option: "--keep-leases", command: "keep-leases", value: Value::None },
];

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As typed.
    pub typed: OsString,
    /// What it is.
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An option, perhaps with its value joined to it.
    Option,
    /// The value of the option before it.
    Value,
    /// A target, or the word of a command.
    Operand,
}

impl Word {
    /// Its text; empty if it is none.
    pub fn text(&self) -> &str {
        self.typed.to_str().unwrap_or_default()
    }
}

/// A command line.
#[derive(Debug, Clone)]
pub struct Line {
    /// What stands before `--`.
    pub words: Vec<Word>,
    /// The command behind `--`, with the `--`.
    pub command: Vec<OsString>,
}

impl Line {
    /// Sorts the arguments behind the name of the program. `definition` tells which options have
    /// values.
    pub fn read(arguments: &[OsString], definition: &mut Command) -> Self {
        let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
        let (typed, command) = arguments.split_at(end);
        let mut words: Vec<Word> = Vec::new();
        for argument in typed {
            let kind = match words.last() {
                Some(before) if takes(before, argument, definition) => Kind::Value,
                _ if is_option(argument) => Kind::Option,
                _ => Kind::Operand,
            };
            words.push(Word { typed: argument.clone(), kind });
        }
        Self { words, command: command.to_vec() }
    }

    /// The command that the first operand names.
    pub fn command_word<'a>(&self, definition: &'a Command) -> Option<&'a str> {
        let first = self.words.iter().find(|word| word.kind == Kind::Operand)?;
        commands(definition).into_iter().find(|known| *known == first.text())
    }

    /// The arguments with their command first.
    pub fn with_command_first(self, definition: &mut Command) -> Result<Vec<OsString>, String> {
        if let Some(answer) = self.help_or_version(definition) {
            return Ok(answer);
        }
        let word = self.command_word(definition).map(str::to_owned);
        let word = word.as_deref();
        let (old, mut rest) = split_old_forms(self.words);
        if let Some(at) = word.and_then(|_| rest.iter().position(|word| word.kind == Kind::Operand)) {
            rest.remove(at);
        }
        let command = one_command(word, &old)?;
        if command == Some("kill") {
            rest = join_counts(rest);
        }
        let has_operands = rest.iter().any(|word| word.kind == Kind::Operand);
        let command = command.unwrap_or(if has_operands { "check" } else { "list" });
        if word.is_none() {
            require_no_operand(&old, &rest)?;
        }
        require_place_for(&self.command, command, definition)?;
        // What was next to an option that lacks its value must not come next to another one.
        let (operands, options): (Old, Old) = old.into_iter().partition(|(form, _)| form.value == Value::Operand);
        let mut words = vec![OsString::from(command)];
        words.extend(operands.into_iter().filter_map(|(_, value)| value));
        words.extend(rest.into_iter().map(|word| word.typed));
        words.extend(options.into_iter().flat_map(|(form, value)| form.option_words(value)));
        words.extend(self.command);
        Ok(words)
    }

    /// What asks for help in general, or for the version.
    fn help_or_version(&self, definition: &Command) -> Option<Vec<OsString>> {
        let is_given =
            |names: [&str; 2]| self.words.iter().any(|word| word.kind == Kind::Option && names.contains(&word.text()));
        if self.command_word(definition) == Some("help") {
            return Some(self.words.iter().map(|word| word.typed.clone()).collect());
        }
        if is_given(["-V", "--version"]) {
            return Some(vec!["--version".into()]);
        }
        let names_a_command = self
            .words
            .iter()
            .any(|word| word.kind == Kind::Operand || (word.kind == Kind::Option && old_form(word.text()).is_some()));
        (is_given(["-h", "--help"]) && !names_a_command).then(|| vec!["--help".into()])
    }
}

impl OldForm {
    /// The option that stands for it behind the word of its command, if one does.
    fn option_words(&self, value: Option<OsString>) -> Vec<OsString> {
        match self.value {
            Value::Of(option) => [OsString::from(option)].into_iter().chain(value).collect(),
            Value::None | Value::Operand => value.into_iter().collect(),
        }
    }
}

/// The words of all commands.
pub fn commands(definition: &Command) -> Vec<&str> {
    // Clap adds its own as soon as it parses.
    definition.get_subcommands().map(Command::get_name).chain(["help"]).collect()
}

fn is_option(argument: &OsStr) -> bool {
    let bytes = argument.as_encoded_bytes();
    bytes.starts_with(b"-") && bytes != b"-"
}

/// Whether `next` is the value of the option `before` it.
fn takes(before: &Word, next: &OsStr, definition: &mut Command) -> bool {
    if before.kind != Kind::Option || before.text().contains('=') {
        return false;
    }
    if let Some((form, _)) = old_form(before.text()) {
        return form.value != Value::None && !is_option(next);
    }
    let values = definition
        .get_subcommands_mut()
        .find_map(|command| defined(command).get_arguments().find(|option| is_called(option, before.text())))
        .filter(|option| !option.is_require_equals_set())
        .and_then(Arg::get_num_args);
    values.is_some_and(|values| values.min_values() > 0 || (values.takes_values() && !is_option(next)))
}

/// A command with its options.
fn defined(command: &mut Command) -> &Command {
    command.build();
    command
}

/// Whether `typed` is this option.
pub fn is_called(option: &Arg, typed: &str) -> bool {
    match typed.strip_prefix("--") {
        Some(name) => option.get_long() == Some(name),
        None => typed.strip_prefix('-').is_some_and(|name| {
            let mut letters = name.chars();
            letters.next() == option.get_short() && letters.next().is_none() && option.get_short().is_some()
        }),
    }
}

/// The old form that an option is, and the value that is joined to it.
fn old_form(typed: &str) -> Option<(&'static OldForm, Option<&str>)> {
    let (name, value) = match typed.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (typed, None),
    };
    OLD_FORMS.iter().find(|form| form.option == name).map(|form| (form, value))
}

type Old = Vec<(&'static OldForm, Option<OsString>)>;

/// The old forms with their values, and all other words.
fn split_old_forms(words: Vec<Word>) -> (Old, Vec<Word>) {
    let (mut old, mut rest) = (Old::new(), Vec::new());
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        match old_form(word.text()) {
            Some((form, joined)) if word.kind == Kind::Option => {
                let joined = joined.map(OsString::from);
                let value = joined.or_else(|| Some(words.next_if(|next| next.kind == Kind::Value)?.typed));
                old.push((form, value));
            }
            _ => rest.push(word),
        }
    }
    (old, rest)
}

/// Joins the number behind `--yes` to it, as in `kill 1-1024 --yes 7`. In front of all targets it
/// is one of them: `kill --yes 8080`.
fn join_counts(words: Vec<Word>) -> Vec<Word> {
    let mut joined: Vec<Word> = Vec::new();
    for word in words {
        let has_target = joined.iter().any(|word| word.kind == Kind::Operand);
        let is_count = word.kind == Kind::Operand && word.text().parse::<usize>().is_ok();
        match joined.last_mut().filter(|last| matches!(last.text(), "--yes" | "-y")) {
            Some(yes) if is_count && has_target => yes.typed = format!("--yes={}", word.text()).into(),
            _ => joined.push(word),
        }
    }
    joined
}

/// The command that was named, by its word or by options.
fn one_command<'a>(word: Option<&'a str>, old: &Old) -> Result<Option<&'a str>, String> {
    let mut names =
        word.map(|word| (word, word)).into_iter().chain(old.iter().map(|(form, _)| (form.option, form.command)));
    let Some((first, command)) = names.next() else { return Ok(None) };
    match names.find(|(_, other)| *other != command) {
        Some((second, _)) => Err(format!("{first} and {second} are two commands: give one of them")),
        None => Ok(Some(command)),
    }
}

/// Requires that the value of an old form is all that its command is to work on: `8080 --free` is
/// no request for 8080 ports.
fn require_no_operand(old: &Old, rest: &[Word]) -> Result<(), String> {
    let Some((form, _)) = old.iter().find(|(form, _)| form.value == Value::Operand) else { return Ok(()) };
    let Some(operand) = rest.iter().find(|word| word.kind == Kind::Operand) else { return Ok(()) };
    let (option, operand) = (form.option, operand.text());
    Err(match form.command {
        "free" => format!("--free picks ports by itself: --prefer {operand} picks {operand} if it is free"),
        _ => format!("'{operand}' cannot be combined with {option}"),
    })
}

/// Requires that the command runs another one, if there is one behind `--`.
fn require_place_for(behind: &[OsString], command: &str, definition: &mut Command) -> Result<(), String> {
    let known = definition.find_subcommand_mut(command).map(defined).filter(|_| behind.len() > 1);
    match known {
        Some(known) if !known.get_arguments().any(Arg::is_last_set) => {
            Err("a command behind -- is run after a wait or a preflight, or with a port: \
                 portcheck wait 8080 --for listening -- CMD, portcheck preflight -- CMD, or portcheck free -- CMD"
                .to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(typed: &str) -> Result<String, String> {
        let mut definition = super::super::definition();
        let arguments: Vec<OsString> = typed.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
        let words = Line::read(&arguments, &mut definition).with_command_first(&mut definition)?;
        Ok(words.join(OsStr::new(" ")).into_string().unwrap())
    }

    #[test]
    fn every_form_has_one_meaning() {
        for (typed, meant) in [
            ("", "list"),
            ("--json", "list --json"),
            ("8080", "check 8080"),
            ("8080 --json", "check 8080 --json"),
            ("--format json 8080", "check --format json 8080"),
            ("--process kill", "list --process kill"),
            ("--process=kill --sort pid", "list --process=kill --sort pid"),
            ("8080 --kill --yes", "kill 8080 --yes"),
            ("kill 3000-3010 --yes 7", "kill 3000-3010 --yes=7"),
            ("3000-3010 --kill -y 7", "kill 3000-3010 --yes=7"),
            ("kill --yes 8080 8081", "kill --yes 8080 8081"),
            ("--yes 8080 --kill", "kill --yes 8080"),
            ("kill 8080 --yes 53/udp", "kill 8080 --yes 53/udp"),
            ("--kill --grace -1s 8080", "kill --grace -1s 8080"),
            ("kill 8080", "kill 8080"),
            ("--json kill 8080", "kill --json 8080"),
            ("kill 8080 --kill", "kill 8080"),
            ("--free", "free"),
            ("--free 3 --hold", "free 3 --hold"),
            ("--free=3", "free 3"),
            ("--sticky free --free", "free --sticky free"),
            ("--free -- kill --kill", "free -- kill --kill"),
            ("8080 --wait free -- ls", "wait 8080 --for free -- ls"),
            ("--wait=listening 8080", "wait 8080 --for listening"),
            ("8080 --wait", "wait 8080 --for"),
            ("--free 3 --env-file", "free 3 --env-file"),
            ("--leases", "leases"),
            ("--release 80 --release 81", "release 80 81"),
            ("--explain", "explain"),
            ("--explain free", "explain free"),
            ("explain free", "explain free"),
            ("free/tcp", "check free/tcp"),
            ("--keep-leases", "keep-leases"),
            ("help", "help"),
            ("help kill", "help kill"),
            ("-h", "--help"),
            ("--color never --help", "--help"),
            ("8080 --help", "check 8080 --help"),
            ("--kill --help", "kill --help"),
            ("8080 -V", "--version"),
            ("--", "list --"),
        ] {
            assert_eq!(canonical(typed).as_deref(), Ok(meant), "{typed}");
        }
    }

    #[test]
    fn two_commands_are_refused() {
        for typed in ["8080 --kill --wait free", "kill 8080 --wait free", "--leases --release 80", "check 80 --kill"] {
            assert!(canonical(typed).unwrap_err().contains("two commands"), "{typed}");
        }
    }

    /// Regression to be avoided: with the count as an operand, `3 --free` would pick three ports.
    #[test]
    fn a_target_is_no_count() {
        for typed in ["3 --free", "--free 2 3", "80 --release 81", "80 --explain free"] {
            assert!(canonical(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn a_command_behind_has_to_be_run_by_somebody() {
        for typed in ["8080 -- ls", "-- 8080", "kill 8080 -- ls", "list -- ls"] {
            assert!(canonical(typed).unwrap_err().contains("portcheck free -- CMD"), "{typed}");
        }
    }
}
