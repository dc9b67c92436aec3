//! What a process is part of, in the words of those who work on it: their project, and the task that
//! started it.

use std::path::PathBuf;

use super::Pid;

/// A directory that somebody works on, as the files in it describe it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "projects are found on Linux only"))]
pub struct Project {
    /// The directory.
    pub directory: PathBuf,
    /// Its name by the file of its kind, else that of the directory.
    pub name: String,
    /// By which file it is known.
    pub kind: ProjectKind,
    /// The branch of git that is checked out. `None` without git, and for a detached HEAD.
    pub git_branch: Option<String>,
}

/// Which file makes a directory a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "projects are found on Linux only"))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum ProjectKind {
    /// package.json.
    Npm,
    /// Cargo.toml.
    Cargo,
    /// pyproject.toml.
    Python,
    /// go.mod.
    Go,
    /// pom.xml.
    Maven,
    /// compose.yaml, or one of its older names.
    Compose,
    /// .git alone.
    Git,
}

/// What somebody asked a tool to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// The tool.
    pub runner: Runner,
    /// The script, target or program. `None` for the default of the tool.
    pub name: Option<String>,
    /// The process of the tool.
    pub pid: Pid,
    /// The file that defines the task, if it was found.
    pub file: Option<PathBuf>,
}

/// A tool that runs tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Runner {
    /// `npm run dev`, `npm start`.
    Npm,
    /// `npx vite`, which is `npm exec`.
    Npx,
    /// `yarn dev`.
    Yarn,
    /// `pnpm dev`.
    Pnpm,
    /// `bun run dev`.
    Bun,
    /// `make serve`.
    Make,
    /// `just serve`.
    Just,
    /// `cargo watch`. `cargo run` becomes the program itself.
    Cargo,
    /// `poetry run flask`.
    Poetry,
    /// `uv run flask`.
    Uv,
    /// `docker compose up`.
    DockerCompose,
    /// `deno task dev`.
    Deno,
    /// `go run .`.
    Go,
}

impl Task {
    /// The task as it is typed: `npm run dev`, `make serve`.
    pub fn title(&self) -> String {
        let name = self.name.as_deref().unwrap_or_default();
        let tool = match self.runner {
            Runner::Npm if matches!(name, "start" | "test" | "stop" | "restart") => "npm",
            Runner::Npm => "npm run",
            Runner::Bun => "bun run",
            Runner::Poetry => "poetry run",
            Runner::Uv => "uv run",
            Runner::DockerCompose => "docker compose",
            Runner::Deno => "deno task",
            Runner::Go => "go run",
            Runner::Npx | Runner::Yarn | Runner::Pnpm | Runner::Make | Runner::Just | Runner::Cargo => {
                self.runner.into_str()
            }
        };
        format!("{tool} {name}").trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_written_as_they_are_typed() {
        for (runner, name, expected) in [
            (Runner::Npm, Some("dev"), "npm run dev"),
            (Runner::Npm, Some("start"), "npm start"),
            (Runner::Npx, Some("vite"), "npx vite"),
            (Runner::Make, None, "make"),
            (Runner::Make, Some("serve"), "make serve"),
            (Runner::DockerCompose, Some("up"), "docker compose up"),
            (Runner::Go, Some("./cmd/web"), "go run ./cmd/web"),
        ] {
            let task = Task { runner, name: name.map(str::to_owned), pid: 7, file: None };
            assert_eq!(task.title(), expected);
        }
    }
}
