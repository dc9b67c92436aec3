//! Who starts a process again when it ends, and how to stop that properly.

use crate::act::Surroundings;
use crate::diagnose::Remedy;
use crate::diagnose::remedy::{stop_container, stop_unit};
use crate::model::{Ancestor, Container, Manager, Pid, Process, Runtime, Unit};
use crate::supervisor;
use crate::supervisor::command::{self, Caller};

/// Who looks after a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// A unit of systemd.
    Unit(Unit),
    /// A container runtime.
    Container(Container),
    /// pm2, by its daemon.
    Pm2(Pid),
    /// supervisord.
    Supervisord(Pid),
    /// A shell that runs a loop.
    ShellLoop(Ancestor),
}

impl Keeper {
    /// Who looks after `process`, if anybody is known to. `loops` tells whether a process is a shell that runs a loop.
    ///
    /// A unit or container that portcheck runs in as well is none: it would be stopped with it, and what somebody
    /// started in a terminal there is not what the unit is for.
    #[must_use]
    pub fn of(process: &Process, surroundings: &Surroundings, loops: impl Fn(Pid) -> bool) -> Option<Self> {
        if let Some(container) = process.container.as_ref().filter(|own| surroundings.container.as_ref() != Some(*own))
        {
            return Some(Self::Container(container.seen_by(surroundings.euid)));
        }
        let by_name = |start: &str| process.ancestors.iter().find(|ancestor| ancestor.name.starts_with(start));
        if let Some(daemon) = by_name("PM2 v") {
            return Some(Self::Pm2(daemon.pid));
        }
        if let Some(daemon) = process.ancestors.iter().find(|ancestor| ancestor.name == "supervisord") {
            return Some(Self::Supervisord(daemon.pid));
        }
        let parent = process.ancestors.first().filter(|parent| !surroundings.ancestors.contains(&parent.pid));
        if let Some(parent) = parent.filter(|parent| loops(parent.pid)) {
            return Some(Self::ShellLoop(parent.clone()));
        }
        let unit = process.unit.as_ref().filter(|unit| supervisor::is_service(unit));
        unit.filter(|own| surroundings.unit.as_ref() != Some(*own))
            .map(|unit| Self::Unit(unit.seen_by(surroundings.euid)))
    }

    /// What kind it is, as the JSON names it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unit(Unit { manager: Manager::System, .. }) => "systemd",
            Self::Unit(Unit { manager: Manager::User, .. }) => "systemd-user",
            Self::Container(container) => container.runtime.into_str(),
            Self::Pm2(_) => "pm2",
            Self::Supervisord(_) => "supervisord",
            Self::ShellLoop(_) => "shell-loop",
        }
    }

    /// What it is called: `web.service`, `docker container 8f3a0c1d2e4b`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Unit(unit) => unit.name.clone(),
            Self::Container(container) => {
                format!("{} container {}", container.runtime.into_str(), container.short_id())
            }
            Self::Pm2(pid) => format!("pm2 (pid {pid})"),
            Self::Supervisord(pid) => format!("supervisord (pid {pid})"),
            Self::ShellLoop(shell) => format!("a loop in {} (pid {})", shell.name, shell.pid),
        }
    }

    /// The program and arguments that stop what it looks after, where its own tool can be told what that is.
    #[must_use]
    pub fn stop_command(&self) -> Option<Vec<String>> {
        match self {
            Self::Unit(unit) => command::stop_units(unit, [&*unit.name], Caller::Portcheck),
            Self::Container(container) if matches!(container.runtime, Runtime::Docker | Runtime::Podman) => {
                command::stop_container(container, Caller::Portcheck)
            }
            Self::Container(_) | Self::Pm2(_) | Self::Supervisord(_) | Self::ShellLoop(_) => None,
        }
    }

    /// How to stop it properly.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        let remedy = |text: &str, command: &str| Remedy { text: text.to_owned(), command: Some(command.to_owned()) };
        match self {
            Self::Unit(unit) => stop_unit("its service", unit),
            Self::Container(container) => stop_container(container),
            Self::Pm2(_) => remedy("find its name and stop it", "pm2 list, then pm2 stop NAME"),
            Self::Supervisord(_) => {
                remedy("find its name and stop it", "supervisorctl status, then supervisorctl stop NAME")
            }
            Self::ShellLoop(shell) => remedy("end the loop first", &format!("kill {}", shell.pid)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::process;

    fn keeper(process: &Process) -> Option<Keeper> {
        Keeper::of(process, &Surroundings::default(), |_| false)
    }

    fn unit(name: &str) -> Unit {
        Unit { name: name.to_owned(), manager: Manager::System, user: None }
    }

    #[test]
    fn a_service_is_kept_and_a_session_is_not() {
        let mut web = process(42, 1, "web");
        assert_eq!(keeper(&web), None);
        web.unit = Some(unit("web.service"));
        let found = keeper(&web).unwrap();
        assert_eq!((found.kind(), &*found.name()), ("systemd", "web.service"));
        assert_eq!(found.stop_command().unwrap().join(" "), "systemctl --no-ask-password stop -- web.service");
        let of_user = |user| Unit { manager: Manager::User, user: Some(user), ..unit("web.service") };
        let reader = Surroundings { euid: Some(1000), ..Default::default() };
        for (user, expected) in [
            (1000, "systemctl --user stop -- web.service"),
            (1001, "systemctl --user --machine=1001@ stop -- web.service"),
        ] {
            web.unit = Some(of_user(user));
            assert_eq!(Keeper::of(&web, &reader, |_| false).unwrap().stop_command().unwrap().join(" "), expected);
        }
        for other in ["session-3.scope", "user@1000.service", "web.socket"] {
            web.unit = Some(unit(other));
            assert_eq!(keeper(&web), None, "{other}");
        }
    }

    /// A terminal inside an editor that runs as a unit, or a runner of CI: stopping that would end portcheck too.
    #[test]
    fn what_keeps_portcheck_as_well_is_none() {
        let mut web = process(42, 7, "web");
        web.unit = Some(unit("runner.service"));
        let container = Container { runtime: Runtime::Docker, id: "0".repeat(64), pod: None, user: None };
        let inside = Surroundings { unit: web.unit.clone(), container: Some(container.clone()), ..Default::default() };
        assert_eq!(Keeper::of(&web, &inside, |_| false), None);
        web.container = Some(container);
        assert_eq!(Keeper::of(&web, &inside, |_| false), None);
        let found = keeper(&web).unwrap();
        assert_eq!(found.stop_command().unwrap(), ["docker".to_owned(), "stop".to_owned(), "0".repeat(64)]);
        assert_eq!(found.remedy().command.unwrap(), "docker stop 000000000000");
    }

    #[test]
    fn daemons_are_known_by_their_names_and_loops_by_their_shell() {
        let mut web = process(42, 7, "web");
        assert_eq!(Keeper::of(&web, &Surroundings::default(), |pid| pid == 7).unwrap().kind(), "shell-loop");
        let below = Surroundings { ancestors: vec![7], ..Default::default() };
        assert_eq!(Keeper::of(&web, &below, |_| true), None, "the shell that runs portcheck itself");
        for (name, kind) in [("PM2 v5.3.0: God", "pm2"), ("supervisord", "supervisord")] {
            web.ancestors[1].name = name.to_owned();
            let found = keeper(&web).unwrap();
            assert_eq!((found.kind(), found.stop_command()), (kind, None));
        }
    }

    /// Stopping that unit would stop every container.
    #[test]
    fn the_unit_of_an_engine_keeps_nobody() {
        let mut plugin = process(42, 7, "plugin");
        plugin.unit = Some(unit("docker.service"));
        assert_eq!(keeper(&plugin), None);
    }

    #[test]
    fn other_runtimes_are_stopped_by_what_started_them() {
        let mut web = process(42, 7, "web");
        web.container = Some(Container { runtime: Runtime::Kubernetes, id: "0".repeat(64), pod: None, user: None });
        let found = keeper(&web).unwrap();
        assert_eq!((found.stop_command(), found.remedy().command), (None, None));
    }
}
