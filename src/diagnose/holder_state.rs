//! The verdicts on the state that a holder is in: `stopped-holder`, `deleted-executable`.

use super::{
    Detail, Explanation, Facts, Holder, IS, Observation, Remedy, RemedyKind, Rule, Severity, Statement, Subject, Verb,
    remedy,
};
use crate::model::Process;

pub static STOPPED: Rule = Rule {
    code: "stopped-holder",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "The process that holds the port is stopped or frozen: it does not run, and does not answer.",
        why: "Ctrl-Z in its shell, SIGSTOP or a debugger stopped it. Or its cgroup was frozen: docker pause, systemctl \
              freeze.",
        detection: "Its state in /proc/PID/stat is T or t, or cgroup.events of its cgroup has `frozen 1`.",
        remedy: "Continue it with `fg` in its shell or with SIGCONT, or thaw its cgroup; or end it.",
    },
    check: |facts| {
        holders(facts)
            .filter(|process| process.is_stopped || process.frozen_cgroup.is_some())
            .map(|process| {
                let (state, remedy) = if process.is_stopped {
                    let command = ["kill", "-CONT", &process.pid.to_string()];
                    ("stopped", Remedy::run(RemedyKind::ResumeProcess, "continue it", command))
                } else {
                    ("frozen", remedy::thaw(process))
                };
                Observation {
                    pids: vec![process.pid],
                    details: vec![("state", Detail::Text(state.to_owned()))],
                    remedies: vec![remedy],
                    ..Observation::of(about(process, IS, format!("{state}, and does not answer")))
                }
            })
            .collect()
    },
};

pub static DELETED: Rule = Rule {
    code: "deleted-executable",
    severity: Severity::Warning,
    explanation: Explanation {
        what: "The program file of the process that holds the port was removed or replaced. An old build is still \
               running.",
        why: "The program was built or upgraded again, and the process was not restarted.",
        detection: "/proc/PID/exe ends in \"(deleted)\".",
        remedy: "Restart it.",
    },
    check: |facts| {
        holders(facts)
            .filter(|process| process.is_exe_deleted)
            .filter_map(|process| Some((process, process.exe.as_ref()?.to_string_lossy().into_owned())))
            .map(|(process, path)| Observation {
                pids: vec![process.pid],
                details: vec![("path", Detail::Text(path.clone()))],
                ..Observation::of(about(
                    process,
                    Verb("runs", "run"),
                    format!("a program file that was replaced or removed: {path}"),
                ))
            })
            .collect()
    },
};

/// The processes that are known to hold the port, each once.
/// A statement about one process.
pub fn about(process: &Process, verb: Verb, object: String) -> Statement {
    Statement::new(Subject::Holder(Holder::Processes(vec![process.pid])), verb, object)
}

fn holders<'a>(facts: &Facts<'a>) -> impl Iterator<Item = &'a Process> {
    let waiting = facts.observed.sockets.iter().filter(|socket| socket.state.is_waiting());
    let known = waiting.filter_map(|socket| socket.owners.seen());
    let mut pids: Vec<u32> = known.flatten().copied().collect();
    pids.sort_unstable();
    pids.dedup();
    let facts = *facts;
    pids.into_iter().filter_map(move |pid| facts.process(pid))
}
