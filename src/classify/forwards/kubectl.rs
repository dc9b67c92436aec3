//! `kubectl port-forward svc/web 8080:80`, and the same of `oc`.

use super::{Destination, Listen, Told, place};
use crate::model::{ForwardKind, Protocol, Through};

/// The long options without a value.
const BARE: [&str; 5] =
    ["--insecure-skip-tls-verify", "--match-server-version", "--warnings-as-errors", "--disable-compression", "--help"];

#[derive(Debug, Default)]
struct Line<'a> {
    words: Vec<&'a str>,
    namespace: Option<&'a str>,
    addresses: Vec<&'a str>,
}

/// What the arguments of kubectl tell.
pub fn told(arguments: &[&str]) -> Vec<Told> {
    let Line { words, namespace, addresses } = Line::read(arguments);
    let ["port-forward", resource, ports @ ..] = &words[..] else { return Vec::new() };
    // A name without a kind is that of a pod.
    let resource = if resource.contains('/') { (*resource).to_owned() } else { format!("pod/{resource}") };
    let through = namespace.map(|namespace| Through::Kubernetes(namespace.to_owned()));
    let addresses: Vec<Option<String>> = match &addresses[..] {
        [] => vec![None],
        addresses => addresses.iter().map(|&address| Some(address.to_owned())).collect(),
    };
    let pairs = ports.iter().filter_map(|pair| {
        let (here, there) = pair.split_once(':').unwrap_or((pair, pair));
        Some((here.parse::<u16>().ok()?, place::port(there, Protocol::Tcp)))
    });
    let all = pairs.flat_map(|(here, there)| {
        let to = Destination::Named(resource.clone(), there);
        let through = through.clone();
        addresses.iter().map(move |address| Told {
            kind: ForwardKind::Proxy,
            protocol: Protocol::Tcp,
            listen: Listen::Here(address.clone(), here),
            to: to.clone(),
            through: through.clone(),
        })
    });
    all.collect()
}

impl<'a> Line<'a> {
    fn read(arguments: &[&'a str]) -> Self {
        let mut line = Self::default();
        let mut rest = arguments.iter().copied();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                line.words.extend(rest.by_ref());
            } else if argument.starts_with("--") {
                let (name, joined) =
                    argument.split_once('=').map_or((argument, None), |(name, joined)| (name, Some(joined)));
                let value = joined.or_else(|| if BARE.contains(&name) { None } else { rest.next() });
                line.option(name, value);
            } else if let Some(letters) = argument.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                let (letter, joined) = letters.split_at(letters.chars().next().map_or(0, char::len_utf8));
                // `-h` alone has no value.
                let joined = Some(joined.strip_prefix('=').unwrap_or(joined)).filter(|joined| !joined.is_empty());
                let value = joined.or_else(|| if letter == "h" { None } else { rest.next() });
                line.option(letter, value);
            } else {
                line.words.push(argument);
            }
        }
        line
    }

    fn option(&mut self, name: &str, value: Option<&'a str>) {
        match name {
            "-n" | "n" | "--namespace" => self.namespace = value,
            "--address" => self.addresses.extend(value.unwrap_or_default().split(',').filter(|one| !one.is_empty())),
            _ => {}
        }
    }
}
