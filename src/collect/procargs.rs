//! The arguments of a process, as macOS returns them: `KERN_PROCARGS2` (sysctl(3);
//! bsd/kern/kern_sysctl.c of XNU).
//!
//! The data is the number of arguments, the path of the program, padding, and then each argument
//! and each environment variable, each with a zero byte at its end. Only the number says where the
//! variables begin, and variables must not be shown. So empty arguments are counted, too. If a
//! process has written over its arguments, whatever looks like a variable at their end is left out.

/// The arguments, without the environment. `None` if the data is malformed.
pub fn parse(bytes: &[u8]) -> Option<Vec<String>> {
    let (count, rest) = bytes.split_first_chunk()?;
    let count = usize::try_from(i32::from_ne_bytes(*count)).ok()?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    let (path, rest) = rest.split_at(end);
    let start = rest.iter().position(|&byte| byte != 0).unwrap_or(rest.len());
    let strings = rest[start..].split(|&byte| byte == 0).take(count);
    let mut arguments: Vec<String> = strings.map(|text| String::from_utf8_lossy(text).into_owned()).collect();

    // A program that changes its arguments changes at least the first. An empty first argument
    // looks like padding.
    let path = String::from_utf8_lossy(path);
    let is_as_started =
        arguments.first().is_some_and(|first| file_name(first.trim_start_matches('-')) == file_name(&path));
    if !is_as_started {
        while arguments.last().is_some_and(|last| last.is_empty() || is_variable(last)) {
            arguments.pop();
        }
    }
    Some(arguments)
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_variable(text: &str) -> bool {
    !text.starts_with('-') && text.contains('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(count: i32, path: &str, strings: &[&str]) -> Option<Vec<String>> {
        let mut bytes = count.to_ne_bytes().to_vec();
        bytes.extend(path.bytes().chain([0, 0, 0, 0]));
        for text in strings {
            bytes.extend(text.bytes().chain([0]));
        }
        parse(&bytes)
    }

    #[test]
    fn arguments_end_where_the_environment_begins() {
        let own = ["/usr/bin/make", "PORT=3000", "", "start", "TOKEN=secret", "HOME=/Users/ada"];
        assert_eq!(read(4, "/usr/bin/make", &own).unwrap(), own[..4]);
        assert_eq!(read(1, "/bin/zsh", &["-zsh", "TOKEN=secret"]).unwrap(), ["-zsh"]);
        assert_eq!(read(0, "/bin/zsh", &["TOKEN=secret"]).unwrap(), [""; 0]);
    }

    #[test]
    fn a_title_over_the_arguments_does_not_show_the_environment() {
        // There were three arguments, and the title replaces all of them.
        let titled = ["my server", "TOKEN=secret", "HOME=/Users/ada"];
        assert_eq!(read(3, "/usr/local/bin/node", &titled).unwrap(), ["my server"]);
        // An empty first argument is taken for padding.
        assert_eq!(read(2, "/usr/bin/tool", &["", "run", "TOKEN=secret"]).unwrap(), ["run"]);
    }

    #[test]
    fn what_is_cut_off_or_something_else_breaks_nothing() {
        let whole = [&1_i32.to_ne_bytes()[..], b"/bin/cat\0\0/bin/cat\0A=b\0"].concat();
        for length in 0..whole.len() {
            let arguments = parse(&whole[..length]).unwrap_or_default();
            assert!(arguments.len() <= 1 && !arguments.concat().contains('='), "{arguments:?}");
        }
        assert_eq!(parse(&(-1_i32).to_ne_bytes()), None);
        assert_eq!(read(i32::MAX, "/bin/cat", &["cat"]).unwrap()[0], "cat");
    }
}
