//! Completions: the scripts that shells read, and the answers to what those scripts ask.
//!
//! A script calls portcheck with [`ASKED_BY`] in the environment and the words up to the cursor
//! behind `--`. A command line without a command is completed as the command that it would become.

mod candidates;

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::CompletionCandidate;
use clap_complete::env::{Elvish, EnvCompleter, Fish, Powershell};
use strum::VariantNames;

use super::names::named;
use super::words::{Kind, Line, is_called};
use super::{Wish, definition};
use crate::render::escape;

/// The variable by which the script of a shell asks; its value is the shell.
const ASKED_BY: &str = "PORTCHECK_COMPLETE";

/// Why bash asks: a number, see COMP_TYPE in bash(1).
const BASH_ASKS_FOR: &str = "PORTCHECK_COMPLETE_TYPE";

const BASH: &str = include_str!("complete/portcheck.bash");
const ZSH: &str = include_str!("complete/portcheck.zsh");

/// A shell that completes words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Shell {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

#[derive(Debug, Args)]
#[command(after_help = super::help::styled(super::help::COMPLETIONS))]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_parser = named::<Shell>(Shell::VARIANTS))]
    shell: Shell,
}

impl CompletionsArgs {
    /// What it asks for.
    pub fn resolve(&self) -> Wish {
        Wish::Page(self.shell.script())
    }
}

impl Shell {
    /// What the shell has to read once.
    fn script(self) -> String {
        let by_clap: &dyn EnvCompleter = match self {
            Self::Bash => return BASH.to_owned(),
            Self::Zsh => return ZSH.to_owned(),
            Self::Elvish => &Elvish,
            Self::Fish => &Fish,
            Self::Powershell => &Powershell,
        };
        let mut script = Vec::new();
        // Writing to memory does not fail.
        let _ = by_clap.write_registration(ASKED_BY, "portcheck", "portcheck", "portcheck", &mut script);
        String::from_utf8_lossy(&script).trim_start().to_owned()
    }

    /// Writes candidates as its script reads them.
    fn write(self, candidates: &[Candidate], out: &mut impl Write) -> io::Result<()> {
        // A list can have descriptions. What is inserted cannot.
        let lists = || matches!(std::env::var(BASH_ASKS_FOR).as_deref(), Ok("63" | "33" | "64"));
        let is_described = match self {
            Self::Bash => candidates.len() > 1 && lists(),
            Self::Elvish => false,
            Self::Fish | Self::Powershell | Self::Zsh => true,
        };
        let width = candidates.iter().map(|candidate| candidate.value.len()).max().unwrap_or(0);
        for Candidate { value, about } in candidates {
            let about = about.as_deref().filter(|_| is_described);
            match (self, about) {
                (Self::Bash, Some(about)) => writeln!(out, "{value:width$}  ({about})")?,
                (Self::Zsh, about) => {
                    let escaped = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
                    let about = about.map(|about| format!(":{}", about.replace('\\', "\\\\"))).unwrap_or_default();
                    writeln!(out, "{}{about}", escaped(value))?;
                }
                (_, Some(about)) => writeln!(out, "{value}\t{about}")?,
                (_, None) => writeln!(out, "{value}")?,
            }
        }
        Ok(())
    }
}

/// What a word can become, and what that is.
#[derive(Debug)]
struct Candidate {
    value: String,
    about: Option<String>,
}

impl Candidate {
    /// `None` if a shell would take it for something else than a word.
    fn of(found: &CompletionCandidate) -> Option<Self> {
        let value = found.get_value().to_str().filter(|value| is_plain(value))?;
        let about = found.get_help().map(|help| {
            let help = help.to_string();
            let first = help.lines().next().unwrap_or_default();
            escape::shorten(&escape::terminal(first), 60).into_owned()
        });
        Some(Self { value: value.to_owned(), about })
    }
}

/// Whether no shell of any system acts on a word.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|letter| letter.is_alphanumeric() || "-_./:@,+=".contains(letter))
}

/// The shell whose script asks, if one does.
pub fn asking_shell() -> Option<Shell> {
    std::env::var(ASKED_BY).ok()?.parse().ok()
}

/// Answers the script of `shell`: `arguments` are ours, with the words behind `--`.
pub fn answer(shell: Shell, arguments: &[OsString]) -> io::Result<()> {
    let words = arguments.iter().skip_while(|argument| *argument != "--").skip(2).cloned();
    let mut words: Vec<OsString> = words.collect();
    let current = words.pop().unwrap_or_default();
    if shell == Shell::Bash {
        // For bash `--for=free` is three words.
        words.retain(|word| word != "=");
    }
    let mut out = io::stdout().lock();
    shell.write(&complete(&words, &current), &mut out)?;
    out.flush()
}

/// What `current` can become behind the words `before` it.
fn complete(before: &[OsString], current: &OsStr) -> Vec<Candidate> {
    if before.iter().any(|word| word == "--") {
        return Vec::new();
    }
    let mut definition = candidates::add_to(definition());
    let line = Line::read(&[before, &[current.to_owned()]].concat(), &mut definition);
    let is_value = line.words.last().is_some_and(|word| word.kind == Kind::Value);
    let mut found: Vec<CompletionCandidate> = Vec::new();
    for words in lines(before, is_value, &mut definition) {
        found.extend(ask(&words, current, &mut definition));
    }
    let is_option = |candidate: &CompletionCandidate| candidate.get_value().as_encoded_bytes().starts_with(b"-");
    if current.is_empty() && !found.iter().all(is_option) {
        found.retain(|candidate| !is_option(candidate));
    }
    let mut seen = HashSet::new();
    found.retain(|candidate| seen.insert(candidate.get_value().to_owned()));
    found.iter().filter_map(Candidate::of).collect()
}

/// The command lines that these words may become, each with its command first.
fn lines(before: &[OsString], is_value: bool, definition: &mut Command) -> Vec<Vec<OsString>> {
    let line = Line::read(before, definition);
    let has_operand = line.words.iter().any(|word| word.kind == Kind::Operand);
    let Ok(words) = line.with_command_first(definition) else { return Vec::new() };
    match words.first().and_then(|word| word.to_str()) {
        // Nothing names a command so far.
        Some("list") if !has_operand => {
            let as_check = [&[OsString::from("check")], &words[1..]].concat();
            match before.last().and_then(|word| word.to_str()) {
                Some(option) if is_value && !has_option("check", option, definition) => vec![words],
                Some(_) if is_value => vec![as_check],
                _ => vec![Vec::new(), as_check, words],
            }
        }
        _ => vec![words],
    }
}

fn has_option(command: &str, option: &str, definition: &Command) -> bool {
    definition
        .find_subcommand(command)
        .is_some_and(|command| command.get_arguments().any(|known| is_called(known, option)))
}

/// Asks clap.
fn ask(words: &[OsString], current: &OsStr, definition: &mut Command) -> Vec<CompletionCandidate> {
    let arguments = [&[OsString::from("portcheck")], words, &[current.to_owned()]].concat();
    let last = arguments.len() - 1;
    let directory = std::env::current_dir().ok();
    clap_complete::engine::complete(definition, arguments, last, directory.as_deref()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
