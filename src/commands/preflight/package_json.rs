//! package.json: the ports that its scripts name, and those that well-known programs take if nobody
//! names one.

use std::path::Path;

use serde_json::Value;

use super::json_text::{line_of, parse};
use super::lines::{Lines, in_command};
use super::variables::Variables;
use super::wanted::{Asked, Fault, Kind, Wanted};

/// Programs, the argument by which they serve, and the port that they take by themselves.
const DEFAULTS: [(&str, &str, u16); 14] = [
    ("vite", "", 5173),
    ("next", "dev", 3000),
    ("next", "start", 3000),
    ("nuxt", "dev", 3000),
    ("astro", "dev", 4321),
    ("ng", "serve", 4200),
    ("react-scripts", "start", 3000),
    ("vue-cli-service", "serve", 8080),
    ("webpack", "serve", 8080),
    ("webpack-dev-server", "", 8080),
    ("gatsby", "develop", 8000),
    ("storybook", "dev", 6006),
    ("remix", "dev", 3000),
    ("parcel", "", 1234),
];

/// Arguments with which a program that serves without any does something else.
const OTHER_JOBS: [&str; 4] = ["build", "preview", "optimize", "watch"];

/// The most scripts that are read.
const MOST: usize = 1000;

/// What the file asks for.
pub fn read(file: &Path, text: &str) -> Result<Vec<Wanted>, Fault> {
    let root = parse(file, text)?;
    let mut lines = Lines::of(file, Kind::PackageJson);
    let mut variables = Variables::of_environment();
    variables.add_file(&file.with_file_name(".env"));
    let scripts = root.get("scripts").and_then(Value::as_object);
    if scripts.is_some_and(|scripts| scripts.len() > MOST) {
        return Err(lines.fault(line_of(text, &["\"scripts\""]), format!("it has more than {MOST} scripts")));
    }
    for (name, script) in scripts.into_iter().flatten() {
        let Some(command) = script.as_str() else { continue };
        let line = line_of(text, &["\"scripts\"", &format!("\"{name}\"")]);
        let before = lines.wanted.len();
        if in_command(command, &variables).is_empty() {
            if let Some(port) = default(command) {
                lines.add(line, name, Asked::One(port)).is_default = true;
            }
        } else {
            lines.add_command(line, name, command, &variables);
        }
        super::require_room(&lines.wanted[before..], file, super::wanted::Spot { line, column: 0 })?;
    }
    Ok(lines.wanted)
}

/// The port that a program takes if nobody names one.
fn default(command: &str) -> Option<u16> {
    // The first of several commands that serves.
    command.split(['&', ';', '|']).find_map(|command| {
        let words: Vec<&str> = command.split_whitespace().collect();
        let (at, program) =
            words.iter().enumerate().find(|(_, word)| DEFAULTS.iter().any(|(name, ..)| name == *word))?;
        let next = words.get(at + 1).copied().unwrap_or_default();
        let serves = |job: &str| if job.is_empty() { !OTHER_JOBS.contains(&next) } else { job == next };
        DEFAULTS.iter().find(|(name, job, _)| name == program && serves(job)).map(|&(.., port)| port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_and_defaults() {
        let text = "{\n  \"name\": \"dev\",\n  \"scripts\": {\n    \"dev\": \"vite\",\n    \"build\": \"vite build\",\n    \
                    \"api\": \"PORT=4000 node api.js\",\n    \"test\": \"jest\"\n  }\n}\n";
        let found = read(Path::new("/nonexistent/package.json"), text).unwrap();
        let mut words: Vec<String> = found
            .iter()
            .map(|one| format!("{} {} {:?} {}", one.spot.line, one.service, one.port, one.is_default))
            .collect();
        words.sort();
        assert_eq!(words, ["4 dev One(5173) true", "6 api One(4000) false"]);
        for (command, port) in [
            ("next dev", Some(3000)),
            ("next build", None),
            ("tsc && vite preview", None),
            ("cross-env A=1 ng serve --open", Some(4200)),
            ("", None),
        ] {
            assert_eq!(default(command), port, "{command}");
        }
    }
}
