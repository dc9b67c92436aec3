//! Finds out what starts holders again, and when.

use std::collections::HashMap;
use std::time::Duration;

use super::Surroundings;
use super::starters::lineage;
use super::{Keeper, Restarter};
use crate::collect::{self, Detail};
use crate::commands::diagnosis::Diagnosis;
use crate::duration::parse_duration;
use crate::model::{Ancestor, Pid, Process, Unit, find_process};
use crate::platform::{process, tool};
use crate::supervisor::command::show_unit;

/// How soon a process comes back if nothing delays it, or nothing is known.
pub const SOON: Duration = Duration::from_secs(5);

/// How long systemctl may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// When a process is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    /// Not by itself.
    Never,
    /// This long after its end.
    After(Duration),
    /// When a file has changed.
    WithFiles,
    /// Perhaps.
    Unknown,
}

impl Returns {
    /// What the keeper does, in words.
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Never => "lets it end",
            Self::After(_) => "starts it again",
            Self::WithFiles => "starts it again when a file changes",
            Self::Unknown => "may start it again",
        }
    }

    /// How long the port must be watched to notice. `None` if nothing comes back.
    pub fn noticed_within(self) -> Option<Duration> {
        match self {
            Self::Never => None,
            Self::After(delay) => Some(SOON + delay),
            Self::WithFiles | Self::Unknown => Some(SOON),
        }
    }
}

/// The keepers of processes, by their ids.
#[derive(Debug, Default)]
pub struct Keepers(pub(super) HashMap<Pid, (Keeper, Returns)>);

impl Keepers {
    /// The keepers of all processes of an answer.
    pub fn of(diagnosis: &Diagnosis, surroundings: &Surroundings) -> Self {
        let lineages: Vec<Vec<Ancestor>> =
            diagnosis.processes.iter().map(|process| lineage(process, surroundings)).collect();
        let above = lineages.iter().flatten().map(|ancestor| ancestor.pid).collect();
        let above = collect::describe(above, Detail::Full).unwrap_or_default();
        let mut asked = Asked::default();
        let mut keepers = HashMap::new();
        for (process, lineage) in diagnosis.processes.iter().zip(&lineages) {
            if let Some(found) = asked.keeper(process, lineage, &above, diagnosis, surroundings) {
                keepers.insert(process.pid, found);
            }
        }
        Self(keepers)
    }

    /// The keeper of one process.
    pub fn get(&self, pid: Pid) -> Option<&(Keeper, Returns)> {
        self.0.get(&pid)
    }
}

/// Answers that are known already: the processes of a server have one keeper.
#[derive(Debug, Default)]
struct Asked {
    /// By supervisor and the process that it started.
    jobs: HashMap<(Pid, Pid), Option<Vec<String>>>,
    units: HashMap<Unit, Option<Service>>,
}

impl Asked {
    fn keeper(
        &mut self,
        process: &Process,
        lineage: &[Ancestor],
        above: &[Process],
        diagnosis: &Diagnosis,
        surroundings: &Surroundings,
    ) -> Option<(Keeper, Returns)> {
        let above = |ancestor: &Ancestor| find_process(above, ancestor.pid);
        let restarter = lineage.iter().find_map(|ancestor| restarter(above(ancestor)?));
        Some(match Keeper::of(process, surroundings, restarter)? {
            Keeper::Program(restarter) => {
                let started = lineage.iter().map(|ancestor| ancestor.pid).take_while(|&pid| pid != restarter.pid);
                let started: Vec<Pid> = std::iter::once(process.pid).chain(started).collect();
                let daemon = lineage.iter().filter_map(above).find(|starter| starter.pid == restarter.pid);
                let returns =
                    if restarter.waits_for_files { Returns::WithFiles } else { Returns::After(Duration::ZERO) };
                let stop = daemon.and_then(|daemon| self.job(restarter.kind, daemon, &started));
                (Keeper::Program(restarter.with_stop(stop)), returns)
            }
            Keeper::Unit(unit) => {
                let returns = self.service(&unit).map_or(Returns::Unknown, |service| service.returns(diagnosis));
                (Keeper::Unit(unit), returns)
            }
            container @ Keeper::Container(..) => (container, Returns::Unknown),
        })
    }

    fn job(&mut self, kind: &str, starter: &Process, started: &[Pid]) -> Option<Vec<String>> {
        let child = started.last().copied().unwrap_or_default();
        let ask = || process::stop_command(kind, starter, started);
        self.jobs.entry((starter.pid, child)).or_insert_with(ask).clone()
    }

    fn service(&mut self, unit: &Unit) -> Option<Service> {
        *self.units.entry(unit.clone()).or_insert_with(|| {
            let show = show_unit(unit, &["Restart", "RestartUSec", "RestartUSecNext", "MainPID"])?;
            Service::parse(&tool::read(&show, PATIENCE)?)
        })
    }
}

/// A program among the ancestors that starts processes again. The first process of a container
/// often runs an idle loop and adopts orphans, so only supervisors count there.
fn restarter(starter: &Process) -> Option<Restarter> {
    if starter.pid == 1 { Restarter::supervisor(starter) } else { Restarter::of(starter) }
}

/// What systemd says of a service (org.freedesktop.systemd1(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Service {
    is_restarted: bool,
    /// `None` if it cannot be read.
    delay: Option<Duration>,
    /// The process whose end ends the service; 0 if there is none.
    main: Pid,
}

impl Service {
    /// Reads what `systemctl show` prints.
    fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let delay = |name: &str| value(name).map_or(Some(Duration::ZERO), |typed| parse_duration(typed).ok());
        Some(Self {
            is_restarted: value("Restart")? != "no",
            // The second one is longer after several restarts, if so configured.
            delay: delay("RestartUSec").zip(delay("RestartUSecNext")).map(|(usual, next)| usual.max(next)),
            main: value("MainPID").and_then(|pid| pid.parse().ok()).unwrap_or_default(),
        })
    }

    /// When the service comes back after the holders have ended.
    fn returns(self, diagnosis: &Diagnosis) -> Returns {
        let main_lives_on = self.main != 0 && find_process(&diagnosis.processes, self.main).is_none();
        match self.delay {
            _ if !self.is_restarted || main_lives_on => Returns::Never,
            Some(delay) => Returns::After(delay),
            None => Returns::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemctl_prints() {
        let parse =
            |text: &str| Service::parse(text).map(|service| (service.is_restarted, service.delay, service.main));
        let milliseconds = |number| Some(Duration::from_millis(number));
        let usual = "Restart=no\nRestartUSec=100ms\nMainPID=42\n";
        assert_eq!(parse(usual), Some((false, milliseconds(100), 42)));
        let growing = "Restart=always\nRestartUSec=5s\nRestartUSecNext=1min 30s\nMainPID=0\n";
        assert_eq!(parse(growing), Some((true, milliseconds(90_000), 0)));
        assert_eq!(parse("Restart=on-failure\nRestartUSec=infinity\n"), Some((true, None, 0)));
        assert_eq!(parse(""), None);
    }
}
