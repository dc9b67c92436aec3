//! socat: two addresses, of which one listens and the other one connects (socat(1)).

use super::{Destination, Listen, Told, place};
use crate::model::{ForwardKind, Protocol, Through};

/// The options with a value that may stand in an argument of its own.
const WITH_VALUE: [&str; 10] = ["-b", "-t", "-T", "-L", "-W", "-r", "-R", "-S", "-lf", "-lp"];

/// An address: `TCP4:host:80,bind=10.0.0.5`.
struct Address<'a> {
    /// In lower case: `tcp4`.
    keyword: String,
    parameters: Vec<&'a str>,
    options: Vec<&'a str>,
}

/// What the arguments of socat tell.
pub fn told(arguments: &[&str]) -> Vec<Told> {
    let mut rest = arguments.iter().copied();
    let mut addresses = Vec::new();
    while let Some(argument) = rest.next() {
        let is_option = argument.starts_with('-') && !["", ",", ":", "!"].contains(&argument.get(1..2).unwrap_or(""));
        if is_option && addresses.is_empty() {
            if WITH_VALUE.contains(&argument) {
                rest.next();
            }
        } else {
            addresses.push(Address::parse(argument));
        }
    }
    let [one, another] = &addresses[..] else { return Vec::new() };
    // With two that listen, it joins whoever connects.
    let (listener, other) = match (one.listens(), another.listens()) {
        (Some(listener), None) => (listener, another),
        (None, Some(listener)) => (listener, one),
        _ => return Vec::new(),
    };
    let Some((to, through)) = other.connects() else { return Vec::new() };
    let (protocol, address, port) = listener;
    vec![Told { kind: ForwardKind::Proxy, protocol, listen: Listen::Here(address, port), to, through }]
}

impl<'a> Address<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = split(text, ',').into_iter();
        let mut words = split(parts.next().unwrap_or_default(), ':').into_iter();
        let keyword = words.next().unwrap_or_default().to_ascii_lowercase();
        Self { keyword, parameters: words.collect(), options: parts.collect() }
    }

    fn option(&self, name: &str) -> Option<&'a str> {
        let values = self.options.iter().filter_map(|option| option.split_once('='));
        values.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next_back()
    }

    /// Where it listens: the protocol, the address as it is written, and the port.
    fn listens(&self) -> Option<(Protocol, Option<String>, u16)> {
        let protocol = match self.transport() {
            ("tcp" | "tcp4" | "tcp6" | "openssl" | "ssl", "listen" | "l") => Protocol::Tcp,
            ("udp" | "udp4" | "udp6", "listen" | "l" | "recv" | "recvfrom")
            | ("dtls" | "openssl-dtls", "listen" | "l" | "server") => Protocol::Udp,
            _ => return None,
        };
        // `bind` may have a port, which counts for nothing here.
        let bind = self.option("bind").map(|bind| match bind.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address.to_owned(),
            None => bind.split(':').next().unwrap_or_default().to_owned(),
        });
        Some((protocol, bind, place::port(self.parameters.first()?, protocol)?))
    }

    /// `tcp4-listen` in its two parts; the second one is empty if there is none.
    fn transport(&self) -> (&str, &str) {
        let keyword = &*self.keyword;
        match keyword.strip_prefix("openssl-dtls") {
            Some(rest) => ("openssl-dtls", rest.strip_prefix('-').unwrap_or(rest)),
            None => keyword.split_once('-').unwrap_or((keyword, "")),
        }
    }

    /// Where it connects to. `None` if what is at the other end is no place: a program, a file.
    fn connects(&self) -> Option<(Destination, Option<Through>)> {
        let to_host = |at: usize, protocol| match self.parameters.get(at..=at + 1) {
            Some([host, port]) => place::port(port, protocol)
                .map_or(Destination::Untold, |port| Destination::Host(place::host(host), port)),
            _ => Destination::Untold,
        };
        let by_proxy = |to| {
            let host = place::host(self.parameters.first()?);
            Some((to, Some(Through::Proxy(host))))
        };
        let to = match self.transport() {
            ("tcp" | "tcp4" | "tcp6" | "openssl" | "ssl", "" | "connect") => to_host(0, Protocol::Tcp),
            ("udp" | "udp4" | "udp6", "" | "connect" | "sendto" | "datagram")
            | ("dtls" | "openssl-dtls", "" | "client" | "connect") => to_host(0, Protocol::Udp),
            ("unix" | "local", "" | "connect" | "client") => self.path("")?,
            ("abstract", "" | "connect" | "client") => self.path("@")?,
            ("socks" | "socks4" | "socks4a" | "proxy", "" | "connect") => return by_proxy(to_host(1, Protocol::Tcp)),
            ("socks5", "" | "connect") => return by_proxy(self.behind_socks5()),
            _ => return None,
        };
        Some((to, None))
    }

    fn path(&self, prefix: &str) -> Option<Destination> {
        Some(Destination::Path(format!("{prefix}{}", self.parameters.first()?)))
    }

    /// `server:[port:]host:port`.
    fn behind_socks5(&self) -> Destination {
        match &self.parameters[..] {
            [_, .., host, port] if self.parameters.len() > 2 => place::port(port, Protocol::Tcp)
                .map_or(Destination::Untold, |port| Destination::Host(place::host(host), port)),
            _ => Destination::Untold,
        }
    }
}

/// The parts between separators that stand outside of brackets and quotes, and after no backslash.
fn split(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut quote, mut is_escaped, mut start) = (0_usize, None, false, 0);
    for (at, letter) in text.char_indices() {
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' | '\'' if quote == Some(letter) => quote = None,
            '"' | '\'' if quote.is_none() => quote = Some(letter),
            _ if quote.is_some() => {}
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if letter == separator && depth == 0 => {
                parts.push(&text[start..at]);
                start = at + letter.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}
