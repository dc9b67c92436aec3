//! The verdicts `forwarder` and `dead-forward`: a process holds the port to pass on what arrives to
//! another place, where perhaps nobody listens.

use super::holders::groups_where;
use super::{
    Detail, Explanation, Facts, Group, Observation, Phrase, Remedy, RemedyKind, Rule, Severity, Statement, Subject,
    Verb, remedy,
};
use crate::model::{Confidence, Destination, Forward, ForwardKind, Forwarder, Process, Socket, Through};

const FORWARDS: Verb = Verb("forwards", "forward");

pub static FORWARDER: Rule = Rule {
    code: "forwarder",
    severity: Severity::Conflict,
    explanation: Explanation {
        what: "A process holds the port to pass on what arrives to another place: a tunnel of ssh, socat, kubectl \
               port-forward, systemd-socket-proxyd, haproxy, a stream of nginx, cloudflared, ngrok.",
        why: "Somebody opened a tunnel or a forward, and it is still there. It takes the port like any server. Often \
              it was sent to the background and forgotten.",
        detection: "The program file of the holder is one that forwards, and its command line names the port, or the \
                    program holds ports for nothing else. For haproxy and nginx, its configuration on disk \
                    tells the destination. Host names are not looked up. Where the command line does \
                    not tell, as with a forward from ssh_config or one that was added later, the destination is \
                    unknown. What a session of sshd holds for `ssh -R` leads to a place that only the client knows.",
        remedy: "End the process, if nobody needs the forward any more. That ends all other forwards of the same \
                 process, too. A session of sshd is never ended: close the tunnel at the client.",
    },
    check: |facts| tunnels(facts, |_| true).iter().filter_map(|group| held(facts, group)).collect(),
};

pub static DEAD: Rule = Rule {
    code: "dead-forward",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "The port is forwarded to another port of this machine, and nobody listens there. Clients connect, and \
               are cut off at once.",
        why: "The server behind the forward has ended, has moved to another port, or was never started.",
        detection: "The destination is localhost or an address of this machine, and the socket tables have no listener \
                    on it. For ssh, its server must be this machine as well: the client names localhost or an own \
                    address, and sshd listens there.",
        remedy: "Start the server, or end the forward.",
    },
    check: |facts| tunnels(facts, |forward| forward.is_dead).iter().filter_map(|group| dead(facts, group)).collect(),
};

/// The groups of sockets that programs of that kind forward.
fn tunnels<'a>(facts: &Facts<'a>, is_meant: impl Fn(&Forward) -> bool) -> Vec<Group<'a>> {
    groups_where(facts, |socket| tunnel(socket).is_some_and(&is_meant))
}

/// Where a program passes on what arrives at a socket, if no container engine does.
fn tunnel(socket: &Socket) -> Option<&Forward> {
    let forward = socket.forward.as_deref().filter(|_| socket.state.is_waiting())?;
    (!matches!(forward.kind, ForwardKind::Published | ForwardKind::Rule)).then_some(forward)
}

fn held(facts: &Facts<'_>, group: &Group<'_>) -> Option<Observation> {
    let forward = tunnel(group.sockets[0])?;
    let leader = group.owners.pids().first().and_then(|&pid| facts.process(pid));
    let subject = Subject::Thing(name(forward, leader));
    let statement = match (forward.kind, forward.confidence) {
        (ForwardKind::DynamicForward, Confidence::Known) => {
            Statement::new(subject, Verb("offers", "offer"), format!("a SOCKS proxy{}", through(forward)))
        }
        _ => Statement::new(subject, FORWARDS, Phrase::port(facts)).and(rest(forward)),
    };
    let to = forward.to.as_ref().map(place).or_else(|| forward.to_place.clone());
    let details = to.map(|to| ("to", Detail::Text(to))).into_iter().collect();
    let remedies = remedy::end_holder(facts, group);
    Some(Observation { details, remedies, pids: group.owners.pids().to_vec(), ..Observation::of(statement) })
}

fn dead(facts: &Facts<'_>, group: &Group<'_>) -> Option<Observation> {
    let forward = tunnel(group.sockets[0])?;
    let to = place(forward.to.as_ref()?);
    let object = format!("{to}, where {} {} ", forward.by, FORWARDS.0);
    let statement = Statement::new(Subject::Thing("nothing".to_owned()), Verb("listens on", "listen on"), object)
        .and(Phrase::port(facts));
    Some(Observation {
        pids: group.owners.pids().to_vec(),
        details: vec![("to", Detail::Text(to))],
        remedies: vec![Remedy::advice(RemedyKind::ChangeServer, "start the server there, or end the forward")],
        ..Observation::of(statement)
    })
}

/// Who forwards: `socat`, `the ssh session of ada`.
fn name(forward: &Forward, leader: Option<&Process>) -> String {
    match leader.filter(|leader| leader.forwarder == Some(Forwarder::SshSession)) {
        Some(Process { user: Some(user), .. }) => format!("the ssh session of {user}"),
        Some(_) => "an ssh session".to_owned(),
        None => forward.by.clone(),
    }
}

/// What follows `ssh forwards it`: ` to 127.0.0.1:5432 on db.example (as root)`.
fn rest(forward: &Forward) -> String {
    match leads_to(forward) {
        Some(to) => format!(" to {to}"),
        None if forward.kind == ForwardKind::RemoteForward => "; only its client knows where to".to_owned(),
        None => "; its command line does not say where to".to_owned(),
    }
}

/// Where a forward leads to: `127.0.0.1:5432 on db.example (as root)`. `None` if that is not known.
pub fn leads_to(forward: &Forward) -> Option<String> {
    let to = forward.to.as_ref().map(place).or_else(|| forward.to_place.clone())?;
    Some(format!("{to}{}", through(forward)))
}

/// The host of `to` and its port, as they are written together.
pub fn place(Destination { host, port, .. }: &Destination) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// What stands between: ` on db.example (as root)`.
fn through(forward: &Forward) -> String {
    match &forward.through {
        None => String::new(),
        Some(Through::Ssh(server)) => {
            let is_the_server = |to: &Destination| {
                let address = to.host.parse::<std::net::IpAddr>();
                to.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
            };
            let on = if forward.to.as_ref().is_some_and(is_the_server) { "on" } else { "through" };
            let user = server.user.as_ref().map(|user| format!(" (as {user})")).unwrap_or_default();
            format!(" {on} {}{user}", server.host)
        }
        Some(Through::Proxy(host)) => format!(" through the proxy {host}"),
        Some(Through::Kubernetes(namespace)) => format!(" in namespace {namespace}"),
        Some(Through::Cloud(name)) => format!(" through {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::forwards::Program;
    use crate::diagnose::{Finding, Observed, diagnose};
    use crate::model::Protocol;
    use crate::prose::sentence;
    use crate::testing::{host, owned, process};

    fn findings(line: &str, change: impl Fn(&mut Forward)) -> (Vec<Finding>, Vec<Process>) {
        let command = shlex::split(line).unwrap();
        let holder = Process { command: command.clone(), ..process(42, 7, &command[0]) };
        let mut socket = owned("127.0.0.1:8080", &[42]);
        let program = Program::of(&holder);
        let told = program.as_ref().and_then(|program| program.on(socket.protocol, socket.local.ip(), 8080));
        let mut forward = told.map_or_else(
            || Forward::new(ForwardKind::RemoteForward, "sshd"),
            |told| told.forward(program.as_ref().unwrap().name),
        );
        change(&mut forward);
        socket.forward = Some(Box::new(forward));
        let observed = Observed { sockets: vec![socket], ..Observed::of(8080, Protocol::Tcp) };
        let processes = vec![holder];
        (diagnose(&Facts { processes: &processes, ..Facts::of(&observed, &host()) }), processes)
    }

    #[test]
    fn the_sentence_names_both_ends() {
        for (line, expected) in [
            (
                "ssh -L 8080:127.0.0.1:5432 root@db.example",
                "ssh forwards 8080/tcp to 127.0.0.1:5432 on db.example (as root)",
            ),
            ("ssh -L '8080:[fd00::5]:5432' gate", "ssh forwards 8080/tcp to [fd00::5]:5432 through gate"),
            ("ssh -D 8080 root@db.example", "ssh offers a SOCKS proxy through db.example (as root)"),
            ("socat TCP-LISTEN:8080 TCP:host:80", "socat forwards 8080/tcp to host:80"),
            ("socat TCP-LISTEN:8080 UNIX:/run/s", "socat forwards 8080/tcp to /run/s"),
            (
                "kubectl -n shop port-forward svc/web 8080:80",
                "kubectl forwards 8080/tcp to svc/web:80 in namespace shop",
            ),
            (
                "cloudflared access tcp --hostname db.example --url localhost:8080",
                "cloudflared forwards 8080/tcp to db.example through Cloudflare",
            ),
            ("sshd-session", "the ssh session of ada forwards 8080/tcp; only its client knows where to"),
        ] {
            let (found, processes) = findings(line, |_| {});
            assert_eq!((found[0].code, sentence(&found[0], &processes)), ("forwarder", expected.to_owned()));
            assert!(found.iter().all(|finding| finding.code != "listener"), "{line}");
        }
    }

    #[test]
    fn what_is_not_known_is_said() {
        let untold = |forward: &mut Forward| *forward = Forward::new(ForwardKind::LocalForward, "ssh");
        let (found, processes) = findings("ssh host", untold);
        assert_eq!(sentence(&found[0], &processes), "ssh forwards 8080/tcp; its command line does not say where to");
    }

    #[test]
    fn the_remedy_says_what_else_ends() {
        let remedy = |line: &str| findings(line, |_| {}).0[0].remedies[0].text.clone();
        assert_eq!(remedy("ssh -L 8080:a:1 host"), "end it");
        assert_eq!(remedy("ssh -L 8080:a:1 -D 1080 host"), "end it (this ends both forwards)");
        assert_eq!(remedy("ssh -L 8080:a:1 -D 1080 -R 1:b:2 host"), "end it (this ends all three forwards)");
        assert_eq!(remedy("kubectl port-forward --address localhost,10.0.0.5 svc/web 8080:80"), "end it");
    }

    #[test]
    fn a_forward_to_nobody_is_a_warning() {
        let (found, processes) = findings("socat TCP-LISTEN:8080 TCP:localhost:81", |forward| forward.is_dead = true);
        let codes: Vec<&str> = found.iter().map(|finding| finding.code).collect();
        assert_eq!(codes, ["forwarder", "dead-forward", "loopback-only"]);
        assert_eq!(sentence(&found[1], &processes), "nothing listens on localhost:81, where socat forwards 8080/tcp");
    }
}
