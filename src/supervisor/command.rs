//! The commands that stop units and containers, as words: the same for those that are printed and
//! those that are executed.
//!
//! Names come from cgroups, unit files and engines, and some of these were chosen by others. A name
//! counts only if it follows the grammar of whose name it is and needs no escapes, and no name is
//! taken for an option: it stands behind `--`, unless its grammar has no dash in front.

use crate::model::{Container, Engine, EngineContainer, Manager, Runtime, Unit};

/// Who runs a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caller {
    /// Whoever reads it, in a terminal.
    Reader,
    /// This program, which nobody types a password for.
    Portcheck,
}

/// Stops `names`, which are units of the same manager as `unit`. `None` if there is none, or one
/// that follows no grammar.
pub fn stop_units<'a>(unit: &Unit, names: impl IntoIterator<Item = &'a str>, caller: Caller) -> Option<Vec<String>> {
    systemctl("stop", unit, names, caller)
}

/// Lets a frozen unit run again.
pub fn thaw_unit(unit: &Unit) -> Option<Vec<String>> {
    systemctl("thaw", unit, [&*unit.name], Caller::Reader)
}

/// Prints properties of a unit.
pub fn show_unit(unit: &Unit, properties: &[&str]) -> Option<Vec<String>> {
    let mut command = systemctl("show", unit, [&*unit.name], Caller::Portcheck)?;
    command.insert(1, format!("--property={}", properties.join(",")));
    Some(command)
}

fn systemctl<'a>(
    verb: &str,
    unit: &Unit,
    names: impl IntoIterator<Item = &'a str>,
    caller: Caller,
) -> Option<Vec<String>> {
    let is_readers = caller == Caller::Reader;
    let sudo = is_readers && (unit.manager == Manager::System || unit.user.is_some());
    let mut command = words(if sudo { &["sudo", "systemctl"] } else { &["systemctl"] });
    match (unit.manager, unit.user) {
        (Manager::System, _) if is_readers => {}
        (Manager::System, _) => command.push("--no-ask-password".to_owned()),
        (Manager::User, None) => command.push("--user".to_owned()),
        (Manager::User, Some(user)) => command.extend(["--user".to_owned(), format!("--machine={user}@")]),
    }
    command.push(verb.to_owned());
    command.push("--".to_owned());
    let options = command.len();
    for name in names {
        command.push(is_unit_name(name).then(|| name.to_owned())?);
    }
    (command.len() > options).then_some(command)
}

/// Stops a container that only a cgroup tells of, which is left to the reader. Not that of another
/// user, of whom only an engine of theirs knows.
pub fn stop_container(container: &Container) -> Option<Vec<String>> {
    let id = container.short_id();
    if container.user.is_some() {
        return None;
    }
    let command = match container.runtime {
        Runtime::Docker => words(&["docker", "stop", id]),
        Runtime::Podman => words(&["podman", "stop", id]),
        Runtime::Nspawn => words(&["machinectl", "poweroff", "--", id]),
        Runtime::Lxc => words(&["lxc-stop", "-n", id]),
        Runtime::Containerd | Runtime::Crio | Runtime::Kubernetes => return None,
    };
    is_container_name(id).then_some(command)
}

/// Stops a container by the very engine that knows it, wherever the environment of the tool would
/// lead.
pub fn stop_known(container: &EngineContainer, caller: Caller) -> Vec<String> {
    let is_pinned = caller == Caller::Portcheck || !container.engine.is_default;
    let title = container.name.as_deref().filter(|name| is_container_name(name));
    let name = match caller {
        Caller::Reader => title.or_else(|| container.id.get(..12)).unwrap_or(&container.id),
        Caller::Portcheck => &container.id,
    };
    let mut command = match container.engine.runtime {
        Runtime::Podman if is_pinned => words(&["podman", "--remote=false"]),
        Runtime::Podman => words(&["podman"]),
        _ => docker(Some(&container.engine).filter(|_| is_pinned)),
    };
    command.extend(words(&["stop", name]));
    command
}

/// Lists the containers of Docker that publish a port, such as `8080/tcp`.
pub fn find_publisher(engine: Option<&Engine>, port: &str) -> Vec<String> {
    let mut command = docker(engine.filter(|engine| !engine.is_default));
    command.extend(["ps".to_owned(), "--filter".to_owned(), format!("publish={port}")]);
    command
}

/// Docker's tool, for this engine if one is given.
fn docker(engine: Option<&Engine>) -> Vec<String> {
    let mut command = words(&["docker"]);
    if let Some(socket) = engine.and_then(|engine| engine.socket.as_ref()) {
        command.extend(["--host".to_owned(), format!("unix://{}", socket.display())]);
    }
    command
}

/// Lets a paused container run again.
pub fn unpause_container(container: &Container) -> Option<Vec<String>> {
    let tool = match container.runtime {
        Runtime::Docker => "docker",
        Runtime::Podman => "podman",
        _ => return None,
    };
    let id = container.short_id();
    (container.user.is_none() && is_container_name(id)).then(|| words(&[tool, "unpause", id]))
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

/// `unit_name_is_valid` of systemd (src/basic/unit-name.c), without the backslash of escapes.
fn is_unit_name(name: &str) -> bool {
    const TYPES: [&str; 11] =
        ["service", "socket", "target", "device", "mount", "automount", "swap", "timer", "path", "slice", "scope"];
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":-_.@".contains(&byte);
    name.len() < 256
        && !name.starts_with(['.', '@'])
        && name.bytes().all(is_allowed)
        && name.rsplit_once('.').is_some_and(|(stem, kind)| !stem.is_empty() && TYPES.contains(&kind))
}

/// The names that Docker and Podman allow (`[a-zA-Z0-9][a-zA-Z0-9_.-]*`), ids among them. Those of
/// machines are no wider: they are names of hosts (`hostname_is_valid`, src/basic/hostname-util.c).
pub fn is_container_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    name.len() < 256 && name.starts_with(|first: char| first.is_ascii_alphanumeric()) && name.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::engine_container;

    fn unit(name: &str, manager: Manager, user: Option<u32>) -> Unit {
        Unit::new(name, manager, user)
    }

    fn stop(unit: &Unit, caller: Caller) -> Option<String> {
        stop_units(unit, [&*unit.name], caller).map(|command| command.join(" "))
    }

    #[test]
    fn a_unit_is_stopped_by_its_own_manager() {
        let web = |manager, user| unit("web.service", manager, user);
        for (unit, reader, portcheck) in [
            (
                web(Manager::System, None),
                "sudo systemctl stop -- web.service",
                "systemctl --no-ask-password stop -- web.service",
            ),
            (web(Manager::User, None), "systemctl --user stop -- web.service", "systemctl --user stop -- web.service"),
            (
                web(Manager::User, Some(1001)),
                "sudo systemctl --user --machine=1001@ stop -- web.service",
                "systemctl --user --machine=1001@ stop -- web.service",
            ),
        ] {
            assert_eq!(stop(&unit, Caller::Reader).unwrap(), reader);
            assert_eq!(stop(&unit, Caller::Portcheck).unwrap(), portcheck);
        }
        assert_eq!(thaw_unit(&web(Manager::System, None)).unwrap().join(" "), "sudo systemctl thaw -- web.service");
    }

    /// They became options of systemctl, which went to another machine.
    #[test]
    fn a_name_is_never_an_option() {
        let evil = unit("-Hroot@evil.service", Manager::System, None);
        assert_eq!(stop(&evil, Caller::Reader).unwrap(), "sudo systemctl stop -- -Hroot@evil.service");
        for caller in [Caller::Reader, Caller::Portcheck] {
            for name in [
                "--version",
                "-Hroot@evil",
                "a b.service",
                "$(reboot).service",
                "a\\x2db.service",
                "a;b.service",
                ".service",
                "@a.service",
                "a/b.service",
                "a.service\n",
                "ä.service",
                "web.exe",
                "",
            ] {
                assert_eq!(stop(&unit(name, Manager::System, None), caller), None, "{name:?}");
            }
        }
        let two = |name| stop_units(&evil, ["web.socket", name], Caller::Portcheck);
        assert!(two("web.service").is_some() && two("$(reboot).service").is_none());
        assert_eq!(stop_units(&evil, [], Caller::Portcheck), None);
    }

    #[test]
    fn containers_and_machines_are_stopped_by_their_tools() {
        let container = |runtime, id: &str| Container { runtime, id: id.to_owned(), pod: None, user: None };
        let stop = |runtime, id: &str| stop_container(&container(runtime, id)).map(|command| command.join(" "));
        assert_eq!(stop(Runtime::Docker, &"8".repeat(64)).unwrap(), "docker stop 888888888888");
        assert_eq!(stop(Runtime::Nspawn, "web").unwrap(), "machinectl poweroff -- web");
        assert_eq!(stop(Runtime::Lxc, "web-1").unwrap(), "lxc-stop -n web-1");
        assert_eq!(stop(Runtime::Kubernetes, &"8".repeat(64)), None);
        for name in ["--version", "-Hroot@evil", "a b", "$(reboot)", "", "a/b", "a\\x2db", "é"] {
            assert_eq!((stop(Runtime::Nspawn, name), stop(Runtime::Lxc, name)), (None, None), "{name:?}");
        }
        let known = |name: Option<&str>, is_default: bool| EngineContainer {
            engine: Engine { runtime: Runtime::Docker, socket: Some("/a b/docker.sock".into()), is_default },
            name: name.map(str::to_owned),
            ..engine_container("")
        };
        let stop = |container: &EngineContainer, caller| stop_known(container, caller).join(" ");
        assert_eq!(stop(&known(Some("web"), true), Caller::Reader), "docker stop web");
        assert_eq!(stop(&known(Some("web"), false), Caller::Reader), "docker --host unix:///a b/docker.sock stop web");
        for name in [Some("$(reboot)"), Some("--help"), Some(""), None] {
            assert_eq!(stop(&known(name, true), Caller::Reader), format!("docker stop {}", "8".repeat(12)));
        }
        let pinned = ["docker", "--host", "unix:///a b/docker.sock", "stop", &"8".repeat(64)].map(str::to_owned);
        assert_eq!(stop_known(&known(Some("web"), true), Caller::Portcheck), pinned);
        let mut of_podman = known(Some("web"), false);
        of_podman.engine.runtime = Runtime::Podman;
        assert_eq!(stop(&of_podman, Caller::Reader), "podman --remote=false stop web");
        let of_another = Container { user: Some(1000), ..container(Runtime::Podman, "web") };
        assert_eq!(stop_container(&of_another), None);
        assert_eq!(unpause_container(&container(Runtime::Podman, "web")).unwrap(), ["podman", "unpause", "web"]);
    }
}
