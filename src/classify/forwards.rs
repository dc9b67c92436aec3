//! What a program forwards, as its own command line tells: the tunnels of ssh, socat, kubectl and
//! others. Pure: nothing is looked up, on this machine or elsewhere.

mod cloud;
mod kubectl;
mod place;
mod socat;
mod ssh;
mod systemd;

use std::net::IpAddr;

use crate::model::{self, Confidence, Forward, ForwardKind, Process, Protocol, Through};

/// A forward that a command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Its kind.
    pub kind: ForwardKind,
    /// The protocol of both ends.
    pub protocol: Protocol,
    /// Where connections are accepted.
    pub listen: Listen,
    /// Where they lead to.
    pub to: Destination,
    /// What stands between.
    pub through: Option<Through>,
}

impl Told {
    /// The forward that it is, of the program `by`.
    pub fn forward(&self, by: &str) -> Forward {
        let to = |host: &String, port: u16| Some(model::Destination { host: host.clone(), port, namespace: None });
        let (to, to_place, confidence) = match &self.to {
            Destination::Host(host, port) | Destination::Named(host, Some(port)) => {
                (to(host, *port), None, Confidence::Known)
            }
            Destination::Path(name) | Destination::Named(name, None) => (None, Some(name.clone()), Confidence::Known),
            Destination::Anywhere => (None, None, Confidence::Known),
            Destination::Untold => (None, None, Confidence::Unknown),
        };
        Forward { to, to_place, confidence, through: self.through.clone(), ..Forward::new(self.kind, by) }
    }

    /// Whether another one leads to the same place from the same port, if on another address.
    pub fn is_like(&self, other: &Self) -> bool {
        let port = |told: &Self| match told.listen {
            Listen::Here(_, port) => Some(port),
            Listen::There(port) => port,
            Listen::Given => None,
        };
        (self.kind, port(self), &self.to) == (other.kind, port(other), &other.to)
    }
}

/// Where connections are accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// On this machine: the address as it is written, if it is, and the port.
    Here(Option<String>, u16),
    /// On whatever the program was given: the command line does not tell.
    Given,
    /// At the other end of the tunnel; the port, if it is known.
    There(Option<u16>),
}

/// Where connections lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// To a port of a host, which is an address or a name.
    Host(String, u16),
    /// To what a service of another kind calls by this name, as `svc/web` in Kubernetes, and a port
    /// of it.
    Named(String, Option<u16>),
    /// To a unix socket at this path.
    Path(String),
    /// To wherever each client asks: a SOCKS proxy.
    Anywhere,
    /// The command line does not tell.
    Untold,
}

/// A program that forwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// What it is called: `ssh`.
    pub name: &'static str,
    /// What it forwards as far as its command line tells.
    pub told: Vec<Told>,
    /// The kind of a forward of a port that its command line does not tell of. `None` if it listens
    /// on such a port for something else.
    pub otherwise: Option<ForwardKind>,
}

impl Program {
    /// The forwarding program that `process` runs, by its program file. A name makes none.
    pub fn of(process: &Process) -> Option<Self> {
        let file = process.exe.as_ref()?.file_name()?.to_string_lossy().to_ascii_lowercase();
        // On Linux, a file that was replaced since. On Windows, the end of every program.
        let file = file.strip_suffix(" (deleted)").unwrap_or(&file);
        Self::called(file.strip_suffix(".exe").unwrap_or(file), process.command.get(1..).unwrap_or_default())
    }

    fn called(file: &str, arguments: &[String]) -> Option<Self> {
        let program = |name, told: fn(&[&str]) -> Vec<Told>, otherwise| {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            // One that forwards nothing, as far as its command line tells, is no forwarder.
            Some(Self { name, told: told(&arguments), otherwise }).filter(Self::is_one)
        };
        match file {
            "ssh" => program("ssh", ssh::told, Some(ForwardKind::LocalForward)),
            "socat" | "socat1" => program("socat", socat::told, None),
            "kubectl" => program("kubectl", kubectl::told, None),
            "oc" => program("oc", kubectl::told, None),
            "systemd-socket-proxyd" => program("systemd-socket-proxyd", systemd::told, Some(ForwardKind::Proxy)),
            "cloudflared" => program("cloudflared", cloud::cloudflared, None),
            "ngrok" => program("ngrok", cloud::ngrok, None),
            "haproxy" => program("haproxy", |_| Vec::new(), Some(ForwardKind::Proxy)),
            "code-tunnel" | "code-tunnel-insiders" => program("code-tunnel", |_| Vec::new(), Some(ForwardKind::Proxy)),
            _ => None,
        }
    }

    /// Its forwards, each once, on however many addresses it listens for them.
    pub fn each_once(&self) -> Vec<&Told> {
        let is_new = |at: usize, told: &Told| !self.told[..at].iter().any(|other| other.is_like(told));
        self.told.iter().enumerate().filter(|&(at, told)| is_new(at, told)).map(|(_, told)| told).collect()
    }

    fn is_one(&self) -> bool {
        !self.told.is_empty() || self.otherwise.is_some()
    }

    /// What it forwards of a port on which it listens here. The most exact address comes first.
    pub fn on(&self, protocol: Protocol, address: IpAddr, port: u16) -> Option<&Told> {
        let exactness = |told: &Told| match &told.listen {
            Listen::Given => Some(0),
            Listen::Here(written, number) if (told.protocol, *number) == (protocol, port) => {
                match written.as_deref().map(str::parse::<IpAddr>) {
                    Some(Ok(written)) => (written.to_canonical() == address.to_canonical()).then_some(2),
                    // A name, a wildcard or nothing.
                    Some(Err(_)) | None => Some(1),
                }
            }
            Listen::Here(..) | Listen::There(_) => None,
        };
        let fitting = self.told.iter().filter_map(|told| Some((exactness(told)?, told)));
        fitting.reduce(|best, other| if other.0 > best.0 { other } else { best }).map(|(_, told)| told)
    }
}

#[cfg(test)]
mod tests;
