//! Details of the owners, and of no other process, by sysinfo. The environment is never read.

use std::time::{Duration, SystemTime};

use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, Uid, UpdateKind};

use super::{Detail, native};
use crate::classify::command_line::task;
use crate::error::Error;
use crate::model::{Ancestor, Forwarder, Pid, Process, Task, name_or_stand_in};
use crate::platform::machine::IS_WINDOWS;

/// More generations than any process has. A bound is needed if ids are reused while we read.
const MOST_ANCESTORS: usize = 64;

/// Reads `pids`, which may contain duplicates. Processes that have ended are left out.
///
/// `user_name` turns a user id into a name. The platform adds unit and container, whether the
/// program file was deleted, what was inherited from a parent that ended, and whether the process
/// is frozen.
pub fn details(
    pids: impl IntoIterator<Item = Pid>,
    detail: Detail,
    mut user_name: impl FnMut(&Uid) -> Option<String>,
) -> Result<Vec<Process>, Error> {
    let mut wanted: Vec<sysinfo::Pid> = pids.into_iter().map(sysinfo::Pid::from_u32).collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() || detail == Detail::Nothing {
        return Ok(Vec::new());
    }
    let mut system = System::new()
        .map_err(|error| Error::Call { call: "sysinfo's start", source: std::io::Error::other(error.to_string()) })?;
    // Name, parent and start time come with every refresh.
    let brief = ProcessRefreshKind::nothing().without_tasks();
    let told =
        brief.with_user(UpdateKind::OnlyIfNotSet).with_exe(UpdateKind::OnlyIfNotSet).with_cmd(UpdateKind::OnlyIfNotSet);
    let kind = match detail {
        Detail::Nothing | Detail::Brief => told,
        Detail::Full => told.with_cwd(UpdateKind::OnlyIfNotSet),
    };
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&wanted), false, kind);
    if detail == Detail::Full {
        // The command lines of ancestors tell the task.
        refresh_ancestors(&mut system, &wanted, brief.with_cmd(UpdateKind::OnlyIfNotSet));
    }
    refresh_nameless(&mut system, brief);

    let found = wanted.iter().filter_map(|&pid| {
        let own = system.process(pid)?;
        let mut found = describe(own, &mut user_name);
        if detail == Detail::Full {
            found.ancestors = ancestors(&system, pid)
                .map(|process| Ancestor { pid: process.pid().as_u32(), name: name_of(process) })
                .collect();
            found.task = task_of(std::iter::once(own).chain(ancestors(&system, pid)));
        }
        Some(Process { forwarder: Forwarder::of(&found), ..found })
    });
    Ok(found.collect())
}

/// Whether a process runs as the user with this id.
pub fn any_runs_as(uid: u32) -> bool {
    let Ok(mut system) = System::new() else { return false };
    let kind = ProcessRefreshKind::nothing().without_tasks().with_user(UpdateKind::OnlyIfNotSet);
    system.refresh_processes_specifics(ProcessesToUpdate::All, false, kind);
    system.processes().values().any(|process| user_of(process).and_then(number_of) == Some(uid))
}

fn user_of(process: &sysinfo::Process) -> Option<&Uid> {
    process.effective_user_id().or_else(|| process.user_id())
}

/// On Windows identifiers are not numbers.
fn number_of(uid: &Uid) -> Option<u32> {
    uid.to_string().parse().ok()
}

/// What sysinfo says of one process.
fn describe(process: &sysinfo::Process, user_name: &mut impl FnMut(&Uid) -> Option<String>) -> Process {
    let pid = process.pid().as_u32();
    let uid = user_of(process);
    Process {
        pid,
        ppid: process.parent().map(sysinfo::Pid::as_u32),
        name: name_of(process),
        // Windows returns an empty one if it does not know.
        exe: process.exe().filter(|path| !path.as_os_str().is_empty()).map(ToOwned::to_owned),
        is_exe_deleted: false,
        command: command_of(process),
        cwd: process.cwd().filter(|path| !path.as_os_str().is_empty()).map(ToOwned::to_owned),
        user: uid.and_then(user_name),
        uid: uid.and_then(number_of),
        started_at: native::started_at(pid).or_else(|| start_by_seconds(process)),
        is_stopped: matches!(process.status(), ProcessStatus::Stop | ProcessStatus::Tracing),
        frozen_cgroup: None,
        legacy: None,
        ancestors: Vec::new(),
        unit: None,
        container: None,
        engine_container: None,
        forwarder: None,
        project: None,
        virtual_hosts: Vec::new(),
        task: None,
        also_holds: Vec::new(),
        clients: None,
    }
}

/// Reads the parents of `pids`, then their parents, one generation at a time.
fn refresh_ancestors(system: &mut System, pids: &[sysinfo::Pid], kind: ProcessRefreshKind) {
    let mut generation = pids.to_vec();
    for _ in 0..MOST_ANCESTORS {
        let mut parents: Vec<sysinfo::Pid> = generation
            .iter()
            .filter_map(|&pid| system.process(pid)?.parent())
            .filter(|&parent| system.process(parent).is_none())
            .collect();
        parents.sort_unstable();
        parents.dedup();
        if parents.is_empty() {
            return;
        }
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&parents), false, kind);
        generation = parents;
    }
}

/// Reads what replaces the name of a process that has blanked it.
fn refresh_nameless(system: &mut System, kind: ProcessRefreshKind) {
    let is_nameless = |process: &&sysinfo::Process| process.name().to_string_lossy().trim().is_empty();
    let nameless: Vec<sysinfo::Pid> =
        system.processes().values().filter(is_nameless).map(sysinfo::Process::pid).collect();
    if !nameless.is_empty() {
        let kind = kind.with_exe(UpdateKind::OnlyIfNotSet).with_cmd(UpdateKind::OnlyIfNotSet);
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&nameless), false, kind);
    }
}

fn name_of(process: &sysinfo::Process) -> String {
    name_or_stand_in(&process.name().to_string_lossy(), process.exe(), &command_of(process))
}

fn command_of(process: &sysinfo::Process) -> Vec<String> {
    process.cmd().iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
}

/// The start in whole seconds: sysinfo reports no more.
fn start_by_seconds(process: &sysinfo::Process) -> Option<SystemTime> {
    let seconds = Some(process.start_time()).filter(|&seconds| seconds != 0)?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// The nearest task among a process and its ancestors, as far up as a shell that somebody types into.
fn task_of<'a>(line: impl Iterator<Item = &'a sysinfo::Process>) -> Option<Task> {
    for process in line {
        let command = command_of(process);
        if let Some((runner, name)) = task::of(&command) {
            return Some(Task { runner, name, pid: process.pid().as_u32(), file: None });
        }
        if task::is_interactive_shell(&command) {
            return None;
        }
    }
    None
}

/// The parent of a process, the parent of that one, and so on.
fn ancestors(system: &System, pid: sysinfo::Pid) -> impl Iterator<Item = &sysinfo::Process> {
    let parent_of = move |pid: sysinfo::Pid| {
        let child = system.process(pid)?;
        // Windows keeps the id of a parent that has ended. It may belong to another process by now.
        let is_parent = |parent: &&sysinfo::Process| !IS_WINDOWS || parent.start_time() <= child.start_time();
        system.process(child.parent()?).filter(is_parent)
    };
    std::iter::successors(parent_of(pid), move |process| parent_of(process.pid())).take(MOST_ANCESTORS)
}

// Unix only: user ids are numbers there, `true` exists, and a parent lives on.
#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn this_test_knows_itself_and_its_ancestors() {
        let own = std::process::id();
        let found = details([own, own], Detail::Full, |uid| Some(format!("user{}", **uid))).unwrap();
        let [process] = &found[..] else { panic!("{found:?}") };
        assert_eq!(process.pid, own);
        assert_eq!(process.cwd, std::env::current_dir().ok());
        assert_eq!(process.command.first(), std::env::args().next().as_ref());
        assert_eq!(process.ancestors.first().map(|ancestor| ancestor.pid), process.ppid);
        assert_eq!(process.user, process.uid.map(|uid| format!("user{uid}")));
        let age = SystemTime::now().duration_since(process.started_at.unwrap()).unwrap();
        assert!(age < Duration::from_hours(1), "{age:?}");
    }

    #[test]
    fn a_process_that_has_ended_is_left_out() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(details([child.id()], Detail::Brief, |_| None).unwrap(), []);
    }
}
