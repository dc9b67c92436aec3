//! What a command line says by itself: the script that an interpreter runs, and the task that a tool
//! was asked for. Pure: nothing is looked up.

pub mod program;
pub mod task;

/// The longest name that is taken from a command line.
const LONGEST: usize = 80;

/// The file name of a path: `node` of `/usr/bin/node`, `web.exe` of `C:\bin\web.exe`.
fn base(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

/// The file name of a program, without what Windows adds.
fn program_name(path: &str) -> &str {
    let name = base(path);
    name.strip_suffix(".exe").unwrap_or(name)
}

/// The name of a script without its ending.
fn stem(name: &str) -> &str {
    const ENDINGS: [&str; 8] = [".js", ".cjs", ".mjs", ".ts", ".mts", ".cts", ".tsx", ".py"];
    ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

/// Where the first argument that is no option stands. The options `valued` have their value in the
/// next argument.
fn first_word(arguments: &[String], valued: &[&str]) -> Option<usize> {
    let mut index = 0;
    while let Some(argument) = arguments.get(index) {
        match argument.as_str() {
            "--" => return (index + 1 < arguments.len()).then_some(index + 1),
            option if valued.contains(&option) => index += 2,
            option if option.starts_with('-') && option.len() > 1 => index += 1,
            _ => return Some(index),
        }
    }
    None
}

/// The first argument that is no option, and what follows it.
fn split_word<'a>(arguments: &'a [String], valued: &[&str]) -> Option<(&'a str, &'a [String])> {
    let index = first_word(arguments, valued)?;
    Some((&arguments[index], &arguments[index + 1..]))
}

/// A name, if it can be shown in a sentence.
fn plain(name: &str) -> Option<String> {
    let is_plain = !name.is_empty() && name.chars().count() <= LONGEST && !name.chars().any(char::is_control);
    is_plain.then(|| name.to_owned())
}
