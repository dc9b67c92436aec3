//! Programs that start others again when they end, or when files change.

use crate::diagnose::{Remedy, RemedyKind};
use crate::model::{Pid, Process};
use crate::platform::process::is_shell;

/// A program that starts others again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restarter {
    /// Its kind, as in the JSON: `supervisord`.
    pub kind: &'static str,
    /// Its id.
    pub pid: Pid,
    /// Its name: `supervisord`, `a loop in sh`.
    pub name: String,
    /// Whether it starts them again when a file changes.
    pub waits_for_files: bool,
    /// The program and arguments that stop what it has started, if its tool can be told which.
    pub stop: Option<Vec<String>>,
    /// The same with a word in capitals for what is not known. `None` if the program itself is to
    /// be ended.
    pattern: Option<&'static [&'static str]>,
}

/// Kind, programs, and the words of the tool that stops one of its services. A program is a name,
/// or the end of a script's path. A star stands for the rest of a name.
type Supervisor = (&'static str, &'static [&'static str], Option<&'static [&'static str]>);

/// Programs that keep services running.
const SUPERVISORS: &[Supervisor] = &[
    ("supervisord", &["supervisord"], Some(&["supervisorctl", "stop", "NAME"])),
    ("pm2", &["PM2 v*"], Some(&["pm2", "stop", "NAME"])),
    ("pm2", &["pm2-runtime", "pm2-docker"], None),
    ("runit", &["runsv"], Some(&["sv", "stop", "NAME"])),
    ("s6", &["s6-supervise"], Some(&["s6-svc", "-d", "DIRECTORY"])),
    ("daemontools", &["supervise"], Some(&["svc", "-d", "DIRECTORY"])),
    ("openrc", &["supervise-daemon"], Some(&["rc-service", "NAME", "stop"])),
    ("circus", &["circusd"], Some(&["circusctl", "stop", "NAME"])),
    ("autossh", &["autossh"], None),
    ("forever", &["forever/bin/monitor"], Some(&["forever", "stop", "ID"])),
];

/// Kind, programs, and the argument without which they do something else.
type Watcher = (&'static str, &'static [&'static str], Option<&'static str>);

/// Programs that restart a server for developers.
const WATCHERS: &[Watcher] = &[
    ("nodemon", &["nodemon", "nodemon.js"], None),
    ("node-watch", &["node"], Some("--watch")),
    ("tsx", &["tsx", "tsx/dist/cli.mjs"], Some("watch")),
    ("ts-node-dev", &["ts-node-dev", "tsnd", "ts-node-dev/lib/bin.js"], None),
    ("watchexec", &["watchexec"], None),
    ("entr", &["entr"], None),
    ("air", &["air"], None),
    ("cargo-watch", &["cargo-watch"], None),
    ("reflex", &["reflex"], None),
    ("watchmedo", &["watchmedo"], Some("auto-restart")),
    ("dotnet-watch", &["dotnet", "dotnet-watch"], Some("watch")),
];

/// A shell that runs a loop.
const SHELL_LOOP: &str = "shell-loop";

impl Restarter {
    /// What `process` is, if it is known to start others again.
    pub fn of(process: &Process) -> Option<Self> {
        Self::supervisor(process).or_else(|| Self::watcher(process)).or_else(|| Self::shell_loop(process))
    }

    /// The same for one that runs services, which all end with it.
    pub fn supervisor(process: &Process) -> Option<Self> {
        let is_it = |(_, programs, _): &&Supervisor| programs.iter().any(|program| runs(process, program));
        let &(kind, _, pattern) = SUPERVISORS.iter().find(is_it)?;
        Some(Self { pattern, ..Self::new(process, kind, kind.to_owned()) })
    }

    fn watcher(process: &Process) -> Option<Self> {
        let is_it = |(_, programs, argument): &&Watcher| {
            programs.iter().any(|program| runs(process, program))
                && argument.is_none_or(|argument| process.command.iter().any(|word| word == argument))
        };
        let &(kind, ..) = WATCHERS.iter().find(is_it)?;
        Some(Self { waits_for_files: true, ..Self::new(process, kind, kind.to_owned()) })
    }

    /// A shell that was given a loop, as in `sh -c 'while true; do serve; done'`. Only a loop on
    /// its command line counts: a script file may have changed since the start.
    fn shell_loop(process: &Process) -> Option<Self> {
        is_loop(&process.command).then(|| Self::new(process, SHELL_LOOP, format!("a loop in {}", process.name)))
    }

    fn new(process: &Process, kind: &'static str, name: String) -> Self {
        Self { kind, pid: process.pid, name, waits_for_files: false, stop: None, pattern: None }
    }

    /// The same, with the command that stops what it has started.
    pub fn with_stop(self, stop: Option<Vec<String>>) -> Self {
        Self { stop, ..self }
    }

    /// How to stop for good what it has started.
    pub fn remedy(&self) -> Remedy {
        let what = if self.kind == SHELL_LOOP { "the loop" } else { &self.name };
        match (&self.stop, self.pattern) {
            (Some(stop), _) => Remedy::run(RemedyKind::StopProgram, "stop it for good", stop),
            (None, Some(pattern)) => {
                Remedy::run(RemedyKind::StopProgram, "stop it for good, by its name", pattern.iter().copied())
            }
            (None, None) => {
                let command = ["kill", &self.pid.to_string()];
                Remedy::run(RemedyKind::StopProgram, &format!("end {what} first"), command)
            }
        }
    }
}

/// Whether a process is a program of this name, or an interpreter that runs a script with this end
/// of its path.
fn runs(process: &Process, program: &str) -> bool {
    let title = process.command.first().map_or("", String::as_str);
    if let Some(start) = program.strip_suffix('*') {
        return process.name.starts_with(start) || title.starts_with(start);
    }
    let is_at = |path: &str| path.strip_suffix(program).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    let script = process.command.get(1).filter(|_| is_interpreter(title));
    process.name == program || is_at(title) || script.is_some_and(|script| is_at(script))
}

fn is_interpreter(title: &str) -> bool {
    let name = title.rsplit('/').next().unwrap_or_default();
    ["node", "python", "ruby", "bun"].iter().any(|interpreter| name.starts_with(interpreter))
}

fn is_loop(arguments: &[String]) -> bool {
    let [program, options, script, ..] = arguments else { return false };
    let name = program.rsplit('/').next().unwrap_or_default();
    // `busybox sh -c …` has one word more.
    let (options, script) = match (name, arguments.get(3)) {
        ("busybox", Some(fourth)) => (script, fourth),
        _ => (options, script),
    };
    let takes_a_script = options.starts_with('-') && !options.starts_with("--") && options.contains('c');
    let mut words = script.split(|c: char| c.is_whitespace() || c == ';');
    is_shell(name) && takes_a_script && words.any(|word| matches!(word, "while" | "until" | "for"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::process;

    fn of(name: &str, command: &[&str]) -> Option<Restarter> {
        let command = command.iter().map(ToString::to_string).collect();
        Restarter::of(&Process { command, ..process(42, 7, name) })
    }

    #[track_caller]
    fn is(kind: &str, name: &str, command: &[&str]) {
        assert_eq!(of(name, command).map(|found| found.kind), Some(kind), "{name} {command:?}");
    }

    #[test]
    fn supervisors_and_watchers_by_their_programs_and_scripts() {
        is("supervisord", "supervisord", &["/usr/bin/python3", "/usr/bin/supervisord", "-n"]);
        is("supervisord", "python3", &["python3", "/srv/venv/bin/supervisord"]);
        is("pm2", "PM2 v6.0.13: Go", &["PM2 v6.0.13: God Daemon (/home/ada/.pm2)"]);
        is("pm2", "node", &["node", "/usr/local/bin/pm2-runtime", "app.js"]);
        is("runit", "runsv", &["runsv", "web"]);
        is("forever", "node", &["/usr/bin/node", "/usr/lib/node_modules/forever/bin/monitor", "app.js"]);
        is("nodemon", "node", &["node", "/usr/lib/node_modules/nodemon/bin/nodemon.js", "app.js"]);
        is("node-watch", "node", &["node", "--watch", "app.js"]);
        is("tsx", "node", &["node", "/srv/node_modules/.bin/tsx", "watch", "app.ts"]);
        is("watchexec", "watchexec", &["watchexec", "-r", "./serve"]);
        for (name, command) in [
            ("node", &["node", "app.js"][..]),
            ("node", &["node", "/srv/bin/monitor"]),
            ("tsx", &["node", "/srv/node_modules/.bin/tsx", "app.ts"]),
            ("vim", &["vim", "/etc/supervisord"]),
            ("repair", &["/usr/bin/repair"]),
            ("x", &[]),
        ] {
            assert_eq!(of(name, command), None, "{command:?}");
        }
    }

    #[test]
    fn loops_of_shells() {
        is("shell-loop", "sh", &["sh", "-c", "while true; do ./serve; done"]);
        is("shell-loop", "bash", &["/bin/bash", "-ec", "cd x;until ./serve; do :; done", ""]);
        is("shell-loop", "busybox", &["busybox", "sh", "-c", "for i in 1 2; do ./serve; done"]);
        for other in [&["sh", "-c", "node meanwhile.js"][..], &["-bash"], &["sh", "while"], &["node", "-c", "while 1"]]
        {
            assert_eq!(of("x", other), None, "{other:?}");
        }
    }

    #[test]
    fn how_it_is_stopped_for_good() {
        let command = |found: Restarter| found.remedy().command.unwrap().join(" ");
        assert_eq!(command(of("entr", &["entr", "-r", "./serve"]).unwrap()), "kill 42");
        let mut supervisord = of("supervisord", &[]).unwrap();
        assert_eq!(command(supervisord.clone()), "supervisorctl stop NAME");
        supervisord.stop = Some(["supervisorctl", "stop", "my web"].map(str::to_owned).to_vec());
        assert_eq!(command(supervisord), "supervisorctl stop my web");
    }
}
