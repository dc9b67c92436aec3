//! cloudflared and ngrok: they connect out, and lead from a public address to a port here.

use super::{Destination, Listen, Told, place};
use crate::model::{ForwardKind, Protocol, Through};

/// What the arguments of cloudflared tell: `tunnel --url http://localhost:8080` leads here,
/// `access tcp --hostname db.example --url localhost:9210` leads there.
pub fn cloudflared(arguments: &[&str]) -> Vec<Told> {
    if arguments.contains(&"access") {
        let listen = value(arguments, &["--url", "--listener", "-L"]).and_then(written_place);
        let host = value(arguments, &["--hostname", "--tunnel-host", "-T"]);
        let (Some((address, port)), Some(host)) = (listen, host) else { return Vec::new() };
        let host = host.split_once("://").map_or(host, |(_, host)| host).trim_end_matches('/');
        return vec![Told {
            kind: ForwardKind::Proxy,
            protocol: Protocol::Tcp,
            listen: Listen::Here(Some(address), port),
            to: Destination::Named(host.to_owned(), None),
            through: Some(Through::Cloud("Cloudflare")),
        }];
    }
    let url = value(arguments, &["--url"]);
    url.and_then(written_place).map(|place| outward("Cloudflare", place)).into_iter().collect()
}

/// What the arguments of ngrok tell: `http 8080`, `tcp localhost:22`.
pub fn ngrok(arguments: &[&str]) -> Vec<Told> {
    let kind = arguments.iter().position(|word| ["http", "tcp", "tls"].contains(word));
    let rest = kind.and_then(|at| arguments.get(at + 1..)).unwrap_or_default();
    let target = rest.iter().enumerate().find(|&(at, word)| {
        let is_value = at > 0 && rest[at - 1].starts_with('-') && !rest[at - 1].contains('=');
        !word.starts_with('-') && !is_value
    });
    target.and_then(|(_, word)| written_place(word)).map(|place| outward("ngrok", place)).into_iter().collect()
}

/// A forward from a public address to a port here.
fn outward(cloud: &'static str, (host, port): (String, u16)) -> Told {
    Told {
        kind: ForwardKind::Proxy,
        protocol: Protocol::Tcp,
        listen: Listen::There(None),
        to: Destination::Host(host, port),
        through: Some(Through::Cloud(cloud)),
    }
}

/// `8080`, `localhost:8080`, `http://localhost:8080`.
fn written_place(text: &str) -> Option<(String, u16)> {
    match text.parse::<u16>() {
        Ok(port) => Some(("localhost".to_owned(), port)),
        Err(_) if text.contains("://") => place::url(text),
        Err(_) => place::host_and_port(text, Protocol::Tcp),
    }
}

/// The value of an option, which stands behind `=` or in the next argument.
fn value<'a>(arguments: &[&'a str], names: &[&str]) -> Option<&'a str> {
    arguments.iter().enumerate().find_map(|(at, argument)| match argument.split_once('=') {
        Some((name, value)) => names.contains(&name).then_some(value),
        None => names.contains(argument).then(|| arguments.get(at + 1).copied()).flatten(),
    })
}
