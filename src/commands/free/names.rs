//! The names of the picked ports: variables for a command, placeholders in its arguments.

/// The variable that most servers read.
const USUAL: &str = "PORT";

/// The names of `count` ports by default: `PORT`, `PORT2`, `PORT3`.
pub fn usual(count: usize) -> Vec<String> {
    (1..=count).map(|number| if number == 1 { USUAL.to_owned() } else { format!("{USUAL}{number}") }).collect()
}

/// Whether `name` can be the name of a variable in every shell and program (POSIX.1-2024, 8.1).
pub fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|other| other.is_ascii_alphanumeric() || other == '_')
}

/// Whether a variable of this name decides how programs are found, loaded or run. A port in it
/// would break a command.
pub fn rules_programs(name: &str) -> bool {
    /// Variables of shells (POSIX.1-2024, 8.3; bash(1)) and of sd_listen_fds(3).
    const NAMES: [&str; 25] = [
        "BASHOPTS",
        "BASH_ENV",
        "CDPATH",
        "ENV",
        "EUID",
        "GCONV_PATH",
        "HOME",
        "IFS",
        "LANG",
        "LISTEN_FDNAMES",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LOGNAME",
        "NODE_OPTIONS",
        "OLDPWD",
        "PATH",
        "PPID",
        "PWD",
        "RUBYOPT",
        "SHELL",
        "SHELLOPTS",
        "TERM",
        "TMPDIR",
        "UID",
        "USER",
    ];
    /// Prefixes of the dynamic linker, the C library (ld.so(8)) and interpreters.
    const PREFIXES: [&str; 8] = ["DYLD_", "GLIBC_", "JAVA_TOOL_", "LC_", "LD_", "MALLOC_", "PERL5", "PYTHON"];
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// A place for a port in an argument.
struct Placeholder {
    start: usize,
    end: usize,
    /// Counted from one.
    number: usize,
}

/// The first `{port}` or `{port2}` in `text` from `from` on.
fn next_placeholder(text: &[u8], from: usize) -> Option<Placeholder> {
    const OPENING: &[u8] = b"{port";
    let mut start = from;
    loop {
        start += text.get(start..)?.windows(OPENING.len()).position(|window| window == OPENING)?;
        let digits_at = start + OPENING.len();
        let digits: &[u8] = text[digits_at..].split(|byte| !byte.is_ascii_digit()).next().unwrap_or_default();
        let end = digits_at + digits.len();
        let number = match digits {
            [] => Some(1),
            [b'0', ..] => None,
            digits => std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()),
        };
        if let (Some(number), Some(b'}')) = (number, text.get(end)) {
            return Some(Placeholder { start, end: end + 1, number });
        }
        start = digits_at;
    }
}

/// The highest number of a placeholder in `argument`; 0 if it has none.
pub fn highest_placeholder(argument: &[u8]) -> usize {
    let mut highest = 0;
    let mut from = 0;
    while let Some(found) = next_placeholder(argument, from) {
        highest = highest.max(found.number);
        from = found.end;
    }
    highest
}

/// `argument` with `{port}` replaced by the first of `ports`, `{port2}` by the second. A
/// placeholder without a port is left.
pub fn fill(argument: &[u8], ports: &[u16]) -> Vec<u8> {
    let mut filled = Vec::with_capacity(argument.len());
    let mut from = 0;
    while let Some(found) = next_placeholder(argument, from) {
        filled.extend_from_slice(&argument[from..found.start]);
        match ports.get(found.number - 1) {
            Some(port) => filled.extend_from_slice(port.to_string().as_bytes()),
            None => filled.extend_from_slice(&argument[found.start..found.end]),
        }
        from = found.end;
    }
    filled.extend_from_slice(&argument[from..]);
    filled
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn filled(argument: &str, expected: &str) {
        assert_eq!(String::from_utf8(fill(argument.as_bytes(), &[20123, 20124])).unwrap(), expected);
    }

    #[test]
    fn placeholders_become_ports() {
        filled("{port}", "20123");
        filled("--listen=127.0.0.1:{port},[::1]:{port2}", "--listen=127.0.0.1:20123,[::1]:20124");
        filled("{port1}{port2}{port}", "201232012420123");
        filled("http://localhost:{port}/", "http://localhost:20123/");
    }

    #[test]
    fn what_is_no_placeholder_stays() {
        for text in
            ["", "port", "{port", "{port ", "{ports}", "{port0}", "{port02}", "{port3}", "{PORT}", "{{port", "ß{portß}"]
        {
            filled(text, text);
        }
        filled("{{port}}", "{20123}");
        filled("{port{port}", "{port20123");
        assert_eq!(highest_placeholder(b"{port} {port7} {port2}"), 7);
        assert_eq!((highest_placeholder(b"{port99999999999999999999}"), highest_placeholder(b"{port0}")), (0, 0));
    }

    #[test]
    fn names_of_variables() {
        assert_eq!(usual(3), ["PORT", "PORT2", "PORT3"]);
        assert!(["PORT", "_x", "a1"].into_iter().all(is_name));
        assert!(["PATH", "LD_PRELOAD", "IFS", "PYTHONPATH"].into_iter().all(rules_programs));
        assert!(["PORT", "PATHS", "HTTP_PORT", "PYTHO", "MY_LD_PORT"].into_iter().all(|name| !rules_programs(name)));
        assert!(["", "1a", "a-b", "a=b", "a b", "ä", "a\n"].into_iter().all(|name| !is_name(name)));
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_filled(argument in proptest::collection::vec(any::<u8>(), 0..40), tail in "[{}port0-9]{0,30}") {
            let argument = [argument, tail.into_bytes()].concat();
            let without = fill(&argument, &[]);
            prop_assert_eq!(without, argument);
        }
    }
}
