//! Procfile: processes that foreman, honcho or overmind start together.

use std::path::Path;

use super::lines::{Lines, in_command};
use super::variables::Variables;
use super::wanted::{Asked, Kind, Wanted, port};

/// What foreman gives the first process as PORT, and how much more to each that follows.
const FIRST: u16 = 5000;
const STEP: u16 = 100;

/// What the file asks for.
pub fn read(file: &Path, text: &str) -> Vec<Wanted> {
    let mut variables = Variables::of_environment();
    variables.add_file(&file.with_file_name(".env"));
    let base = variables.get("PORT").and_then(|value| port(&value));
    let mut lines = Lines::of(file, Kind::Procfile);
    let mut number = 0;
    for (index, line) in text.lines().enumerate() {
        let Some((name, command)) = line.split_once(':').filter(|(name, _)| is_name(name)) else { continue };
        let given = base.unwrap_or(FIRST).saturating_add(STEP.saturating_mul(number));
        number += 1;
        for found in in_command(command, &variables) {
            let is_given = found.variable.as_deref() == Some("PORT");
            let port = if is_given { Asked::One(given) } else { found.port };
            let wanted = lines.add(index + 1, name, port);
            (wanted.address, wanted.variable) = (found.address, found.variable);
            // Only the program that starts them says so.
            wanted.is_default = is_given && base.is_none();
        }
    }
    lines.wanted
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_and_their_ports() {
        let text = "# all\nweb: node server.js --port $PORTCHECK_UNSET\napi: flask run -p ${API:-5001}\nworker: work\nui: vite --port 5173\n";
        let found = read(Path::new("/nonexistent/Procfile"), text);
        let found: Vec<(&str, usize, &Asked)> =
            found.iter().map(|wanted| (&*wanted.service, wanted.spot.line, &wanted.port)).collect();
        assert_eq!(found[1..], [("api", 3, &Asked::One(5001)), ("ui", 5, &Asked::One(5173))]);
        assert!(matches!(found[0], ("web", 2, Asked::Unresolved(_))));
    }
}
