//! What the other side of an ssh session runs, and what it says.
//!
//! The login shell there may be any shell. It is given one constant line without anything that
//! shells disagree about. That line reads [`SCRIPT`] from standard input and has a POSIX shell run
//! it. Arguments come by standard input, too, so nothing that was typed is part of a command line.

use std::borrow::Cow;

/// What ssh is told to run.
pub const COMMAND: &str = "exec sh -c 'IFS= read -r script; eval \"$script\"'";

/// Begins every line that the script itself says.
pub const MARK: &str = "portcheck-host: ";

/// What the script says behind [`MARK`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// What portcheck prints follows.
    Answer,
    /// What portcheck printed is over.
    End,
    /// There is no portcheck. Its system: `Linux x86_64`.
    None(String),
    /// The copy did not arrive whole, or there is no place for it.
    Refused,
}

impl Said {
    /// Reads a line of the other side; `None` if it is not one of the script's.
    pub fn read(line: &[u8]) -> Option<Self> {
        let line = line.strip_suffix(b"\r").unwrap_or(line).strip_prefix(MARK.as_bytes())?;
        let line = std::str::from_utf8(line).ok()?;
        match line.split_once(' ').unwrap_or((line, "")) {
            ("answer", "") => Some(Self::Answer),
            ("end", "") => Some(Self::End),
            ("none", system) => Some(Self::None(system.to_owned())),
            ("refused", "") => Some(Self::Refused),
            _ => None,
        }
    }
}

/// One line, as the other side reads one.
///
/// 1. It removes what earlier runs of the same user have left: directories of which no process is
///    left that made them.
/// 2. It reads the arguments, and runs the portcheck that is there, if one is.
/// 3. If another line follows, with a size and a checksum, a program follows. It is written to a
///    directory that only its user may enter, compared, run and removed, whatever ends the script.
const SCRIPT: &str = concat!(
    "umask 077; d=; trap 'test -z \"$d\" || rm -rf \"$d\"' EXIT; trap 'exit 1' HUP INT TERM PIPE; ",
    "u=$(id -u); t=${TMPDIR:-/tmp}; ",
    "for o in \"$t/portcheck-$u\".*; do test -d \"$o\" && test ! -L \"$o\" && test -O \"$o\" || continue; ",
    "p=${o#\"$t/portcheck-$u.\"}; kill -0 \"${p%%.*}\" 2>/dev/null || rm -rf \"$o\"; done; ",
    "say() { printf 'portcheck-host: %s\\n' \"$*\"; }; ",
    "answer() { say answer; \"$@\" </dev/null; echo; say end; }; ",
    "IFS= read -r a || exit 1; eval \"set -- $a\"; ",
    "if command -v portcheck >/dev/null; then answer portcheck \"$@\"; fi; say none \"$(uname -sm)\"; ",
    "IFS=' ' read -r n s || exit 0; ",
    "d=$(mktemp -d \"$t/portcheck-$u.$$.XXXXXX\") && cat >\"$d/portcheck\" || { say refused; exit 1; }; ",
    "test \"$(wc -c <\"$d/portcheck\")\" -eq \"$n\" || { say refused; exit 1; }; ",
    "if test \"$s\" != - && command -v sha256sum >/dev/null; then ",
    "test \"$(sha256sum <\"$d/portcheck\")\" = \"$s  -\" || { say refused; exit 1; }; fi; ",
    "chmod 700 \"$d/portcheck\"; answer \"$d/portcheck\" \"$@\"; exit 0",
);

/// What the other side reads first: the script, and the arguments of portcheck.
pub fn beginning(words: &[String]) -> Vec<u8> {
    // A NUL or a line break is in none of them.
    let words = words.iter().map(|word| shlex::try_quote(word).unwrap_or(Cow::Borrowed("''")));
    format!("{SCRIPT}\n{}\n", words.collect::<Vec<_>>().join(" ")).into_bytes()
}

/// The line before a copy of the program.
pub fn announcement(size: usize, sha256: Option<&str>) -> Vec<u8> {
    format!("{size} {}\n", sha256.unwrap_or("-")).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_for_the_login_shell_is_the_same_in_every_shell() {
        let inside = COMMAND.strip_prefix("exec sh -c '").unwrap().strip_suffix('\'').unwrap();
        assert!(!inside.contains(['\'', '\\', '!', '\n']), "{inside}");
        assert!(!SCRIPT.contains('\n'));
    }

    #[test]
    fn only_lines_of_the_script_count() {
        assert_eq!(Said::read(b"portcheck-host: answer"), Some(Said::Answer));
        assert_eq!(Said::read(b"portcheck-host: end\r"), Some(Said::End));
        assert_eq!(Said::read(b"portcheck-host: none Linux x86_64"), Some(Said::None("Linux x86_64".to_owned())));
        for other in [&b"Welcome"[..], b" portcheck-host: answer", b"portcheck-host: answer x", b"portcheck-host: \xff"]
        {
            assert_eq!(Said::read(other), None);
        }
    }

    #[test]
    fn arguments_reach_portcheck_as_they_were_typed() {
        let typed = ["list", "--process", "it's \"$(id)\" \\ !x", ""].map(str::to_owned);
        let beginning = String::from_utf8(beginning(&typed)).unwrap();
        let (script, arguments) = beginning.split_once('\n').unwrap();
        assert_eq!(script, SCRIPT);
        assert_eq!(shlex::split(arguments.trim_end()).unwrap(), typed);
    }
}
