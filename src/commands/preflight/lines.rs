//! What the readers of plain files share: rows by line, and the ports in a command line.

use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;

use super::variables::Variables;
use super::wanted::{Asked, Fault, Kind, Project, Spot, Wanted, address, port};
use crate::model::Protocol;

/// What a file asks for, while it is read.
pub struct Lines {
    /// So far.
    pub wanted: Vec<Wanted>,
    file: Rc<Path>,
    kind: Kind,
    project: Rc<Project>,
}

impl Lines {
    /// Of a file, nothing yet.
    pub fn of(file: &Path, kind: Kind) -> Self {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let directory = std::fs::canonicalize(parent).unwrap_or_else(|_| parent.to_owned());
        let project = Rc::new(Project { name: None, directory, files: Vec::new() });
        Self { wanted: Vec::new(), file: file.into(), kind, project }
    }

    /// Adds a port of TCP that a line asks for.
    pub fn add(&mut self, line: usize, service: &str, port: Asked) -> &mut Wanted {
        self.wanted.push(Wanted {
            kind: self.kind,
            file: Rc::clone(&self.file),
            spot: Spot { line, column: 0 },
            service: service.to_owned(),
            address: None,
            port,
            protocol: Protocol::Tcp,
            variable: None,
            is_default: false,
            warning: None,
            project: Rc::clone(&self.project),
        });
        let last = self.wanted.len() - 1;
        &mut self.wanted[last]
    }

    /// Adds what a command line asks for.
    pub fn add_command(&mut self, line: usize, service: &str, command: &str, variables: &Variables) {
        for found in in_command(command, variables) {
            let wanted = self.add(line, service, found.port);
            (wanted.address, wanted.variable) = (found.address, found.variable);
        }
    }

    /// A fault at a line.
    pub fn fault(&self, line: usize, message: impl Into<String>) -> Fault {
        Fault::at(&self.file, Spot { line, column: 0 }, message)
    }
}

/// A port in a command line.
#[derive(Debug, PartialEq, Eq)]
pub struct InCommand {
    /// The address in front of it.
    pub address: Option<IpAddr>,
    /// Which port.
    pub port: Asked,
    /// The variable that stands for it.
    pub variable: Option<String>,
}

/// The most ports that one command has.
const MOST: usize = 1000;

/// Options whose value is a port, or ends with one.
const OPTIONS: [&str; 9] =
    ["--port", "-p", "--http-port", "--listen", "--bind", "-b", "--addr", "--address", "--server-port"];

/// The ports that the options of a command name: `--port 3000`, `-p3000`, `--bind=0.0.0.0:8000`,
/// `PORT=3000 command`.
pub fn in_command(command: &str, variables: &Variables) -> Vec<InCommand> {
    let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
    let mut found: Vec<InCommand> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let value = match word.split_once('=') {
            Some((name, value)) if OPTIONS.contains(&name) || name == "PORT" => Some(value),
            Some(_) => None,
            None if OPTIONS.contains(word) => words.get(at + 1).copied(),
            None => word.strip_prefix("-p").filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit())),
        };
        if let Some(one) = value.and_then(|value| at_place(value, variables))
            && found.len() < MOST
            && !found.contains(&one)
        {
            found.push(one);
        }
    }
    found
}

/// `3000`, `:3000`, `0.0.0.0:3000`, `$PORT`, `127.0.0.1:${PORT:-3000}`.
fn at_place(value: &str, variables: &Variables) -> Option<InCommand> {
    let text = variables.replace(value).ok()?;
    let (place, digits) = text.text.rsplit_once(':').unwrap_or(("", &text.text));
    let variable = text.variable_at(text.text.len() - digits.len(), text.text.len()).map(str::to_owned);
    if let Some(why) = &text.unresolved {
        return variable.map(|name| InCommand {
            address: None,
            port: Asked::Unresolved(why.clone()),
            variable: Some(name),
        });
    }
    // Of `-p 8080:80` the first is the port of the host.
    let (place, digits) = if port(place).is_some() { ("", place) } else { (place, digits) };
    let address = match place {
        "" | "*" => None,
        "localhost" => Some(std::net::Ipv4Addr::LOCALHOST.into()),
        _ => Some(address(place)?),
    };
    Some(InCommand { address, port: Asked::One(port(digits)?), variable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_in_commands() {
        let read = |command: &str| -> Vec<String> {
            let words = |one: InCommand| {
                let address = one.address.map(|address| format!("{address}:")).unwrap_or_default();
                match one.port {
                    Asked::One(port) => format!("{address}{port}"),
                    _ => format!("{address}?{}", one.variable.unwrap_or_default()),
                }
            };
            in_command(command, &Variables::default()).into_iter().map(words).collect()
        };
        for (command, ports) in [
            ("vite --port 3000", &["3000"][..]),
            ("vite --port=3000 --host", &["3000"]),
            ("next dev -p 3001", &["3001"]),
            ("serve -p3002", &["3002"]),
            ("PORT=3003 node server.js", &["3003"]),
            ("cross-env PORT=3003 node server.js", &["3003"]),
            ("gunicorn -b 127.0.0.1:8000 app", &["127.0.0.1:8000"]),
            ("uvicorn app --host 0.0.0.0 --port ${PORT:-8001}", &["8001"]),
            ("docker run -p 8080:80 web", &["8080"]),
            ("serve --listen :9000", &["9000"]),
            ("serve --listen localhost:9000", &["127.0.0.1:9000"]),
            ("web --port $PORTCHECK_UNSET", &["?PORTCHECK_UNSET"]),
            ("mkdir -p dist && tsc -p tsconfig.json", &[]),
            ("ssh -p 22x host --port", &[]),
        ] {
            assert_eq!(read(command), ports, "{command}");
        }
    }
}
