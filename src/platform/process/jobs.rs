//! The command by which a supervisor stops a process that it started. The supervisor's own tool or
//! records tell how it calls that process.
//!
//! A process can give itself any name and arguments. So this is done only if the supervisor runs as
//! this user, and only this user and root can write its configuration. Then it says nothing that
//! this user could not say.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::{Pid, Process};
use crate::platform::foreign;
use crate::platform::tool;

/// How long a tool or a directory may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The command by which `daemon`, a supervisor of this kind, stops one of the processes that it
/// started.
pub fn stop_command(kind: &str, daemon: &Process, started: &[Pid]) -> Option<Vec<String>> {
    let own = rustix::process::geteuid().as_raw();
    if daemon.uid != Some(own) {
        return None;
    }
    match kind {
        "supervisord" => by_supervisorctl(daemon, started, own),
        "pm2" => by_pm2(daemon, started),
        _ => None,
    }
}

/// `supervisorctl -c FILE stop web`. The configuration may load code, so it matters who can write
/// it.
fn by_supervisorctl(daemon: &Process, started: &[Pid], own: u32) -> Option<Vec<String>> {
    let mut tool = vec!["supervisorctl".to_owned()];
    if let Some(file) = configuration(&daemon.command) {
        let path = daemon.cwd.as_deref().unwrap_or(Path::new("/")).join(file);
        let metadata = fs::metadata(&path).ok()?;
        let is_ours = [0, own].contains(&metadata.uid()) && metadata.mode() & 0o022 == 0;
        tool.extend(["-c".to_owned(), path.to_str().filter(|_| is_ours)?.to_owned()]);
    }
    let ask = |words: &[&str]| {
        let words = words.iter().copied().map(str::to_owned);
        tool::read(&tool.iter().cloned().chain(words).collect::<Vec<_>>(), PATIENCE)
    };
    let status = ask(&["status"])?;
    let name = name_in_status(&status, started).or_else(|| name_by_order(&status, &ask(&["pid", "all"])?, started))?;
    Some(tool.into_iter().chain(["stop".to_owned(), name.to_owned()]).collect())
}

/// The file behind `-c` or `--configuration` of supervisord.
fn configuration(command: &[String]) -> Option<&str> {
    let mut words = command.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word.strip_prefix("--configuration").or_else(|| word.strip_prefix("-c")) {
            Some("") => return words.next(),
            Some(joined) => return Some(joined.strip_prefix('=').unwrap_or(joined)),
            None => {}
        }
    }
    None
}

/// The name in a line such as `web:web_00  RUNNING   pid 26423, uptime 0:00:02`.
fn name_in_status<'a>(status: &'a str, started: &[Pid]) -> Option<&'a str> {
    let of_line = |line: &'a str| {
        let (name, rest) = line.split_once(' ')?;
        let (pid, _) = rest.split_once(" pid ")?.1.split_once(',')?;
        (started.contains(&pid.parse().ok()?) && is_plain(name)).then_some(name)
    };
    status.lines().find_map(of_line)
}

/// The name in the line of `status` whose place in `pids` belongs to one of `started`. Both list
/// the same programs in the same order. In its first moments a program has no id in `status`.
fn name_by_order<'a>(status: &'a str, pids: &str, started: &[Pid]) -> Option<&'a str> {
    let is_it = |pid: &str| pid.trim().parse().is_ok_and(|pid| started.contains(&pid));
    let at = pids.lines().position(is_it).filter(|_| pids.lines().count() == status.lines().count())?;
    status.lines().nth(at)?.split(' ').next().filter(|name| is_plain(name))
}

/// `pm2 stop web`. pm2 notes the id of each process in a file `NAME-NUMBER.pid`.
fn by_pm2(daemon: &Process, started: &[Pid]) -> Option<Vec<String>> {
    // `PM2 v6.0.13: God Daemon (/home/ada/.pm2)`
    let home = daemon.command.first()?.split_once("God Daemon (")?.1.trim_end().strip_suffix(')')?.to_owned();
    let directory = Path::new(&home).join("pids");
    let started = started.to_vec();
    let name = foreign::within(PATIENCE, move || name_of_pid_file(&directory, &started))??;
    let stop = ["pm2", "stop", &name].map(str::to_owned);
    let is_usual = usual_home_of_pm2().is_some_and(|usual| usual == Path::new(&home));
    let setting = ["env".to_owned(), format!("PM2_HOME={home}")];
    Some(setting.into_iter().filter(|_| !is_usual).chain(stop).collect())
}

fn name_of_pid_file(directory: &Path, started: &[Pid]) -> Option<String> {
    let name_in = |entry: fs::DirEntry| {
        let text = String::from_utf8(foreign::read(&entry.path()).ok()?).ok()?;
        let file = entry.file_name().into_string().ok()?;
        let (name, _) = file.strip_suffix(".pid")?.rsplit_once('-')?;
        (started.contains(&text.trim().parse().ok()?) && is_plain(name)).then(|| name.to_owned())
    };
    fs::read_dir(directory).ok()?.flatten().find_map(name_in)
}

fn usual_home_of_pm2() -> Option<PathBuf> {
    let own = std::env::var_os("PM2_HOME").map(PathBuf::from);
    own.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".pm2")))
}

/// Whether a name can be an argument and nothing else.
fn is_plain(name: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '@' | '/');
    !name.starts_with('-') && !name.is_empty() && name.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_of_supervisord() {
        for (line, file) in [
            ("supervisord -n -c /etc/s.conf", Some("/etc/s.conf")),
            ("python3 supervisord --configuration=s.conf", Some("s.conf")),
            ("supervisord -cs.conf", Some("s.conf")),
            ("supervisord -n", None),
            ("supervisord -c", None),
        ] {
            let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(configuration(&words), file, "{line}");
        }
    }

    #[test]
    fn names_in_what_supervisorctl_prints() {
        let status = "api                              STOPPED   Nov 25 02:10 AM\n\
                      multi:multi_00                   RUNNING   pid 26423, uptime 0:00:02\n\
                      web                              RUNNING   pid 26424, uptime 1 day, 0:00:02\n\
                      --help                           RUNNING   pid 26425, uptime 0:00:02\n";
        assert_eq!(name_in_status(status, &[7, 26424]), Some("web"));
        assert_eq!(name_in_status(status, &[26423]), Some("multi:multi_00"));
        assert_eq!(name_in_status(status, &[26425]), None);
        assert_eq!(name_in_status(status, &[7]), None);
        assert_eq!(name_by_order(status, "0\n26423\n26424\n0\n", &[26424]), Some("web"));
        assert_eq!(name_by_order(status, "0\n26423\n26424\n", &[26424]), None);
        assert_eq!(name_by_order(status, "error: no such\n", &[26424]), None);
        assert_eq!(name_in_status("unix:///run/supervisor.sock no such file\n", &[7]), None);
    }

    #[test]
    fn names_in_the_records_of_pm2() {
        let directory = tempfile::tempdir().unwrap();
        for (file, text) in [("web-api-0.pid", "26740"), ("cl-1.pid", "26955\n"), ("$(x)-2.pid", "1"), ("x.pid", "2")] {
            fs::write(directory.path().join(file), text).unwrap();
        }
        let name = |pid: Pid| name_of_pid_file(directory.path(), &[3, pid]);
        assert_eq!((name(26740).as_deref(), name(26955).as_deref()), (Some("web-api"), Some("cl")));
        assert_eq!((name(1), name(2), name(9)), (None, None, None));
    }
}
