//! `portcheck kill` with real supervisors, which `scripts/test-tools` installs. A holder that would
//! be started again is not ended before portcheck says so, with the command that stops it for good.
//! Exit code 0 is never given for a port that is held again.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::server::until;
use crate::common::terminal::Terminal;
use crate::common::{Background, Run, in_namespace, json_of, portcheck, run, skip, until_it_listens};
use serde_json::{Value, json as value};

/// A directory with programs that were installed for the tests. If this one was not, says so and
/// returns `None`.
fn installed(environment: &str, program: &str) -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-tools").join(environment).join("bin");
    if !directory.join(program).is_file() {
        skip(&format!("no {program}: scripts/test-tools installs it"));
        return None;
    }
    Some(directory)
}

/// `PATH` with `directory` first.
fn path_with(directory: &Path) -> String {
    format!("{}:{}", directory.display(), std::env::var("PATH").unwrap())
}

/// A supervisor's surroundings: its tools on the PATH, and a directory for all its files.
struct Stage {
    tools: PathBuf,
    directory: tempfile::TempDir,
}

impl Stage {
    fn set(environment: &str, program: &str) -> Option<Self> {
        Some(Self { tools: installed(environment, program)?, directory: tempfile::tempdir().unwrap() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A command in the directory, with the tools on its PATH.
    fn at(&self, mut command: Command) -> Command {
        command
            .current_dir(self.directory.path())
            .env("PATH", path_with(&self.tools))
            .env("PM2_HOME", self.path("pm2"));
        command
    }

    fn kill(&self, options: &[&str]) -> Value {
        json_of(self.at(portcheck(&[&["kill", "8080/tcp", "--yes", "--json"], options].concat())))
    }
}

const SERVER: &str = "import signal, socket\ns = socket.create_server(('127.0.0.1', 8080))\nsignal.pause()\n";
const NODE_SERVER: &str = "require('http').createServer((_, answer) => answer.end()).listen(8080, '127.0.0.1')\n";

fn holder() -> Value {
    until_it_listens(8080);
    json_of(portcheck(&["8080/tcp", "--json"]))["processes"][0]["pid"].clone()
}

/// It was refused, and the answer says who would start it again and what stops it for good.
#[track_caller]
fn is_refused(answer: &Value, kind: &str, says: &str, stop: &str) {
    let outcome = (&answer["kill"]["outcome"], &answer["exit_code"], &answer["kill"]["steps"]);
    assert_eq!(outcome, (&value!("refused"), &value!(1), &value!([])), "{answer:#}");
    let refused = &answer["kill"]["refused"][0];
    assert!(refused["reason"].as_str().unwrap().ends_with(says), "{refused:#}");
    assert_eq!((&refused["supervisor"]["kind"], &refused["remedies"][0]["command"]), (&value!(kind), &value!(stop)));
}

#[track_caller]
fn is(answer: &Value, outcome: &str, code: u8) {
    assert_eq!((&answer["kill"]["outcome"], &answer["exit_code"]), (&value!(outcome), &value!(code)), "{answer:#}");
}

#[test]
fn supervisord_is_told_to_stop_its_program_by_name() {
    in_namespace(|| {
        let Some(stage) = Stage::set("venv", "supervisord") else { return };
        let server = stage.write("server.py", SERVER);
        let socket = stage.path("socket");
        let text = format!(
            "[supervisord]\nnodaemon=true\npidfile={0}/pid\nlogfile={0}/log\nchildlogdir={0}\n\
             [unix_http_server]\nfile={1}\n[supervisorctl]\nserverurl=unix://{1}\n\
             [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n\
             [program:web]\ncommand=python3 {2}\nstartsecs=1\n[program:other]\ncommand=sleep 600\n",
            stage.directory.path().display(),
            socket.display(),
            server.display(),
        );
        let configuration = stage.write("supervisord.conf", &text);
        let mut command = stage.at(Command::new(stage.tools.join("supervisord")));
        let supervisord = Background::spawn(command.args(["-c", "supervisord.conf"]));
        let old = holder();

        let stop = format!("supervisorctl -c {} stop web", configuration.display());
        let says = format!("was started by supervisord (pid {}), which starts it again", supervisord.pid());
        is_refused(&stage.kill(&[]), "supervisord", &says, &stop);
        is_refused(&stage.kill(&["--force", "--settle", "2s"]), "supervisord", &says, &stop);
        assert_eq!(holder(), old);
        // Before it asks, portcheck says so.
        let line = format!("PATH={}", path_with(&stage.tools));
        let Some(mut terminal) = Terminal::start_after(&line, "kill 8080/tcp") else { return };
        terminal.expect("[y/N] ");
        assert!(terminal.said.contains(&format!("supervisord (pid {}) starts it again", supervisord.pid())));
        assert!(terminal.said.contains("stop web") && terminal.said.contains("--supervisor"), "{}", terminal.said);
        terminal.type_line("n");
        assert_eq!(terminal.end(), 1);

        let answer = stage.kill(&["--settle", "5s"]);
        is(&answer, "taken-again", 1);
        assert_eq!(answer["kill"]["taken_by"][0]["remedies"][0]["command"], stop);
        assert_ne!(holder(), old);

        let answer = stage.kill(&["--supervisor"]);
        is(&answer, "freed", 0);
        let status =
            stage.at(Command::new("supervisorctl")).args(["-c", "supervisord.conf", "status"]).output().unwrap();
        let status = String::from_utf8(status.stdout).unwrap();
        assert!(status.contains("web                              STOPPED"), "{status}");
        assert!(status.contains("other                            RUNNING"), "{status}");
    });
}

/// Ends the daemon of pm2 with the test.
struct Pm2<'a>(&'a Stage);

impl Pm2<'_> {
    fn run(&self, arguments: &[&str]) {
        let output = self.0.at(Command::new("pm2")).args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Pm2<'_> {
    fn drop(&mut self) {
        self.run(&["kill"]);
    }
}

#[test]
fn pm2_is_told_to_stop_its_program_by_name() {
    in_namespace(|| {
        let Some(stage) = Stage::set("npm", "pm2") else { return };
        stage.write("server.js", NODE_SERVER);
        let pm2 = Pm2(&stage);
        pm2.run(&["start", "server.js", "--name", "web-api"]);
        let old = holder();
        let daemon = std::fs::read_to_string(stage.path("pm2/pm2.pid")).unwrap();
        let says = format!("was started by pm2 (pid {}), which starts it again", daemon.trim());
        is_refused(&stage.kill(&[]), "pm2", &says, "pm2 stop web-api");
        assert_eq!(holder(), old);
        // Not every environment says where its files are.
        let elsewhere = format!("env PM2_HOME={} pm2 stop web-api", stage.path("pm2").display());
        let mut kill = stage.at(portcheck(&["kill", "8080/tcp", "--yes", "--json"]));
        is_refused(
            &json_of(std::mem::replace(kill.env_remove("PM2_HOME"), Command::new("true"))),
            "pm2",
            &says,
            &elsewhere,
        );

        is(&stage.kill(&["--settle", "5s"]), "taken-again", 1);
        is(&stage.kill(&["--supervisor"]), "freed", 0);

        // For a cluster, its daemon holds the port, and everything else would end with it.
        pm2.run(&["delete", "web-api"]);
        pm2.run(&["start", "server.js", "--name", "cluster", "-i", "2"]);
        assert_eq!(holder(), value!(daemon.trim().parse::<u32>().unwrap()));
        let answer = stage.kill(&["--force", "--settle", "5s"]);
        is(&answer, "refused", 1);
        assert!(
            answer["kill"]["refused"][0]["reason"].as_str().unwrap().contains("everything that it runs"),
            "{answer:#}"
        );
    });
}

#[test]
fn nodemon_starts_it_again_when_a_file_changes() {
    in_namespace(|| {
        let Some(stage) = Stage::set("npm", "nodemon") else { return };
        let file = stage.write("server.js", NODE_SERVER);
        let nodemon = Background::spawn(stage.at(Command::new("nodemon")).args(["--legacy-watch", "server.js"]));
        let old = holder();
        let says = format!("was started by nodemon (pid {}), which starts it again when a file changes", nodemon.pid());
        is_refused(&stage.kill(&[]), "nodemon", &says, &format!("kill {}", nodemon.pid()));
        assert_eq!(holder(), old);
        let words = Run::from(stage.at(portcheck(&["kill", "8080/tcp", "--yes", "--settle", "5s"])).output().unwrap());
        assert_eq!(words.code, 0, "{words:?}");
        let still = format!("nodemon (pid {}) still runs: it starts it again when a file changes\n", nodemon.pid());
        assert!(words.stdout.contains(&still), "{words:?}");
        std::fs::write(file, format!("{NODE_SERVER}// changed\n")).unwrap();
        assert_ne!(holder(), old);
    });
}

/// Its master starts workers again, and is ended first.
#[test]
fn gunicorn_is_ended_with_its_master() {
    in_namespace(|| {
        let Some(stage) = Stage::set("venv", "gunicorn") else { return };
        stage.write("app.py", "def app(environ, start):\n    start('200 OK', [])\n    return [b'']\n");
        let arguments = ["--bind=127.0.0.1:8080", "--workers=2", "app:app"];
        let gunicorn = Background::spawn(stage.at(Command::new(stage.tools.join("gunicorn"))).args(arguments));
        until("it has its workers", || crate::common::server::holders(8080).len() == 3);
        let answer = stage.kill(&[]);
        is(&answer, "freed", 0);
        assert_eq!(answer["kill"]["steps"][0]["pid"], gunicorn.pid());
        assert_eq!(run(&["8080/tcp"]).code, 0);
    });
}
