//! What a report says with -v: bind on each address, the class of the port, the raw facts.

use std::borrow::Cow;
use std::io;
use std::time::Duration;

use crate::diagnose::{PortReport, enumerate, name_spot, name_spots};
use crate::duration;
use crate::model::{Socket, VirtualHost};
use crate::probe::{Attempt, Outcome};
use crate::render::colour;
use crate::render::paper::Paper;

/// Writes what bind said, what kind of port it is, and which sites a web server serves there.
pub fn port(port: &PortReport, paper: &mut Paper<'_>) -> io::Result<()> {
    binds(port, paper)?;
    class(port, paper)?;
    port.observed.virtual_hosts.iter().try_for_each(|host| virtual_host(host, paper))
}

/// `nginx serves shop.example: /etc/nginx/conf.d/shop.conf, line 4`.
fn virtual_host(host: &VirtualHost, paper: &mut Paper<'_>) -> io::Result<()> {
    let names = if host.names.is_empty() { "any name".to_owned() } else { enumerate(&host.names, "and") };
    let newer = if host.is_newer { "; the file is newer than the server" } else { "" };
    let VirtualHost { server, file, line, .. } = host;
    paper.sentence(&format!("{server} serves {names}: {}, line {line}{newer}", file.display()))
}

/// Where bind works: `bind: 127.0.0.1 in use · ::1 free`. One word says it if it is the same
/// everywhere.
fn binds(port: &PortReport, paper: &mut Paper<'_>) -> io::Result<()> {
    let plain: Vec<&Attempt> = port.observed.attempts.iter().filter(|attempt| !attempt.reuse_address).collect();
    let word = |attempt: &Attempt| match attempt.outcome {
        Outcome::Bound => "free".to_owned(),
        Outcome::InUse => "in use".to_owned(),
        other => other.errno().map_or_else(|| other.into_str().to_owned(), Cow::into_owned),
    };
    let Some(first) = plain.first() else { return Ok(()) };
    if plain.len() > 1 && plain.iter().all(|attempt| attempt.outcome == first.outcome) {
        return paper.sentence(&format!("bind {}: {} on every address", port.observed.protocol, word(first)));
    }
    let each: Vec<String> =
        plain.iter().map(|attempt| format!("{} {}", name_spot(&attempt.spot), word(attempt))).collect();
    paper.sentence(&format!("bind {}: {}", port.observed.protocol, each.join(" · ")))
}

/// Where else bind works, of an address that is taken: `elsewhere: 127.0.0.1 free`.
pub fn free_elsewhere(port: &PortReport, paper: &mut Paper<'_>) -> io::Result<()> {
    let is_free = |attempt: &&Attempt| !attempt.reuse_address && attempt.outcome == Outcome::Bound;
    let free: Vec<_> = port.observed.attempts_elsewhere.iter().filter(is_free).map(|attempt| attempt.spot).collect();
    if free.is_empty() {
        return Ok(());
    }
    paper.sentence(&format!("elsewhere: {} free", name_spots(&free, "and")))
}

/// Class and service: `registered port (1024-49151); IANA: hbci; often Node, Rails, Grafana`.
fn class(port: &PortReport, paper: &mut Paper<'_>) -> io::Result<()> {
    let (first, last) = port.observed.class().range();
    let mut text = format!("{} port ({first}-{last})", port.observed.class().into_str());
    if let Some(service) = &port.observed.service {
        match (&service.name, service.iana) {
            (Some(own), Some(iana)) if own != iana => text.extend(["; ", own, " here, ", iana, " at IANA"]),
            (Some(own), None) => text.extend(["; ", own, " in the services file"]),
            (_, Some(iana)) => text.extend(["; IANA: ", iana]),
            (None, None) => {}
        }
        if let Some(common) = service.common_use {
            text.extend(["; often ", common]);
        }
    }
    paper.coloured(&text, colour::FAINT)
}

/// The raw facts behind the verdict.
pub fn evidence(ports: &[&PortReport], paper: &mut Paper<'_>) -> io::Result<()> {
    writeln!(paper.out, "\n  {0}evidence{0:#}", colour::STRONG)?;
    for socket in ports.iter().flat_map(|port| &port.observed.sockets) {
        paper.sentence(&format!("    {}", facts(socket).join(", ")))?;
    }
    Ok(())
}

/// `descriptor 3 of pid 4242`; of many the first.
fn descriptors(socket: &Socket) -> Option<String> {
    const MOST: usize = 3;
    let shown = socket.descriptors.iter().take(MOST).map(|of| format!("{} of pid {}", of.number, of.pid));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = socket.descriptors.len().saturating_sub(MOST);
    match socket.descriptors.len() {
        0 => None,
        1 => Some(format!("descriptor {shown}")),
        _ if more == 0 => Some(format!("descriptors {shown}")),
        _ => Some(format!("descriptors {shown} and {more} more")),
    }
}

fn facts(socket: &Socket) -> Vec<String> {
    let timer = |timer: crate::model::Timer| {
        let left = Duration::from_millis(timer.expires_in_ms.into());
        format!("timer {} in {}", timer.kind.into_str(), duration::words(left))
    };
    [
        Some(format!("{} {} {}", socket.protocol, socket.state, socket.local_name())),
        socket.inode.map(|inode| format!("inode {inode}")),
        descriptors(socket),
        socket.uid.map(|uid| format!("uid {uid}")),
        socket.v6only.map(|v6only| format!("v6only {v6only}")),
        socket.receive_queue.map(|queue| format!("receive queue {queue}")),
        socket.send_queue.map(|queue| format!("send queue {queue}")),
        socket.device.as_ref().map(|device| format!("device {device}")),
        socket.cgroup.as_ref().map(|cgroup| format!("cgroup {cgroup}")),
        socket.timer.map(timer),
        (socket.mptcp == Some(true)).then(|| "mptcp".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Timer, TimerKind};
    use crate::testing::connection;

    /// Regression: it was "in 7199.8 s".
    #[test]
    fn a_long_timer_is_told_in_hours() {
        let timer = Timer { kind: TimerKind::Keepalive, expires_in_ms: 5_400_000, retransmits: 0 };
        let socket = Socket { timer: Some(timer), ..connection("10.0.0.1:80", "10.0.0.2:5") };
        assert!(facts(&socket).contains(&"timer keepalive in 1h 30m".to_owned()), "{:?}", facts(&socket));
    }
}
