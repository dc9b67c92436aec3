//! The task that a tool was asked to run, by its command line.

use super::{base, first_word, plain, program_name, split_word, stem};
use crate::model::Runner;

/// What a package manager of JavaScript does itself: no scripts.
const OWN_COMMANDS: [&str; 28] = [
    "install", "i", "ci", "add", "remove", "rm", "upgrade", "update", "up", "init", "create", "config", "cache",
    "link", "unlink", "pack", "publish", "info", "list", "ls", "why", "audit", "outdated", "exec", "dlx", "x", "node",
    "set",
];

/// A tool, and the name of the task; `None` for the default of the tool.
type Found = (Runner, Option<String>);

/// The task that a command line asks for, if it is that of a tool that runs tasks.
pub fn of(command: &[String]) -> Option<Found> {
    let words = words(command);
    let (program, arguments) = words.split_first()?;
    match program_name(program) {
        "node" | "nodejs" => {
            let (script, arguments) = split_word(arguments, &["-r", "--require", "--import", "--loader", "-C"])?;
            of_tool(name_of_script(script)?, arguments)
        }
        name if name.starts_with("python") => match split_word(arguments, &["-W", "-X"])? {
            (script, arguments) if base(script) == "poetry" => of_tool("poetry", arguments),
            _ => None,
        },
        name => of_tool(name, arguments),
    }
}

/// The arguments. npm writes its whole task over the first of them: `npm run dev`.
fn words(command: &[String]) -> Vec<String> {
    match command.split_first() {
        Some((title, rest)) if title.starts_with("npm ") && rest.iter().all(String::is_empty) => {
            title.split_whitespace().map(str::to_owned).collect()
        }
        _ => command.to_vec(),
    }
}

/// The tool behind a script of Node: `npm` of `/usr/lib/node_modules/npm/bin/npm-cli.js`.
fn name_of_script(path: &str) -> Option<&str> {
    let name = stem(base(path));
    let name = name.strip_suffix("-cli").unwrap_or(name);
    // .yarn/releases/yarn-3.2.1.cjs
    let name = if name.starts_with("yarn-") { "yarn" } else { name };
    matches!(name, "npm" | "npx" | "yarn" | "pnpm").then_some(name)
}

fn of_tool(tool: &str, arguments: &[String]) -> Option<Found> {
    match tool {
        "npm" => npm(arguments),
        "npx" => named(Runner::Npx, arguments, OF_NPX),
        "yarn" | "yarnpkg" => script(Runner::Yarn, arguments, &["--cwd", "--mode"]),
        "pnpm" => script(Runner::Pnpm, arguments, &["--filter", "-F", "-C", "--dir"]),
        "bun" => script(Runner::Bun, arguments, &["--cwd", "--filter"]).filter(|(_, name)| !is_file(name.as_deref())),
        "make" | "gmake" => Some((Runner::Make, target(arguments, OF_MAKE))),
        "just" => {
            let valued = &["-f", "--justfile", "-d", "--working-directory"];
            Some((Runner::Just, target(arguments, valued)))
        }
        "cargo" => cargo(arguments),
        // Cargo becomes its subcommand.
        "cargo-watch" => Some((Runner::Cargo, Some("watch".to_owned()))),
        "poetry" => after(Runner::Poetry, "run", arguments, &["-C", "--directory", "-P", "--project"], &[]),
        "uv" => after(Runner::Uv, "run", arguments, OF_UV, OF_UV_RUN),
        "go" => after(Runner::Go, "run", arguments, &["-C"], OF_GO_RUN),
        "deno" => after(Runner::Deno, "task", arguments, &[], &["--cwd", "-c", "--config"]),
        "docker" => match split_word(arguments, OF_DOCKER)? {
            ("compose", rest) => compose(rest),
            _ => None,
        },
        "docker-compose" => match split_word(arguments, OF_COMPOSE)? {
            // The plugin of docker is given its own name.
            ("compose", rest) => compose(rest),
            _ => compose(arguments),
        },
        _ => None,
    }
}

// The options that have their value in the next argument.
const OF_NPM: &[&str] = &["--prefix", "-C", "-w", "--workspace", "--loglevel", "--userconfig"];
const OF_NPX: &[&str] = &["-p", "--package", "-c", "--call"];
const OF_MAKE: &[&str] = &["-C", "--directory", "-f", "--file", "--makefile", "-I", "-o", "-W"];
const OF_UV: &[&str] = &["--directory", "--project", "--config-file"];
/// Without `-m`, whose value is the name of a module.
const OF_UV_RUN: &[&str] =
    &["--with", "-p", "--python", "--package", "--env-file", "--extra", "--group", "--directory", "--project"];
const OF_GO_RUN: &[&str] = &["-C", "-tags", "-exec", "-ldflags", "-gcflags", "-mod"];
const OF_DOCKER: &[&str] = &["-H", "--host", "-c", "--context", "-l", "--log-level"];
const OF_COMPOSE: &[&str] =
    &["-f", "--file", "-p", "--project-name", "--profile", "--env-file", "--project-directory", "--parallel"];

fn npm(arguments: &[String]) -> Option<Found> {
    let (command, rest) = split_word(arguments, OF_NPM)?;
    match command {
        "run" | "run-script" | "rum" | "urn" => named(Runner::Npm, rest, OF_NPM),
        "start" | "stop" | "restart" => Some((Runner::Npm, Some(command.to_owned()))),
        "test" | "t" | "tst" => Some((Runner::Npm, Some("test".to_owned()))),
        "exec" | "x" => named(Runner::Npx, rest, OF_NPX),
        _ => None,
    }
}

/// A script of package.json, with or without `run` before it.
fn script(runner: Runner, arguments: &[String], valued: &[&str]) -> Option<Found> {
    let (command, rest) = split_word(arguments, valued)?;
    match command {
        "run" | "run-script" => named(runner, rest, valued),
        // `yarn workspace web dev`
        "workspace" if runner == Runner::Yarn => script(runner, rest.get(1..)?, valued),
        own if OWN_COMMANDS.contains(&own) => None,
        name => Some((runner, Some(plain(name)?))),
    }
}

/// Whether bun was given a file to run instead of the name of a script.
fn is_file(name: Option<&str>) -> bool {
    name.is_some_and(|name| name.contains(['/', '\\', '.']))
}

/// The first word that neither sets a variable nor is the number of jobs in `make -j 4 serve`.
fn target(arguments: &[String], valued: &[&str]) -> Option<String> {
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let mut rest = arguments;
    while let Some((word, behind)) = split_word(rest, valued) {
        if !is_number(word) && !word.contains('=') {
            return plain(word);
        }
        rest = behind;
    }
    None
}

/// Only what runs a program for somebody. Tests start servers, too, and these end with them.
fn cargo(arguments: &[String]) -> Option<Found> {
    let has_toolchain = arguments.first().is_some_and(|first| first.starts_with('+'));
    let arguments = arguments.get(usize::from(has_toolchain)..)?;
    match split_word(arguments, &["--color", "-C", "--config", "-Z"])? {
        ("run" | "r", _) => Some((Runner::Cargo, Some("run".to_owned()))),
        _ => None,
    }
}

fn compose(arguments: &[String]) -> Option<Found> {
    let (command, _) = split_word(arguments, OF_COMPOSE)?;
    let is_task = matches!(command, "up" | "run" | "watch");
    is_task.then(|| (Runner::DockerCompose, Some(command.to_owned())))
}

/// A tool whose first word is the task.
fn named(runner: Runner, arguments: &[String], valued: &[&str]) -> Option<Found> {
    let (name, _) = split_word(arguments, valued)?;
    Some((runner, Some(plain(name)?)))
}

/// A tool whose task stands behind a command.
fn after(
    runner: Runner,
    command: &str,
    arguments: &[String],
    valued: &[&str],
    valued_behind: &[&str],
) -> Option<Found> {
    let (found, rest) = split_word(arguments, valued)?;
    if found == command { named(runner, rest, valued_behind) } else { None }
}

/// Whether a command line is that of a shell that somebody types into. What is above such a shell is
/// no task of what is below.
pub fn is_interactive_shell(command: &[String]) -> bool {
    const SHELLS: [&str; 10] = ["sh", "bash", "dash", "ash", "zsh", "fish", "ksh", "tcsh", "csh", "nu"];
    let Some((program, arguments)) = command.split_first() else { return false };
    let name = program_name(program);
    let name = name.strip_prefix('-').unwrap_or(name);
    let has_command = |option: &String| option.starts_with('-') && !option.starts_with("--") && option.contains('c');
    SHELLS.contains(&name)
        && !arguments.iter().any(has_command)
        && first_word(arguments, &["--rcfile", "--init-file", "-o"]).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(command: &str) -> Vec<String> {
        command.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn tasks_by_their_command_lines() {
        for (command, expected) in CASES {
            let found = of(&split(command)).map(|(runner, name)| (runner.into_str(), name.unwrap_or_default()));
            assert_eq!(found, expected.map(|(runner, name)| (runner, name.to_owned())), "{command}");
        }
    }

    const CASES: &[(&str, Option<(&str, &str)>)] = &[
        ("npm run dev", Some(("npm", "dev"))),
        ("npm start", Some(("npm", "start"))),
        ("npm t", Some(("npm", "test"))),
        ("npm --prefix /srv/shop run dev -- --port 3000", Some(("npm", "dev"))),
        ("node /usr/bin/npm run dev", Some(("npm", "dev"))),
        ("/usr/bin/node --no-warnings /usr/lib/node_modules/npm/bin/npm-cli.js run-script dev", Some(("npm", "dev"))),
        ("npm exec vite", Some(("npx", "vite"))),
        ("node /usr/bin/npx -p serve serve", Some(("npx", "serve"))),
        ("npm install", None),
        ("npm", None),
        ("node server.js", None),
        ("node /srv/yarn-of-mine/server.js", None),
        ("node /usr/bin/yarn dev", Some(("yarn", "dev"))),
        ("node /srv/shop/.yarn/releases/yarn-3.2.1.cjs run dev", Some(("yarn", "dev"))),
        ("node /usr/bin/yarn.js workspace web dev", Some(("yarn", "dev"))),
        ("yarn install", None),
        ("yarn", None),
        ("node /usr/lib/node_modules/pnpm/bin/pnpm.cjs --filter web dev", Some(("pnpm", "dev"))),
        ("pnpm run dev", Some(("pnpm", "dev"))),
        ("bun run dev", Some(("bun", "dev"))),
        ("bun dev", Some(("bun", "dev"))),
        ("bun server.ts", None),
        ("bun run ./server.ts", None),
        ("make serve", Some(("make", "serve"))),
        ("make -C /srv/shop -j2 serve X=1", Some(("make", "serve"))),
        ("make -j 4 X=1 serve", Some(("make", "serve"))),
        ("make", Some(("make", ""))),
        ("just -f other.just serve 8080", Some(("just", "serve"))),
        ("cargo +nightly run --bin web", Some(("cargo", "run"))),
        ("cargo test", None),
        ("/home/ada/.cargo/bin/cargo-watch watch -x run", Some(("cargo", "watch"))),
        ("/usr/bin/python3 /usr/bin/poetry run flask run", Some(("poetry", "flask"))),
        ("python3 manage.py runserver", None),
        ("python3 make serve", None),
        ("uv run --with flask flask run", Some(("uv", "flask"))),
        ("uv run -m http.server", Some(("uv", "http.server"))),
        ("uv sync", None),
        ("go run -tags dev ./cmd/web", Some(("go", "./cmd/web"))),
        ("go run .", Some(("go", "."))),
        ("go build", None),
        ("docker compose -f dev.yaml up --build", Some(("docker-compose", "up"))),
        ("/usr/libexec/docker/cli-plugins/docker-compose compose up", Some(("docker-compose", "up"))),
        ("docker-compose up", Some(("docker-compose", "up"))),
        ("docker run nginx", None),
        ("deno task dev", Some(("deno", "dev"))),
        ("deno run main.ts", None),
        ("nginx", None),
        ("", None),
    ];

    /// npm leaves its title as one argument, and the rest of its arguments empty.
    #[test]
    fn the_title_that_npm_gives_itself_is_read() {
        let title = ["npm run dev --port 3000".to_owned(), String::new(), String::new()];
        assert_eq!(of(&title), Some((Runner::Npm, Some("dev".to_owned()))));
        assert_eq!(of(&["npm run dev".to_owned(), "x".to_owned()]), None);
        assert_eq!(of(&["npm".to_owned(), "run".to_owned(), "\u{1b}[31m".to_owned()]), None);
        assert_eq!(of(&["npm".to_owned(), "run".to_owned(), "x".repeat(100)]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn shells_that_somebody_types_into() {
        for interactive in ["bash", "-bash", "/bin/zsh -l", "bash --init-file /x/y.sh", "fish -i"] {
            assert!(is_interactive_shell(&split(interactive)), "{interactive}");
        }
        for other in ["sh -c x", "bash -lc x", "bash script.sh", "node", ""] {
            assert!(!is_interactive_shell(&split(other)), "{other}");
        }
    }
}
