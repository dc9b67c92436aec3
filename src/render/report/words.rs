//! What a process is called in the words of those who work with it: `npm run dev of shop-frontend
//! (node, pid 9937)`, `http.server (python3, pid 4242)`, `nginx (pid 812)`.

use crate::classify::command_line::program;
use crate::diagnose::{Holder, published};
use crate::model::{Pid, Process, Task, find_process};

/// The name of a holder, with how likely it is.
pub fn holder(holder: &Holder, processes: &[Process]) -> String {
    let probably = if matches!(holder, Holder::Likely(_)) { "probably " } else { "" };
    format!("{probably}{}", bare_holder(holder, processes))
}

/// The name alone.
pub fn bare_holder(holder: &Holder, processes: &[Process]) -> String {
    holder.name_by(processes, |pid| name(pid, processes))
}

/// The name of the process `pid`, or only its id if the process has ended since.
fn name(pid: Pid, processes: &[Process]) -> String {
    let Some(process) = find_process(processes, pid) else { return format!("pid {pid}") };
    let own = &process.name;
    let container = process.engine_container.as_deref();
    let container = container.map(|container| format!(" in {}", published::name(container))).unwrap_or_default();
    let Some(runs) = runs(process) else { return format!("{own} (pid {pid}){container}") };
    let project = process.project.as_ref().map(|project| format!(" of {}", project.name)).unwrap_or_default();
    // `gunicorn app:app` needs no second name.
    let other = if runs.split(' ').next() == Some(own) { String::new() } else { format!("{own}, ") };
    format!("{runs}{project} ({other}pid {pid}){container}")
}

/// The task that a process belongs to, or what its interpreter runs.
fn runs(process: &Process) -> Option<String> {
    let task = process.task.as_ref().map(Task::title);
    task.or_else(|| program::of(&process.command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Project, ProjectKind, Runner};
    use crate::testing::process;

    #[test]
    fn tasks_come_before_scripts_and_scripts_before_names() {
        let project = Project {
            directory: "/srv/shop".into(),
            name: "shop-frontend".to_owned(),
            kind: ProjectKind::Npm,
            git_branch: None,
        };
        let task = Task { runner: Runner::Npm, name: Some("dev".to_owned()), pid: 7, file: None };
        let named = |name: &str, command: &str, project: Option<&Project>, task: Option<&Task>| {
            let command = command.split(' ').map(str::to_owned).collect();
            let process = Process { command, project: project.cloned(), task: task.cloned(), ..process(42, 7, name) };
            super::name(42, &[process])
        };
        let (shop, dev) = (Some(&project), Some(&task));
        assert_eq!(named("node", "node server.js", shop, dev), "npm run dev of shop-frontend (node, pid 42)");
        assert_eq!(named("node", "node server.js", shop, None), "server.js of shop-frontend (node, pid 42)");
        assert_eq!(named("python3", "python3 -m http.server 80", None, None), "http.server (python3, pid 42)");
        assert_eq!(named("gunicorn", "python3 /bin/gunicorn app:app", None, None), "gunicorn app:app (pid 42)");
        assert_eq!(named("server.sh", "sh server.sh", None, None), "server.sh (pid 42)");
        assert_eq!(named("nginx", "nginx -g x", shop, None), "nginx (pid 42)");
        assert_eq!(name(43, &[]), "pid 43");
    }
}
