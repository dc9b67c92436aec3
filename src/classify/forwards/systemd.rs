//! systemd-socket-proxyd: it gets its sockets from systemd, and passes connections on to one place.

use super::{Destination, Listen, Told, place};
use crate::model::{ForwardKind, Protocol};

/// What the arguments of systemd-socket-proxyd tell: `--exit-idle-time=60 db.example:5432`. On which
/// port it listens they do not.
pub fn told(arguments: &[&str]) -> Vec<Told> {
    const WITH_VALUE: [&str; 3] = ["-c", "--connections-max", "--exit-idle-time"];
    let mut rest = arguments.iter().copied();
    while let Some(argument) = rest.next() {
        if WITH_VALUE.contains(&argument) {
            rest.next();
        } else if !argument.starts_with('-') {
            let to = if argument.starts_with('/') || argument.starts_with('@') {
                Destination::Path(argument.to_owned())
            } else {
                // Without a port it is 80.
                let (host, port) =
                    place::host_and_port(argument, Protocol::Tcp).unwrap_or_else(|| (place::host(argument), 80));
                Destination::Host(host, port)
            };
            return vec![Told {
                kind: ForwardKind::Proxy,
                protocol: Protocol::Tcp,
                listen: Listen::Given,
                to,
                through: None,
            }];
        }
    }
    Vec::new()
}
