//! Socket units of systemd (systemd.socket(5)): systemd itself listens, and starts a service when somebody connects.

use crate::act::command;
use crate::error::Error;
use crate::model::{Manager, Process, Protocol};

/// A socket unit, and where it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketUnit {
    /// Whose it is.
    pub manager: Manager,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
    /// Its name, `web.socket`.
    pub name: String,
    /// The service that it starts.
    pub service: Option<String>,
}

/// Whether a process is a service manager, which listens in the name of its units; and whose.
#[must_use]
pub fn manager(process: &Process) -> Option<Manager> {
    match (process.pid, &*process.name) {
        (1, "systemd") => Some(Manager::System),
        (_, "systemd") if process.command.iter().any(|argument| argument == "--user") => Some(Manager::User),
        _ => None,
    }
}

/// All socket units of a manager that listen on a port, as its own tool tells them; none where that does not work.
///
/// # Errors
///
/// If the tool cannot be waited for.
pub fn list(manager: Manager) -> Result<Vec<SocketUnit>, Error> {
    let mut arguments = vec!["systemctl"];
    arguments.extend((manager == Manager::User).then_some("--user"));
    arguments.extend(["list-sockets", "--all", "--full", "--plain", "--show-types", "--no-legend", "--no-pager"]);
    let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
    let listed = command::run_and_hear(&arguments)?.unwrap_or_default();
    Ok(listed.lines().filter_map(|line| parse(line, manager)).collect())
}

impl SocketUnit {
    /// The program and arguments that stop it for good: the service alone would be started again.
    #[must_use]
    pub fn stop_command(&self) -> Vec<String> {
        let manager = match self.manager {
            Manager::System => "--no-ask-password",
            Manager::User => "--user",
        };
        let words = ["systemctl", manager, "stop", "--", &self.name].map(str::to_owned);
        words.into_iter().chain(self.service.clone()).collect()
    }
}

/// Reads `[::]:8080 Stream web.socket web.service`.
fn parse(line: &str, manager: Manager) -> Option<SocketUnit> {
    let mut fields = line.split_whitespace();
    let address = fields.next()?;
    let protocol = match fields.next()? {
        "Stream" => Protocol::Tcp,
        "Datagram" => Protocol::Udp,
        _ => return None,
    };
    // Behind a device, as in `[fe80::1]:80%eth0`.
    let address = address.split('%').next()?;
    let port = address.rsplit_once(':')?.1.parse().ok()?;
    let name = fields.next().filter(|name| name.ends_with(".socket"))?.to_owned();
    let service = fields.next().and_then(|services| services.split(',').next()).filter(|name| name.contains('.'));
    Some(SocketUnit { manager, port, protocol, name, service: service.map(str::to_owned) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_list_sockets() {
        let unit = parse("[::]:8080                   Stream   web.socket    web.service", Manager::User).unwrap();
        assert_eq!((unit.port, unit.protocol, &*unit.name), (8080, Protocol::Tcp, "web.socket"));
        assert_eq!(unit.stop_command().join(" "), "systemctl --user stop -- web.socket web.service");
        assert_eq!(parse("127.0.0.1:53 Datagram dns.socket -", Manager::System).unwrap().service, None);
        for other in
            ["/run/dbus/system_bus_socket Stream dbus.socket dbus.service", "kobject-uevent 1 Netlink x", "", "a:80"]
        {
            assert_eq!(parse(other, Manager::System), None, "{other}");
        }
    }
}
