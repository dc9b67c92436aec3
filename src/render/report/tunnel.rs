//! The rows on a forward of a tunnel or a proxy: who is at its end, and what else the same program
//! forwards.

use std::io;

use crate::classify::forwards::{Destination, Listen, Program, Told};
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{Group, enumerate, leads_to, place};
use crate::model::{ForwardKind, Process, Socket, Through, find_process};
use crate::render::paper::Paper;

/// Writes the rows of a group whose sockets have a forward, if a program other than a container
/// engine has them.
pub fn write(group: &Group<'_>, diagnosis: &Diagnosis, paper: &mut Paper<'_>) -> io::Result<()> {
    let socket = group.sockets[0];
    let owners = group.owners.pids().iter().filter_map(|&pid| find_process(&diagnosis.processes, pid));
    if let Some(forward) = &socket.forward {
        let servers: Vec<String> = forward.ends_at.iter().map(ToString::to_string).collect();
        if let Some(to) = forward.to.as_ref().filter(|_| !servers.is_empty()) {
            paper.field("ends at", &format!("{}, on {}", enumerate(&servers, "and"), place(to)))?;
        }
    }
    match owners.into_iter().find_map(|process| others(process, socket)) {
        Some(others) => paper.field("also", &others),
        None => Ok(()),
    }
}

/// What else the program forwards: `the same ssh forwards 1080 (SOCKS) and 16000 on
/// db.example to localhost:3000`.
fn others(process: &Process, socket: &Socket) -> Option<String> {
    let program = Program::of(process)?;
    let own = program.on(socket.protocol, socket.local.ip(), socket.local.port());
    let all = program.each_once();
    let others = all.into_iter().filter(|told| own.is_none_or(|own| !own.is_like(told)));
    let texts: Vec<String> = others.map(|told| text(told, program.name)).collect();
    (!texts.is_empty()).then(|| format!("the same {} forwards {}", program.name, enumerate(&texts, "and")))
}

/// Whether the row on what else a program forwards tells of this port.
pub fn tells_of(process: &Process, port: u16) -> bool {
    let is_it = |told: &&Told| matches!(told.listen, Listen::Here(_, own) if own == port);
    Program::of(process).is_some_and(|program| program.each_once().iter().any(is_it))
}

/// One of them: `1080 (SOCKS)`, `5433 to db:5432`.
fn text(told: &Told, by: &str) -> String {
    let forward = told.forward(by);
    // Their server is that of the first line.
    let to = match &forward.through {
        Some(Through::Ssh(_)) => forward.to.as_ref().map(place).or(forward.to_place),
        _ => leads_to(&forward),
    };
    let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
    match (&told.listen, told.kind) {
        (Listen::Here(_, port), ForwardKind::DynamicForward) => format!("{port} (SOCKS)"),
        (Listen::Here(_, port), _) => format!("{port}{to}"),
        (Listen::There(port), ForwardKind::RemoteForward) => {
            let port = port.map_or_else(|| "a port".to_owned(), |port| port.to_string());
            let server = match &forward.through {
                Some(Through::Ssh(server)) => format!(" on {}", server.host),
                _ => String::new(),
            };
            let socks = if told.to == Destination::Anywhere { " (SOCKS)" } else { "" };
            format!("{port}{server}{socks}{to}")
        }
        (Listen::There(_), _) => format!("a public address{to}"),
        (Listen::Given, _) => format!("its sockets{to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{listener, process};

    #[test]
    fn what_else_a_program_forwards_is_said() {
        let of = |line: &str| {
            let command = shlex::split(line).unwrap();
            others(&Process { command: command.clone(), ..process(42, 7, &command[0]) }, &listener("127.0.0.1:15432"))
        };
        for (line, expected) in [
            ("ssh -L 15432:db:5432 host", None),
            (
                "ssh -L 15432:db:5432 -D 1080 -R 16000:localhost:3000 host",
                Some("the same ssh forwards 1080 (SOCKS) and 16000 on host to localhost:3000"),
            ),
            (
                "ssh -L 15432:db:5432 -L 5433:/run/s -R 0 h",
                Some("the same ssh forwards 5433 to /run/s and a port on h (SOCKS)"),
            ),
            ("kubectl port-forward --address localhost,10.0.0.5 svc/web 15432:80", None),
            ("ngrok http 8080", Some("the same ngrok forwards a public address to localhost:8080 through ngrok")),
            ("python3 -m http.server", None),
        ] {
            assert_eq!(of(line).as_deref(), expected, "{line}");
        }
    }
}
