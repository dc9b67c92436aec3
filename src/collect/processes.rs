//! Details of the owners, and only of them, by sysinfo. Never the environment.

use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, Uid, UpdateKind};

use super::Detail;
use crate::error::Error;
use crate::local::IS_WINDOWS;
use crate::model::{Ancestor, Pid, Process};

/// More generations than any real process has; a bound in case ids are reused while we read.
const MOST_ANCESTORS: usize = 64;

/// Reads `pids`, which may contain duplicates. Processes that have ended are left out.
///
/// `user_name` turns a user id into a name. Unit and container, what became of the program file and
/// of the parent, and whether the process is frozen, are left to the platform.
///
/// # Errors
///
/// If sysinfo does not work on this platform.
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
    let kind = match detail {
        Detail::Nothing | Detail::Brief => brief.with_user(UpdateKind::OnlyIfNotSet).with_cmd(UpdateKind::OnlyIfNotSet),
        Detail::Full => brief
            .with_user(UpdateKind::OnlyIfNotSet)
            .with_exe(UpdateKind::OnlyIfNotSet)
            .with_cmd(UpdateKind::OnlyIfNotSet)
            .with_cwd(UpdateKind::OnlyIfNotSet),
    };
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&wanted), false, kind);
    if detail == Detail::Full {
        refresh_ancestors(&mut system, &wanted, brief);
    }

    let found = wanted.iter().filter_map(|&pid| {
        let process = system.process(pid)?;
        let uid = process.effective_user_id().or_else(|| process.user_id());
        Some(Process {
            pid: pid.as_u32(),
            ppid: process.parent().map(sysinfo::Pid::as_u32),
            name: process.name().to_string_lossy().into_owned(),
            // Windows gives an empty one where it does not tell.
            exe: process.exe().filter(|path| !path.as_os_str().is_empty()).map(ToOwned::to_owned),
            is_exe_deleted: false,
            command: process.cmd().iter().map(|argument| argument.to_string_lossy().into_owned()).collect(),
            cwd: process.cwd().filter(|path| !path.as_os_str().is_empty()).map(ToOwned::to_owned),
            user: uid.and_then(&mut user_name),
            // Windows has identifiers that are no numbers.
            uid: uid.and_then(|uid| uid.to_string().parse().ok()),
            started_at: (process.start_time() != 0).then(|| process.start_time()),
            is_stopped: matches!(process.status(), ProcessStatus::Stop | ProcessStatus::Tracing),
            frozen_cgroup: None,
            legacy: None,
            ancestors: if detail == Detail::Full { ancestors(&system, pid) } else { Vec::new() },
            unit: None,
            container: None,
        })
    });
    Ok(found.collect())
}

/// Reads the parents of `pids`, then theirs, a generation at a time.
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

fn ancestors(system: &System, pid: sysinfo::Pid) -> Vec<Ancestor> {
    let parent_of = |pid: sysinfo::Pid| {
        let child = system.process(pid)?;
        // Windows keeps the id of a parent that has ended, which may be another process's by now.
        let is_parent = |parent: &&sysinfo::Process| !IS_WINDOWS || parent.start_time() <= child.start_time();
        system.process(child.parent()?).filter(is_parent)
    };
    std::iter::successors(parent_of(pid), |process| parent_of(process.pid()))
        .take(MOST_ANCESTORS)
        .map(|process| Ancestor { pid: process.pid().as_u32(), name: process.name().to_string_lossy().into_owned() })
        .collect()
}

// Of a Unix: ids of users are numbers there, and there are `true` and a parent that lives on.
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
        let age = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
            - process.started_at.unwrap();
        assert!(age < 3600, "{age}");
    }

    #[test]
    fn a_process_that_has_ended_is_left_out() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(details([child.id()], Detail::Brief, |_| None).unwrap(), []);
    }
}
