//! What starts a process again when it ends, and how to stop that properly.

use super::Restarter;
use super::Surroundings;
use crate::diagnose::Remedy;
use crate::diagnose::forwarded::stop_known;
use crate::diagnose::remedy::{stop_container, stop_unit};
use crate::model::{Container, EngineContainer, Manager, Process, Unit};
use crate::supervisor;
use crate::supervisor::command::{self, Caller};

/// What starts a process again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// A unit of systemd.
    Unit(Unit),
    /// A container runtime, with the container as its engine describes it, if the engine confirms
    /// it.
    Container(Container, Option<Box<EngineContainer>>),
    /// Another program.
    Program(Restarter),
}

impl Keeper {
    /// What starts `process` again, if anything is known to. `restarter` is a known program among
    /// its ancestors.
    ///
    /// A unit or container that portcheck runs in, too, does not count: stopping it would stop
    /// portcheck. And a server that was started in a terminal there is not the service of that
    /// unit.
    pub fn of(process: &Process, surroundings: &Surroundings, restarter: Option<Restarter>) -> Option<Self> {
        if let Some(container) = process.container.as_ref().filter(|own| surroundings.container.as_ref() != Some(*own))
        {
            let known = process.engine_container.clone();
            return Some(Self::Container(container.seen_by(surroundings.euid), known));
        }
        if let Some(restarter) = restarter {
            return Some(Self::Program(restarter));
        }
        let unit = process.unit.as_ref().filter(|unit| supervisor::is_service(unit));
        unit.filter(|own| surroundings.unit.as_ref() != Some(*own))
            .map(|unit| Self::Unit(unit.seen_by(surroundings.euid)))
    }

    /// Its kind, as in the JSON.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Unit(Unit { manager: Manager::System, .. }) => "systemd",
            Self::Unit(Unit { manager: Manager::User, .. }) => "systemd-user",
            Self::Container(container, _) => container.runtime.into_str(),
            Self::Program(restarter) => restarter.kind,
        }
    }

    /// Its name: `web.service`, `docker container 8f3a0c1d2e4b`.
    pub fn name(&self) -> String {
        match self {
            Self::Unit(unit) => unit.name.clone(),
            Self::Container(container, known) => {
                let name = known.as_ref().map_or_else(|| container.short_id(), |known| known.title());
                format!("{} container {name}", container.runtime.into_str())
            }
            Self::Program(restarter) => format!("{} (pid {})", restarter.name, restarter.pid),
        }
    }

    /// How a process relates to it: the start of a sentence about the process.
    pub fn relation(&self) -> String {
        match self {
            Self::Unit(_) | Self::Container(..) => format!("belongs to {}", self.name()),
            Self::Program(_) => format!("was started by {}", self.name()),
        }
    }

    /// The program and arguments that stop the process, if the supervisor's tool can be told which.
    pub fn stop_command(&self) -> Option<Vec<String>> {
        match self {
            Self::Unit(unit) => command::stop_units(unit, [&*unit.name], Caller::Portcheck),
            Self::Container(_, known) => known.as_ref().map(|known| command::stop_known(known, Caller::Portcheck)),
            Self::Program(restarter) => restarter.stop.clone(),
        }
    }

    /// How to stop it properly.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Unit(unit) => stop_unit("its service", unit),
            Self::Container(_, Some(known)) => stop_known(known),
            Self::Container(container, None) => stop_container(container),
            Self::Program(restarter) => restarter.remedy(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Runtime;
    use crate::testing::{engine_container, process};

    fn keeper(process: &Process) -> Option<Keeper> {
        Keeper::of(process, &Surroundings::default(), None)
    }

    fn unit(name: &str) -> Unit {
        Unit::new(name, Manager::System, None)
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
            assert_eq!(Keeper::of(&web, &reader, None).unwrap().stop_command().unwrap().join(" "), expected);
        }
        for other in ["session-3.scope", "user@1000.service", "web.socket"] {
            web.unit = Some(unit(other));
            assert_eq!(keeper(&web), None, "{other}");
        }
    }

    /// A terminal in an editor that runs as a unit, or a CI runner: stopping the unit would end
    /// portcheck, too.
    #[test]
    fn what_keeps_portcheck_as_well_is_none() {
        let mut web = process(42, 7, "web");
        web.unit = Some(unit("runner.service"));
        let container = Container { runtime: Runtime::Docker, id: "0".repeat(64), pod: None, user: None };
        let inside = Surroundings { unit: web.unit.clone(), container: Some(container.clone()), ..Default::default() };
        assert_eq!(Keeper::of(&web, &inside, None), None);
        web.container = Some(container);
        assert_eq!(Keeper::of(&web, &inside, None), None);
        let found = keeper(&web).unwrap();
        assert_eq!(found.remedy().command.unwrap().join(" "), "docker stop 000000000000");
    }

    /// The user of a delegated cgroup chooses the names below it.
    #[test]
    fn only_a_container_that_its_engine_confirms_is_stopped() {
        let mut web = process(42, 7, "web");
        web.container = Some(Container { runtime: Runtime::Docker, id: "8".repeat(64), pod: None, user: None });
        assert_eq!(keeper(&web).unwrap().stop_command(), None);
        web.engine_container = Some(Box::new(engine_container("shop-web-1")));
        let found = keeper(&web).unwrap();
        let stop = format!("docker --host unix:///run/docker.sock stop {}", "8".repeat(64));
        assert_eq!(found.stop_command().unwrap().join(" "), stop);
        assert_eq!(
            (&*found.name(), &*found.remedy().command.unwrap().join(" ")),
            ("docker container shop-web-1", "docker stop shop-web-1")
        );
    }

    #[test]
    fn a_program_comes_before_the_unit_that_it_is_in() {
        let mut web = process(42, 7, "web");
        web.unit = Some(unit("pm2-ada.service"));
        let entr = Restarter::of(&process(7, 1, "entr"));
        assert_eq!(Keeper::of(&web, &Surroundings::default(), entr).unwrap().name(), "entr (pid 7)");
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
