//! Carries out the plan, step by step.

use std::io;
use std::time::{Duration, Instant};

use super::heirs::Heirs;
use super::next::next_steps;
use super::starters::Starter;
use super::verify::Verified;
use super::{Action, Keeper, Options, Plan, Prepared, Report, Returns, Step, StepResult, Survivor, plan, verify};
use crate::collect::{self, Detail};
use crate::commands::check::check;
use crate::error::Error;
use crate::model::{Pid, Socket};
use crate::platform::Signal;
use crate::platform::machine::IS_WINDOWS;
use crate::platform::process::{self, Handle};
use crate::platform::tool::{self, Ran};
use crate::request::Request;

/// How long a process may take to end by SIGKILL. Only one that waits for hardware takes any time.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// How many times newcomers that have the same sockets are ended.
const ROUNDS: usize = 3;

/// A process to end, with a handle to it.
pub(super) struct Victim {
    pub handle: Handle,
    pub name: String,
    pub inodes: Vec<u64>,
}

impl Prepared {
    /// Does it, and verifies the effect.
    pub fn execute(mut self) -> Result<Report, Error> {
        let mut run = Run { request: &self.request, options: &self.options, plan: &self.plan, steps: Vec::new() };
        for stop in &self.plan.stops {
            run.stop(&stop.command)?;
        }
        let mut victims = run.victims(std::mem::take(&mut self.handles));
        let mut heirs = Heirs::of(&self);
        let mut signalled = 0;
        let mut rounds = 0..ROUNDS;
        while victims.len() > signalled && rounds.next().is_some() {
            heirs.join(&mut victims, &mut run)?;
            run.end(&victims[signalled..])?;
            signalled = victims.len();
            heirs.join(&mut victims, &mut run)?;
        }
        if self.options.remnants {
            run.drop_remnants()?;
        }
        let steps = run.steps;
        let Verified { outcome, takers, diagnosis, watched } = verify::verify(&self)?;
        Ok(Report {
            next_steps: next_steps(&self, &steps, outcome, &takers, &diagnosis),
            survivors: self.survivors(),
            steps,
            outcome,
            watched,
            takers,
            diagnosis,
            objection: None,
            is_about_several_ports: self.is_about_several_ports(),
            options: self.options,
            plan: self.plan,
        })
    }
}

impl Prepared {
    /// What has started a holder and may start it again.
    fn survivors(&self) -> Vec<Survivor> {
        let survivor = |starter: &Starter| {
            let known = self.plan.holders.iter().find_map(|holder| match &holder.keeper {
                Some(Keeper::Program(restarter)) if restarter.pid == starter.pid() => {
                    Some((restarter.name.clone(), holder.returns))
                }
                _ => None,
            });
            let (name, returns) = known.unwrap_or_else(|| (starter.name.clone(), Returns::Unknown));
            Survivor { pid: starter.pid(), name, returns }
        };
        self.starters.threats().into_iter().map(survivor).collect()
    }
}

/// The steps so far, and what they need.
pub(super) struct Run<'a> {
    request: &'a Request,
    options: &'a Options,
    plan: &'a Plan,
    steps: Vec<Step>,
}

impl Run<'_> {
    fn stop(&mut self, command: &[String]) -> Result<(), Error> {
        let start = Instant::now();
        let (result, reason) = match tool::run(command)? {
            Ran::Done => (StepResult::Done, None),
            Ran::Failed(said) => (StepResult::Failed, Some(said)),
            Ran::Missing => (StepResult::Missing, Some(format!("{} was not found on PATH", command[0]))),
            Ran::Late => (StepResult::StillRunning, Some("it has not ended after two minutes".to_owned())),
        };
        let action = Action::Supervisor { command: command.to_vec() };
        self.steps.push(Step { action, result, reason, took: start.elapsed() });
        Ok(())
    }

    /// The processes to signal, without those that have ended by themselves.
    fn victims(&mut self, handles: Vec<Option<Handle>>) -> Vec<Victim> {
        let mut victims = Vec::new();
        for (holder, handle) in self.plan.holders.iter().zip(handles).filter(|(one, _)| !one.is_stopped_by_keeper) {
            let name = holder.name.clone();
            match handle {
                Some(handle) => victims.push(Victim { handle, name, inodes: holder.inodes.clone() }),
                None => self.spare(holder.pid, &name, StepResult::Gone, "it had ended by itself".to_owned()),
            }
        }
        victims
    }

    /// Notes that a process gets no signal.
    pub fn spare(&mut self, pid: Pid, name: &str, result: StepResult, reason: String) {
        let action = Action::Signal { pid, name: name.to_owned(), signal: self.options.signal };
        self.steps.push(Step { action, result, reason: Some(reason), took: Duration::ZERO });
    }

    /// Signals all at once, waits for their ends, and sends SIGKILL to those that are left.
    fn end(&mut self, victims: &[Victim]) -> Result<(), Error> {
        let all: Vec<&Victim> = victims.iter().collect();
        let signal = self.options.signal;
        let grace = if signal == Signal::Kill { self.options.grace.max(KILL_GRACE) } else { self.options.grace };
        let left = self.signal_and_wait(&all, signal, grace)?;
        if self.options.force && signal != Signal::Kill && !left.is_empty() {
            self.signal_and_wait(&left, Signal::Kill, KILL_GRACE)?;
        }
        Ok(())
    }

    /// Those that got the signal, have not ended, and still have the socket.
    fn signal_and_wait<'v>(
        &mut self,
        victims: &[&'v Victim],
        signal: Signal,
        grace: Duration,
    ) -> Result<Vec<&'v Victim>, Error> {
        let start = Instant::now();
        let running = self.signal(victims, signal)?;
        let mut left = Vec::new();
        for (step, victim) in self.wait_for_ends(running, start, grace)? {
            if self.holds(victim)? {
                left.push(victim);
            } else {
                self.steps[step].reason = Some("it no longer holds the port".to_owned());
            }
        }
        Ok(left)
    }

    /// Signals everybody. Returns those that got the signal, with the number of the step.
    fn signal<'v>(&mut self, victims: &[&'v Victim], signal: Signal) -> Result<Vec<(usize, &'v Victim)>, Error> {
        let mut running = Vec::new();
        for &victim in victims {
            let was_stopped = victim.handle.is_stopped();
            let (result, reason) = self.send(victim, signal)?;
            if result == StepResult::StillRunning {
                running.push((self.steps.len(), victim));
            }
            self.push(victim, signal, result, reason, Duration::ZERO);
            // A stopped process gets no other signal before it continues. SIGKILL does not need
            // that.
            if was_stopped && result == StepResult::StillRunning && signal != Signal::Kill {
                let continued = victim.handle.signal(Signal::Cont);
                let result = if continued.is_ok() { StepResult::Done } else { StepResult::Failed };
                self.push(victim, Signal::Cont, result, Some("it was stopped".to_owned()), Duration::ZERO);
            }
        }
        Ok(running)
    }

    /// Waits until all have ended, at most for `grace`. Returns those that have not.
    fn wait_for_ends<'v>(
        &mut self,
        mut running: Vec<(usize, &'v Victim)>,
        start: Instant,
        grace: Duration,
    ) -> Result<Vec<(usize, &'v Victim)>, Error> {
        while !running.is_empty() {
            let handles: Vec<&Handle> = running.iter().map(|(_, victim)| &victim.handle).collect();
            let left = grace.saturating_sub(start.elapsed());
            let mut ended = process::wait_for_exits(&handles, Some(left))?.into_iter();
            let took = start.elapsed();
            running.retain(|&(step, _)| {
                let has_ended = ended.next().unwrap_or(false);
                self.steps[step].took = took;
                if has_ended {
                    self.steps[step].result = StepResult::Done;
                }
                !has_ended
            });
            if left.is_zero() {
                break;
            }
        }
        Ok(running)
    }

    /// Sends a signal, if the process is still the same and still has the socket.
    fn send(&self, victim: &Victim, signal: Signal) -> Result<(StepResult, Option<String>), Error> {
        if !self.holds(victim)? {
            return Ok(if victim.handle.is_alive() {
                (StepResult::LetGo, Some("it no longer holds the port".to_owned()))
            } else {
                (StepResult::Gone, Some("it had ended by itself".to_owned()))
            });
        }
        Ok(match victim.handle.signal(signal) {
            Ok(()) => (StepResult::StillRunning, None),
            // Windows refuses to end a process that is ending.
            Err(_) if victim.handle.has_ended() => (StepResult::Gone, Some("it had ended by itself".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let reason = if IS_WINDOWS {
                    "Windows lets only an elevated prompt do that"
                } else {
                    "it belongs to another user"
                };
                (StepResult::NotPermitted, Some(reason.to_owned()))
            }
            Err(error) => (StepResult::Failed, Some(error.to_string())),
        })
    }

    /// Whether the process is still the same and has the socket: among its descriptors, or where
    /// the diagnosis found it.
    fn holds(&self, victim: &Victim) -> Result<bool, Error> {
        if victim.handle.has_open(&victim.inodes) {
            return Ok(true);
        }
        if !victim.handle.is_alive() {
            return Ok(false);
        }
        let pid = victim.handle.pid();
        let now = check(&Request { detail: Detail::Brief, ..self.request.clone() })?;
        // If sockets have no inodes, any socket of the process on the port counts.
        let is_same = |socket: &Socket| match socket.inode {
            Some(inode) => victim.inodes.contains(&inode),
            None => victim.inodes.is_empty(),
        };
        let is_its = |socket: &Socket| is_same(socket) && socket.owners.seen().is_some_and(|pids| pids.contains(&pid));
        Ok(now.ports.iter().flat_map(|port| &port.observed.sockets).any(is_its) && victim.handle.is_alive())
    }

    fn push(&mut self, victim: &Victim, signal: Signal, result: StepResult, reason: Option<String>, took: Duration) {
        let action = Action::Signal { pid: victim.handle.pid(), name: victim.name.clone(), signal };
        self.steps.push(Step { action, result, reason, took });
    }

    /// Drops the remnants of connections. There may be more than when the plan was made. Repeats
    /// this while some ended by themselves, as a connection that goes to TIME_WAIT is another
    /// socket.
    fn drop_remnants(&mut self) -> Result<(), Error> {
        for _ in 0..ROUNDS {
            let request = Request { detail: Detail::Brief, connections: true, ..self.request.clone() };
            let now = check(&request)?;
            let wanted =
                now.ports.into_iter().filter(|port| !self.plan.refuses(port.observed.port, port.observed.protocol));
            let sockets = wanted.flat_map(|port| port.observed.sockets).filter(plan::is_remnant);
            let mut is_over = true;
            for (socket, dropped) in collect::drop_remnants(sockets.collect()) {
                let (result, reason) = of_drop(dropped);
                is_over &= result != StepResult::Gone;
                let action = Action::Drop { socket: Box::new(socket) };
                self.steps.push(Step { action, result, reason, took: Duration::ZERO });
            }
            if is_over {
                break;
            }
        }
        Ok(())
    }
}

fn of_drop(dropped: io::Result<()>) -> (StepResult, Option<String>) {
    let Err(error) = dropped else { return (StepResult::Done, None) };
    let (result, reason) = match error.kind() {
        io::ErrorKind::NotFound => (StepResult::Gone, "it had ended by itself".to_owned()),
        io::ErrorKind::PermissionDenied => {
            (StepResult::NotPermitted, "only root may drop it (CAP_NET_ADMIN)".to_owned())
        }
        io::ErrorKind::Unsupported => {
            (StepResult::Failed, "this kernel cannot drop it (CONFIG_INET_DIAG_DESTROY)".to_owned())
        }
        _ => (StepResult::Failed, error.to_string()),
    };
    (result, Some(reason))
}
