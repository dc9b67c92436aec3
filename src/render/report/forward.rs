//! The rows on a port that is passed on: to which container, to which port, and who listens there.

use std::io;

use super::holder;
use crate::commands::diagnosis::Diagnosis;
use crate::diagnose::{Group, enumerate};
use crate::model::{Confidence, EngineContainer, Forward, Pid, find_process};
use crate::render::Style;
use crate::render::paper::Paper;

/// Writes the rows on a published port. The processes of the engine are one of its means only.
pub fn write(
    forward: &Forward,
    group: &Group<'_>,
    diagnosis: &Diagnosis,
    style: &Style,
    paper: &mut Paper<'_>,
) -> io::Result<()> {
    if let Some(container) = &forward.container {
        paper.field("container", &described(container))?;
    }
    if let Some(text) = passage(forward, group) {
        paper.field("forwards", &text)?;
    }
    for file in forward.container.iter().filter_map(|container| container.compose()).flat_map(|compose| compose.files) {
        paper.field("defined in", file)?;
    }
    let by = holders(group.owners.pids(), diagnosis);
    paper.field("listens on", &format!("{}{by}", holder::addresses(&group.sockets)))?;
    if let Some(untold) = &forward.untold {
        paper.field("not told", &untold.reason)?;
    }
    if style.verbose { holder::owners(group, diagnosis, style, paper) } else { Ok(()) }
}

/// `shop-web-1, image shop:1, Docker`.
fn described(container: &EngineContainer) -> String {
    let image = container.image.as_ref().map(|image| format!(", image {image}")).unwrap_or_default();
    format!("{}{image}, {}", container.title(), container.engine.runtime.title())
}

/// `8081 -> 80 inside, where httpd (pid 9622) listens`, or `probably` so.
fn passage(forward: &Forward, group: &Group<'_>) -> Option<String> {
    let to = forward.to.as_ref()?;
    let probably = if forward.confidence == Confidence::Known { "" } else { "probably " };
    let there = match &forward.ends_at[..] {
        [] => String::new(),
        [server] => format!(", where {server} listens"),
        servers => {
            format!(", where {} listen", enumerate(&servers.iter().map(ToString::to_string).collect::<Vec<_>>(), "and"))
        }
    };
    Some(format!("{probably}{} -> {} inside{there}", group.sockets[0].local.port(), to.port))
}

/// ` (docker-proxy, pids 9400 and 9406)`.
fn holders(pids: &[Pid], diagnosis: &Diagnosis) -> String {
    let Some(process) = pids.first().and_then(|&pid| find_process(&diagnosis.processes, pid)) else {
        return String::new();
    };
    let numbers: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let pid = if pids.len() == 1 { "pid" } else { "pids" };
    format!(" ({}, {pid} {})", process.name, enumerate(&numbers, "and"))
}
