//! `portcheck ansible FILE`: a task of Ansible. The file has the arguments of a module, and each task
//! is a command line: `{"ports": [8080], "kill": true}` is `portcheck kill 8080 --yes --json`.

mod options;
mod read;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use super::{Stop, Wish, parse, resolve};
use crate::commands::ansible::Task;

#[derive(Debug, Args)]
pub struct AnsibleArgs {
    /// A JSON file with the arguments of the module; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// A task, and what it asks for; else why it cannot be understood.
#[derive(Debug)]
pub struct Module {
    /// What it requires.
    pub task: Task,
    /// What it asks for.
    pub wish: Result<Box<Wish>, String>,
}

impl AnsibleArgs {
    /// What the file asks for.
    pub fn resolve(&self) -> Wish {
        let arguments = read::object(&self.file);
        Wish::Module(arguments.map_or_else(refused, |arguments| module(&arguments)))
    }
}

/// The module that Ansible runs. It calls a module that is a program with the path of a file alone,
/// which nobody can mean as a target.
pub fn called_as_module(arguments: &[OsString]) -> Option<Wish> {
    let [file] = arguments else { return None };
    let arguments = Path::new(file).is_absolute().then(|| read::object(Path::new(file)).ok()).flatten()?;
    arguments.contains_key("_ansible_version").then(|| Wish::Module(module(&arguments)))
}

fn module(arguments: &Map<String, Value>) -> Module {
    let (task, words) = match options::command_line(arguments) {
        Ok(understood) => understood,
        Err(reason) => return refused(reason),
    };
    let typed: Vec<OsString> = [OsStr::new("portcheck").to_owned()].into_iter().chain(words).collect();
    let wish = match parse(&typed).and_then(resolve) {
        Ok(wish) => Ok(Box::new(wish)),
        Err(Stop::Usage(reason)) => Err(reason),
        Err(Stop::Text(_)) => Err("the options do not make a task".to_owned()),
    };
    Module { task, wish }
}

fn refused(reason: String) -> Module {
    Module { task: Task::default(), wish: Err(reason) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &Value) -> Module {
        module(arguments.as_object().unwrap())
    }

    #[test]
    fn a_task_is_a_wish() {
        let wish = of(&serde_json::json!({"ports": [8080], "_ansible_check_mode": true})).wish.unwrap();
        assert!(matches!(*wish, Wish::Check(..)));
        let wish = of(&serde_json::json!({"free": 2, "range": "20000-20100"})).wish.unwrap();
        assert!(matches!(*wish, Wish::Pick(..)));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (arguments, reason) in [
            (serde_json::json!({"ports": ["x y"]}), "'x y'"),
            (serde_json::json!({"ports": [80], "wait": "open"}), "open"),
            (serde_json::json!({"ports": [80], "wait": "free", "timeout": "soon"}), "soon"),
            (serde_json::json!({"free": 0}), "0"),
        ] {
            let told = of(&arguments).wish.unwrap_err();
            assert!(told.contains(reason), "{arguments}: {told}");
        }
    }
}
