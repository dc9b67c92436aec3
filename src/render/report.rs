//! One port in words: the answer in the first line, then who holds it, how to free it, and what could not be seen.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::SystemTime;

use super::paper::Paper;
use super::rows::{name, name_supervisor, on};
use super::{Style, colour, escape, prose};
use crate::answer::Answer;
use crate::diagnose::{
    Finding, Group, Holder, PortReport, Severity, Statement, Status, Subject, groups, name_spot, name_spots,
};
use crate::model::{Gap, Hides, Owners, Pid, Process, ShownBy, Socket, find_process};
use crate::probe::{Attempt, Outcome};

/// Writes the report on the one port that was asked about: for the addresses of each target, the worst first.
pub fn write(answer: &Answer, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let paper = &mut Paper::new(style.width, out);
    let mut places = by_place(&answer.ports);
    places.sort_by_key(|ports| ports.iter().map(|port| port.verdict.status).min());
    for (index, ports) in places.into_iter().enumerate() {
        if index > 0 {
            paper.gap()?;
        }
        place(answer, ports, index == 0, style, paper)?;
    }
    notes(answer, style, paper)
}

/// The ports, those in the same place together.
fn by_place(ports: &[PortReport]) -> Vec<Vec<&PortReport>> {
    let mut places: Vec<Vec<&PortReport>> = Vec::new();
    for port in ports {
        match places.iter_mut().find(|others| others[0].observed.place() == port.observed.place()) {
            Some(place) => place.push(port),
            None => places.push(vec![port]),
        }
    }
    places
}

/// Writes what there is to say about the port on the same addresses, each protocol in turn, the worst first.
fn place(
    answer: &Answer,
    mut ports: Vec<&PortReport>,
    is_first: bool,
    style: &Style,
    paper: &mut Paper<'_>,
) -> io::Result<()> {
    ports.sort_by_key(|port| port.verdict.status);
    if let [first, .., last] = &ports[..]
        && last.verdict.status == Status::Free
        && first.verdict.status == Status::Free
    {
        let protocols: Vec<&str> = ports.iter().map(|port| port.observed.protocol.as_str()).collect();
        headline(first.verdict.status, &format!("{}{} is free", first.observed.port, on(first, "and")), paper)?;
        paper.sentence(&format!("{}: {}", protocols.join(" and "), reach(first)))?;
        warnings(first, answer, paper)?;
        // Once is enough, whatever the address.
        return if is_first { about(first, paper) } else { Ok(()) };
    }
    if let [port] = ports[..] {
        self::port(answer, port, style, paper)?;
        return if port.verdict.status == Status::Free && is_first { about(port, paper) } else { Ok(()) };
    }
    let left = ports.iter().filter(|port| !is_told_with_others(port, &ports));
    for (index, port) in left.enumerate() {
        if index > 0 {
            paper.gap()?;
        }
        self::port(answer, port, style, paper)?;
    }
    Ok(())
}

/// Whether it is free, and nothing is to be said of it that a finding on another one does not say: `8080/udp is free: …`.
fn is_told_with_others(port: &PortReport, ports: &[&PortReport]) -> bool {
    let is_quiet = port.verdict.findings.iter().all(|finding| finding.severity > Severity::Warning);
    let held = ports.iter().filter(|other| other.verdict.status != Status::Free);
    let mut others = held.flat_map(|other| &other.verdict.findings);
    is_quiet && port.verdict.status == Status::Free && others.any(|finding| is_about(finding, port))
}

/// Whether a finding speaks of a port as a whole.
fn is_about(finding: &Finding, port: &PortReport) -> bool {
    finding.statement.subject == Subject::Port(port.observed.port, port.observed.protocol)
}

/// What a finding on a port says. If it is about the other protocol, then on the addresses asked about.
fn sentence(finding: &Finding, port: &PortReport, processes: &[Process]) -> String {
    let Statement { subject, .. } = &finding.statement;
    match subject {
        Subject::Port(_, protocol) if *protocol != port.observed.protocol => {
            let name = prose::subject_name(subject, processes);
            format!("{name}{} {}", on(port, "and"), prose::predicate(&finding.statement, processes))
        }
        _ => prose::sentence(finding, processes),
    }
}

/// Writes what there is to say about one port of one protocol.
pub fn port(answer: &Answer, port: &PortReport, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    let name = name(port);
    let groups = groups(&port.observed.sockets);
    let mut told = None;
    match port.verdict.status {
        Status::Free => {
            headline(port.verdict.status, &format!("{name} is free"), paper)?;
            paper.sentence(&reach(port))?;
            return warnings(port, answer, paper);
        }
        Status::Unknown => headline(port.verdict.status, &format!("{name}: cannot tell whether it is free"), paper)?,
        Status::Blocked => {
            headline(port.verdict.status, &format!("{name} may not be bound, though nobody holds it"), paper)?;
        }
        Status::Held => {
            let held = held(&name, &groups, answer);
            let (text, finding) = with_finding(held, port, &answer.processes);
            headline(port.verdict.status, &text, paper)?;
            told = finding;
        }
    }
    let is_told = |finding: &&Finding| told.is_some_and(|told| std::ptr::eq(told, *finding));
    for finding in port.verdict.findings.iter().filter(|finding| !is_told(finding)) {
        paper.sentence(&sentence(finding, port, &answer.processes))?;
    }
    binds(port, paper)?;
    free_elsewhere(port, paper)?;
    about(port, paper)?;
    for group in &groups {
        holder(group, answer, style, paper)?;
    }
    remedies(port, paper)?;
    if style.verbose {
        evidence(&port.observed.sockets, paper)?;
    }
    Ok(())
}

/// Joins the headline with the first conflict that goes on about the same holder:
/// `… is held by python3 (pid 4242), which listens on 127.0.0.1:62893`.
fn with_finding<'a>(held: Held, port: &'a PortReport, processes: &[Process]) -> (String, Option<&'a Finding>) {
    let Held { text, only_holder } = held;
    let mut conflicts = port.verdict.findings.iter().filter(|finding| finding.severity == Severity::Conflict);
    // A finding that speaks of the port as a whole is a headline by itself.
    if let Some(finding) = conflicts.clone().next().filter(|finding| is_about(finding, port)) {
        return (format!("{} {}", name(port), prose::predicate(&finding.statement, processes)), Some(finding));
    }
    let is_same = |finding: &&Finding| matches!(&finding.statement.subject, Subject::Holder(holder) if Some(holder) == only_holder.as_ref());
    match conflicts.find(is_same) {
        Some(finding) => (format!("{text}, which {}", prose::predicate(&finding.statement, processes)), Some(finding)),
        None => (text, None),
    }
}

fn headline(status: Status, text: &str, paper: &mut Paper<'_>) -> io::Result<()> {
    paper.coloured(text, colour::of(status))
}

/// The first line on a port that is held.
struct Held {
    text: String,
    /// The holder, if there is just one.
    only_holder: Option<Holder>,
}

/// `62893/tcp is held by python3 (pid 4242)`.
fn held(name: &str, groups: &[Group<'_>], answer: &Answer) -> Held {
    // Who waits there is the answer; connections are the server's own, or all there is.
    let waiting = |group: &&Group<'_>| group.sockets.iter().any(|socket| socket.state.is_waiting());
    let mut named: Vec<&Group<'_>> = groups.iter().filter(waiting).collect();
    if named.is_empty() {
        named = groups.iter().filter(|group| *group.owners != Owners::None).collect();
    }
    let holders: Vec<Holder> = named.into_iter().map(Holder::from).collect();
    let names: Vec<String> = holders.iter().map(|holder| holder.name(&answer.processes)).collect();
    let text = match (&holders[..], &names[..]) {
        ([], _) if groups.is_empty() => format!("{name} is held by something that cannot be seen"),
        ([], _) => format!("{name} is held, by no process"),
        ([one @ Holder::Likely(_)], _) => format!("{name} is held, probably by {}", one.bare_name(&answer.processes)),
        (_, [one]) => format!("{name} is held by {one}"),
        (_, [one, another]) => format!("{name} is held by {one}, and by {another}"),
        (_, [one, others @ ..]) => format!("{name} is held by {one}, and by {} others", others.len()),
        (_, []) => name.to_owned(),
    };
    let mut holders = holders.into_iter();
    let only_holder = holders.next().filter(|_| holders.next().is_none());
    Held { text, only_holder }
}

fn reach(port: &PortReport) -> String {
    if !port.observed.sockets.is_empty() {
        return "what is left of old connections is in no way of a server that sets SO_REUSEADDR".to_owned();
    }
    match &port.observed.addresses[..] {
        [] => "nothing holds it on any address of this machine".to_owned(),
        addresses => {
            let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            format!("nothing holds it on {}", addresses.join(" or "))
        }
    }
}

/// What there is to know although the port is free, which is the last of its findings.
fn warnings(port: &PortReport, answer: &Answer, paper: &mut Paper<'_>) -> io::Result<()> {
    let findings = port.verdict.findings.split_last().map_or(&[][..], |(_, others)| others);
    for finding in findings {
        let but = if finding.severity == Severity::Warning { "but " } else { "" };
        paper.sentence(&format!("{but}{}", prose::sentence(finding, &answer.processes)))?;
    }
    Ok(())
}

/// Where bind works: `bind: 127.0.0.1 in use · ::1 free`. One word says it if it is the same everywhere.
fn binds(port: &PortReport, paper: &mut Paper<'_>) -> io::Result<()> {
    let plain: Vec<&Attempt> = port.observed.attempts.iter().filter(|attempt| !attempt.reuse_address).collect();
    let word = |attempt: &Attempt| match attempt.outcome {
        Outcome::Bound => "free".to_owned(),
        Outcome::InUse => "in use".to_owned(),
        other => other.errno().map_or_else(|| other.as_str().to_owned(), Cow::into_owned),
    };
    let Some(first) = plain.first() else { return Ok(()) };
    if plain.len() > 1 && plain.iter().all(|attempt| attempt.outcome == first.outcome) {
        return paper.sentence(&format!("bind: {} on every address", word(first)));
    }
    let each: Vec<String> =
        plain.iter().map(|attempt| format!("{} {}", name_spot(&attempt.spot), word(attempt))).collect();
    paper.sentence(&format!("bind: {}", each.join(" · ")))
}

/// Where else bind works, of an address that is taken: `elsewhere: 127.0.0.1 free`.
fn free_elsewhere(port: &PortReport, paper: &mut Paper<'_>) -> io::Result<()> {
    let is_free = |attempt: &&Attempt| !attempt.reuse_address && attempt.outcome == Outcome::Bound;
    let free: Vec<_> = port.observed.attempts_elsewhere.iter().filter(is_free).map(|attempt| attempt.spot).collect();
    if free.is_empty() {
        return Ok(());
    }
    paper.sentence(&format!("elsewhere: {} free", name_spots(&free, "and")))
}

/// Class and service: `a registered port; IANA: hbci; commonly Node, Rails, Grafana`.
fn about(port: &PortReport, paper: &mut Paper<'_>) -> io::Result<()> {
    let (first, last) = port.observed.class().range();
    let mut text = format!("{} port ({first}-{last})", port.observed.class().as_str());
    if let Some(service) = &port.observed.service {
        match (&service.name, service.iana) {
            (Some(own), Some(iana)) if own != iana => text.extend(["; ", own, " here, ", iana, " at IANA"]),
            (Some(own), None) => text.extend(["; ", own, " in the services file"]),
            (_, Some(iana)) => text.extend(["; IANA: ", iana]),
            (None, None) => {}
        }
        if let Some(common) = service.common_use {
            text.extend(["; commonly used for ", common]);
        }
    }
    paper.coloured(&text, colour::FAINT)
}

fn holder(group: &Group<'_>, answer: &Answer, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    paper.gap()?;
    let pids = group.owners.pids();
    // The leader speaks for the others, unless all is asked for.
    let shown = if style.verbose { pids.len() } else { 1 };
    for (index, &pid) in pids.iter().take(shown).enumerate() {
        match find_process(&answer.processes, pid) {
            Some(found) => process(found, style, paper)?,
            None => writeln!(paper.out, "  pid {pid} has ended since")?,
        }
        if index == 0 && matches!(group.owners, Owners::Known(_)) && pids.len() > 1 {
            paper.field("also held by", &others(&pids[1..], answer))?;
        }
    }
    match group.owners {
        Owners::Likely { pids, reason } => {
            if pids.len() > 1 {
                paper.field("or by", &others(&pids[1..], answer))?;
            }
            paper.field("deduced", reason)?;
        }
        Owners::Hidden { reason } => {
            let first = group.sockets[0];
            let user = match (&first.user, first.uid) {
                (Some(user), Some(uid)) => format!("{user} (uid {uid})"),
                (None, Some(uid)) => format!("uid {uid}"),
                (_, None) => "unknown".to_owned(),
            };
            writeln!(paper.out, "  {0}a process that cannot be seen{0:#}", colour::STRONG)?;
            paper.field("user", &user)?;
            // The root cgroup says nothing.
            if let Some(cgroup) = first.cgroup.as_ref().filter(|cgroup| *cgroup != "/") {
                let found = crate::supervisor::of_cgroup(cgroup);
                let name = name_supervisor(found.container.as_ref(), found.unit.as_ref());
                paper.field(if name.is_some() { "runs in" } else { "cgroup" }, name.as_deref().unwrap_or(cgroup))?;
            }
            paper.field("hidden", reason)?;
        }
        Owners::Kernel => writeln!(paper.out, "  {0}the kernel{0:#}: there is no process to end", colour::STRONG)?,
        Owners::None => writeln!(paper.out, "  {0}no process{0:#}", colour::STRONG)?,
        Owners::Known(_) | Owners::NotAsked => {}
    }
    sockets(&group.sockets, style, paper)
}

fn process(process: &Process, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    let name = escape::terminal(&process.name);
    writeln!(paper.out, "  {0}{name}{0:#} (pid {1})", colour::STRONG, process.pid)?;
    paper.command("command", &process.command, style.verbose)?;
    if let Some(exe) = process.exe.as_ref().filter(|_| style.verbose) {
        paper.field("program", &exe.to_string_lossy())?;
    }
    if let Some(cwd) = &process.cwd {
        paper.field("directory", &cwd.to_string_lossy())?;
    }
    match (&process.user, process.uid) {
        (Some(user), _) => paper.field("user", user)?,
        (None, Some(uid)) => paper.field("user", &format!("uid {uid}"))?,
        (None, None) => {}
    }
    if let Some(started) = process.started_at {
        paper.field("running", &age(style.now, started))?;
    }
    if !process.ancestors.is_empty() {
        let chain: Vec<String> =
            process.ancestors.iter().map(|ancestor| format!("{} ({})", ancestor.name, ancestor.pid)).collect();
        paper.field("started by", &chain.join(" < "))?;
    }
    if let Some(name) = name_supervisor(process.container.as_ref(), process.unit.as_ref()) {
        paper.field("runs in", &name)?;
    }
    Ok(())
}

/// `for 2h 5m, since 2026-11-21 09:30:00 UTC`.
fn age(now: u64, started: SystemTime) -> String {
    let start = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = now.saturating_sub(start);
    let coarse = match seconds {
        0..120 => seconds,
        120..7200 => seconds - seconds % 60,
        _ => seconds - seconds % 3600,
    };
    let age = jiff::SignedDuration::from_secs(i64::try_from(coarse).unwrap_or(i64::MAX));
    match jiff::Timestamp::try_from(started) {
        Ok(start) => format!("for {age:#}, since {} UTC", start.strftime("%F %T")),
        Err(_) => format!("for {age:#}"),
    }
}

/// `nginx (813), nginx (814) and 9 more`.
fn others(pids: &[Pid], answer: &Answer) -> String {
    const MOST: usize = 8;
    let name = |&pid: &Pid| match find_process(&answer.processes, pid) {
        Some(process) => format!("{} ({pid})", process.name),
        None => format!("pid {pid}"),
    };
    let text = pids.iter().take(MOST).map(name).collect::<Vec<_>>().join(", ");
    if pids.len() > MOST {
        return format!("{text} and {} more", pids.len() - MOST);
    }
    text
}

fn sockets(sockets: &[&Socket], style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    const MOST: usize = 8;
    let most = if style.verbose { usize::MAX } else { MOST };
    for (index, socket) in sockets.iter().take(most).enumerate() {
        let peer = socket.remote.map(|peer| format!(" to {peer}")).unwrap_or_default();
        let family = match (socket.local.ip().is_unspecified(), socket.v6only) {
            (true, Some(true)) => ", IPv6 only",
            (true, Some(false)) => ", IPv4 and IPv6",
            _ => "",
        };
        let text = match &socket.remote {
            None => format!("{} {}{family}", socket.state, socket.local_name()),
            Some(_) => format!("{} {}{peer}", socket.state, socket.local_name()),
        };
        paper.field(if index == 0 { "socket" } else { "" }, &text)?;
    }
    if sockets.len() > most {
        paper.field("", &format!("and {} more", sockets.len() - most))?;
    }
    Ok(())
}

fn remedies(port: &PortReport, paper: &mut Paper<'_>) -> io::Result<()> {
    let mut seen = Vec::new();
    for remedy in port.verdict.findings.iter().flat_map(|finding| &finding.remedies) {
        if seen.contains(&remedy) {
            continue;
        }
        if seen.is_empty() {
            paper.gap()?;
        }
        seen.push(remedy);
        let text = escape::terminal(&remedy.text);
        match &remedy.command {
            Some(command) => {
                writeln!(paper.out, "  to {text}:  {0}{1}{0:#}", colour::STRONG, escape::terminal(command))?;
            }
            None => writeln!(paper.out, "  {text}")?,
        }
    }
    Ok(())
}

/// The raw facts behind the verdict.
fn evidence(sockets: &[Socket], paper: &mut Paper<'_>) -> io::Result<()> {
    writeln!(paper.out, "\n  {0}evidence{0:#}", colour::STRONG)?;
    for socket in sockets {
        let mut facts = vec![format!("{} {} {}", socket.protocol, socket.state, socket.local_name())];
        let mut fact = |name: &str, value: Option<String>| {
            facts.extend(value.map(|value| format!("{name} {value}")));
        };
        fact("inode", socket.inode.map(|inode| inode.to_string()));
        fact("uid", socket.uid.map(|uid| uid.to_string()));
        fact("v6only", socket.v6only.map(|v6only| v6only.to_string()));
        fact("receive queue", socket.receive_queue.map(|queue| queue.to_string()));
        fact("send queue", socket.send_queue.map(|queue| queue.to_string()));
        fact("device", socket.device.clone());
        fact("cgroup", socket.cgroup.clone());
        fact(
            "timer",
            socket.timer.map(|timer| format!("{} in {:.1} s", timer.kind.as_str(), timer.expires_in.as_secs_f64())),
        );
        if socket.mptcp == Some(true) {
            facts.push("mptcp".to_owned());
        }
        paper.sentence(&format!("    {}", facts.join(", ")))?;
    }
    Ok(())
}

/// What was kept from sight, each said once.
pub fn notes(answer: &Answer, style: &Style, paper: &mut Paper<'_>) -> io::Result<()> {
    let is_unsure = |port: &PortReport| port.observed.sockets.iter().any(|socket| socket.owners.is_unsure());
    let unsure = answer.ports.iter().any(is_unsure);
    let matters = |gap: &Gap| match gap.hides {
        Hides::Sockets => true,
        Hides::Owners => unsure || style.verbose || gap.shown_by == ShownBy::Asking,
        Hides::Details => style.verbose,
    };
    for (index, gap) in answer.gaps.iter().filter(|gap| matters(gap)).enumerate() {
        if index == 0 {
            paper.gap()?;
        }
        paper.sentence(&format!("not seen: {}", gap.summary))?;
    }
    Ok(())
}
