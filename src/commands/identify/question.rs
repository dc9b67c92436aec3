//! Which question to ask: by the URL that was typed, the holder's name, then the port.

use super::address::Typed;
use crate::model::Protocol;

/// A harmless question, of which each connection asks at most one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// None: the server is known to speak first.
    Nothing,
    /// `GET`.
    Http,
    /// The preface of HTTP/2.
    Http2,
    /// A handshake of TLS, and inside it the next question.
    Tls,
    /// SSLRequest.
    Postgresql,
    /// PING.
    Redis,
    /// The header of the protocol.
    Amqp,
    /// isMaster.
    Mongodb,
    /// The server's version.
    Dns,
}

use Question::{Amqp, Dns, Http, Http2, Mongodb, Nothing, Postgresql, Redis, Tls};

/// Programs that speak one protocol on every port. Others, such as nginx, do not.
const PROGRAMS: &[(Question, &[&str])] = &[
    (Nothing, &["sshd", "dropbear", "mysqld", "mariadbd", "exim4", "smtpd", "sendmail", "vsftpd", "proftpd"]),
    (Postgresql, &["postgres", "postmaster", "pgbouncer"]),
    (Redis, &["redis-server", "redis-sentinel", "valkey-server", "keydb-server"]),
    (Mongodb, &["mongod", "mongos"]),
    (Tls, &["stunnel", "stunnel4"]),
];

/// Programs that answer DNS over UDP.
const NAME_SERVERS: &[&str] =
    &["dnsmasq", "named", "unbound", "systemd-resolve", "coredns", "pdns_server", "pdns_recursor", "knotd", "kresd"];

/// What is usually on a port. Elsewhere it is HTTP.
const PORTS: &[(Question, &[u16])] = &[
    (Nothing, &[21, 22, 25, 110, 143, 587, 2222, 2525, 3306]),
    (Postgresql, &[5432, 5433, 6432]),
    (Redis, &[6379, 26379]),
    (Amqp, &[5672]),
    (Mongodb, &[27017, 27018, 27019]),
    (Dns, &[53]),
    (Http2, &[50051]),
    (Tls, &[443, 465, 636, 853, 990, 993, 995, 2376, 5671, 5986, 6443, 6697, 8443, 8883, 9443, 10250]),
];

/// What is usually inside TLS on a port. Elsewhere it is HTTP.
const INSIDE: &[(Question, &[u16])] = &[(Nothing, &[465, 990, 993, 995, 6697]), (Amqp, &[5671])];

/// The ports of TLS whose protocol is not known to this program: nothing is asked inside.
const UNKNOWN_INSIDE: &[u16] = &[636, 853, 8883];

/// The question for a port; `None` if nothing harmless is known. `programs` are the names of its
/// holders, `ports` its number, and that of the server behind it if it is forwarded.
pub fn choose(protocol: Protocol, programs: &[String], ports: &[u16], typed: Option<&Typed>) -> Option<Question> {
    let is_program = |names: &[&str]| programs.iter().any(|program| names.contains(&&**program));
    if protocol == Protocol::Udp {
        return (ports.contains(&53) || is_program(NAME_SERVERS)).then_some(Dns);
    }
    let named = typed.and_then(|typed| by_scheme(&typed.scheme));
    let by_program = || PROGRAMS.iter().find(|(_, names)| is_program(names)).map(|(question, _)| *question);
    Some(named.or_else(by_program).or_else(|| usual(PORTS, ports)).unwrap_or(Http))
}

/// The question inside TLS; `None` if nothing harmless is known.
pub fn inside(ports: &[u16]) -> Option<Question> {
    let is_unknown = ports.iter().any(|port| UNKNOWN_INSIDE.contains(port));
    (!is_unknown).then(|| usual(INSIDE, ports).unwrap_or(Http))
}

fn usual(table: &[(Question, &[u16])], ports: &[u16]) -> Option<Question> {
    ports
        .iter()
        .rev()
        .find_map(|port| table.iter().find(|(_, usual)| usual.contains(port)).map(|(question, _)| *question))
}

fn by_scheme(scheme: &str) -> Option<Question> {
    Some(match scheme {
        "http" | "ws" => Http,
        "https" | "wss" | "amqps" | "imaps" | "smtps" | "tls" | "ldaps" | "rediss" => Tls,
        "postgres" | "postgresql" => Postgresql,
        "redis" => Redis,
        "amqp" => Amqp,
        "mongodb" => Mongodb,
        "grpc" => Http2,
        "ssh" | "mysql" | "smtp" | "ftp" => Nothing,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_decides_then_the_program_then_the_port() {
        let choose = |program: &str, ports: &[u16], typed: Option<&str>| {
            let typed = typed.and_then(Typed::read);
            choose(Protocol::Tcp, &[program.to_owned()], ports, typed.as_ref()).unwrap()
        };
        assert_eq!(choose("postgres", &[8443], None), Postgresql);
        assert_eq!(choose("node", &[8443], None), Tls);
        assert_eq!(choose("node", &[3000], None), Http);
        assert_eq!(choose("nginx", &[3000], Some("https://localhost:3000/")), Tls);
        assert_eq!(choose("docker-proxy", &[15432, 5432], None), Postgresql);
        assert_eq!(choose("sshd", &[3000], None), Nothing);
    }

    #[test]
    fn over_udp_only_name_servers_are_asked() {
        assert_eq!(super::choose(Protocol::Udp, &[], &[8080], None), None);
        assert_eq!(super::choose(Protocol::Udp, &["dnsmasq".to_owned()], &[8080], None), Some(Dns));
        assert_eq!(super::choose(Protocol::Udp, &[], &[53], None), Some(Dns));
        assert_eq!(inside(&[636]), None);
        assert_eq!(inside(&[5671]), Some(Amqp));
    }
}
