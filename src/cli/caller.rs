//! How this program was called, and where its output goes.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::iter;
use std::path::Path;

use crate::platform::machine;
use crate::render::escape::quote;

/// Columns of the terminal; `None` if standard output is none.
pub fn terminal_width() -> Option<u16> {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return None;
    }
    terminal_size::terminal_size_of(stdout).map(|(width, _)| width.0).filter(|&width| width > 0)
}

/// How root can call this program: by name where sudo or Windows finds it, else by path.
pub fn program() -> String {
    const SUDOS_PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let Ok(path) = std::env::current_exe() else { return "portcheck".to_owned() };
    let is_on_path = |directory: &Path| {
        machine::IS_WINDOWS
            && std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|known| known == directory)
    };
    match (path.parent(), path.file_stem()) {
        (Some(directory), Some(name)) if is_on_path(directory) => quote(&name.to_string_lossy()).into_owned(),
        (Some(directory), Some(name)) if SUDOS_PATH.iter().any(|known| directory == Path::new(known)) => {
            quote(&name.to_string_lossy()).into_owned()
        }
        _ => quote(&path.to_string_lossy()).into_owned(),
    }
}

/// The command that asks the same question as root; `words` are its arguments.
pub fn as_root(words: &[OsString]) -> String {
    let typed = words.iter().map(|word| quote(&word.to_string_lossy()).into_owned());
    let sudo = (!machine::IS_WINDOWS).then(|| "sudo".to_owned());
    sudo.into_iter().chain(iter::once(program())).chain(typed).collect::<Vec<_>>().join(" ")
}
