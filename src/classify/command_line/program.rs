//! What an interpreter runs, by its command line: `manage.py runserver` of
//! `python3 manage.py runserver 8000`.

use super::{base, first_word, plain, program_name, split_word, stem};

/// The script, module or class that an interpreter runs, with its command where it has one. `None` if
/// the command line is no interpreter's, or does not tell.
pub fn of(command: &[String]) -> Option<String> {
    let (program, arguments) = command.split_first()?;
    let name = program_name(program);
    // gunicorn writes over its arguments: `gunicorn: master [app:app]`.
    if let Some(app) = name.strip_prefix("gunicorn: ").and_then(|rest| rest.split(['[', ']']).nth(1)) {
        return plain(&format!("gunicorn {app}"));
    }
    // `python3.12`
    let found = match name.trim_end_matches(|last: char| last.is_ascii_digit() || last == '.') {
        "python" | "pypy" => python(arguments),
        "node" | "nodejs" => node(arguments),
        "java" => java(arguments),
        "ruby" => script(arguments, &["-r", "-I", "-C", "-E"], &['e']),
        "perl" => script(arguments, &["-I"], &['e', 'E']),
        "php" => php(arguments),
        "bun" => javascript(arguments, &["--cwd"]),
        "deno" => javascript(arguments, &["-c", "--config", "--import-map"]),
        "dotnet" => file(arguments, ".dll"),
        "sh" | "bash" | "dash" | "zsh" | "ksh" => shell(arguments),
        _ => None,
    };
    // A tool that is a script itself, started by its own name.
    let found = found.or_else(|| is_tool(name).then(|| tool(name, arguments)).filter(|tool| tool.contains(' ')));
    // A number is rather the value of an option that is not known here.
    plain(&found?).filter(|name| name.contains(char::is_alphabetic))
}

/// Tools whose command or application says more than their name.
fn is_tool(name: &str) -> bool {
    matches!(name, "gunicorn" | "uvicorn" | "hypercorn" | "daphne" | "waitress-serve" | "flask" | "manage.py" | "rails")
}

fn python(arguments: &[String]) -> Option<String> {
    let mut rest = arguments;
    while let [option, behind @ ..] = rest {
        match option.as_bytes() {
            [b'-', b'-', ..] => rest = if option == "--check-hash-based-pycs" { behind.get(1..)? } else { behind },
            [b'-', letters @ ..] if !letters.is_empty() => {
                // Letters stand together; these have a value, behind them or in the next argument.
                let Some(index) = letters.iter().position(|letter| b"cmWX".contains(letter)) else {
                    rest = behind;
                    continue;
                };
                let joined = option.get(index + 2..).filter(|value| !value.is_empty());
                let (value, behind) = match joined {
                    Some(value) => (value, behind),
                    None => (&**behind.first()?, &behind[1..]),
                };
                match letters[index] {
                    b'c' => return None,
                    b'm' => return Some(tool(value, behind)),
                    _ => rest = behind,
                }
            }
            [b'-'] => return None,
            _ => return Some(script_with_command(option, behind)),
        }
    }
    None
}

fn node(arguments: &[String]) -> Option<String> {
    const VALUED: &[&str] = &["-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions"];
    let is_code = |option: &String| matches!(&**option, "-e" | "--eval" | "-p" | "--print");
    let script = first_word(arguments, VALUED)?;
    let has_code = arguments[..script].iter().any(is_code);
    (!has_code).then(|| javascript_file(&arguments[script], &arguments[script + 1..]))
}

/// `bun server.ts`, `deno run --allow-net main.ts`.
fn javascript(arguments: &[String], valued: &[&str]) -> Option<String> {
    let (mut script, mut rest) = split_word(arguments, valued)?;
    if matches!(script, "run" | "serve") {
        (script, rest) = split_word(rest, valued)?;
    }
    script.contains(['.', '/']).then(|| javascript_file(script, rest))
}

/// The name of a file, or of the tool that it belongs to: `vite dev` of
/// `/srv/shop/node_modules/vite/bin/vite.js dev`.
fn javascript_file(path: &str, arguments: &[String]) -> String {
    let path = path.replace('\\', "/");
    let Some((_, inside)) = path.rsplit_once("node_modules/") else { return base(&path).to_owned() };
    let mut parts = inside.split('/');
    let package = match parts.next().unwrap_or_default() {
        scope if scope.starts_with('@') => parts.next().unwrap_or(scope),
        package => package,
    };
    let name = stem(base(inside));
    let is_program = inside.contains("bin/") && !matches!(name, "cli" | "index" | "main" | "bin" | "start");
    tool(if is_program || package == ".bin" { name } else { package }, arguments)
}

fn java(arguments: &[String]) -> Option<String> {
    const VALUED: &[&str] = &[
        "-cp",
        "-classpath",
        "--class-path",
        "-p",
        "--module-path",
        "--add-modules",
        "--add-opens",
        "--add-exports",
        "--add-reads",
        "-jar",
        "-m",
        "--module",
    ];
    let main = first_word(arguments, VALUED);
    let options = &arguments[..main.unwrap_or(arguments.len())];
    let value = |names: &[&str]| {
        let index = options.iter().position(|option| names.contains(&&**option))?;
        arguments.get(index + 1)
    };
    if let Some(archive) = value(&["-jar"]) {
        return Some(base(archive).to_owned());
    }
    let class = value(&["-m", "--module"]).or_else(|| arguments.get(main?))?;
    // Arguments may be in a file: `@arguments`.
    (!class.starts_with('@')).then(|| base(class).to_owned())
}

fn php(arguments: &[String]) -> Option<String> {
    if arguments.iter().any(|argument| argument == "-S") {
        return Some("php -S".to_owned());
    }
    script(arguments, &["-d", "-c", "-t", "-z"], &['r'])
}

/// The script of an interpreter. `None` if an option that ends in a letter of `code` has the program
/// itself behind it: `perl -ne`.
fn script(arguments: &[String], valued: &[&str], code: &[char]) -> Option<String> {
    let script = first_word(arguments, valued)?;
    let has_code = arguments[..script].iter().any(|option| option.len() <= 5 && option.ends_with(code));
    (!has_code).then(|| script_with_command(&arguments[script], &arguments[script + 1..]))
}

fn shell(arguments: &[String]) -> Option<String> {
    let script = first_word(arguments, &["-o", "--rcfile", "--init-file"])?;
    let has_code = arguments[..script].iter().any(|option| !option.starts_with("--") && option.contains('c'));
    (!has_code).then(|| base(&arguments[script]).to_owned())
}

fn file(arguments: &[String], ending: &str) -> Option<String> {
    let (file, _) = split_word(arguments, &[])?;
    file.ends_with(ending).then(|| base(file).to_owned())
}

/// A script by its file name. One without an ending, as in bin directories, and those that frameworks
/// put into projects have commands.
fn script_with_command(path: &str, arguments: &[String]) -> String {
    let name = base(path);
    if name.contains('.') && name != "manage.py" { name.to_owned() } else { tool(name, arguments) }
}

/// A tool with the application that it serves, or with its command: `gunicorn app:app`, `flask run`.
fn tool(name: &str, arguments: &[String]) -> String {
    let command = match name {
        "gunicorn" | "uvicorn" | "hypercorn" | "daphne" | "waitress-serve" => {
            arguments.iter().find(|argument| is_application(argument))
        }
        "flask" => arguments.iter().find(|argument| *argument == "run"),
        _ => arguments.first().filter(|argument| is_command(argument)),
    };
    match command {
        Some(command) => format!("{name} {command}"),
        None => name.to_owned(),
    }
}

/// `app:app`, `shop.wsgi:application`; not `localhost:8000`.
fn is_application(argument: &str) -> bool {
    let is_identifier = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.')
    };
    argument
        .split_once(':')
        .is_some_and(|(module, name)| is_identifier(module) && is_identifier(name.trim_end_matches("()")))
}

/// `run`, `dev`, `runserver`, `db:seed`; no option, number, path or address.
fn is_command(argument: &str) -> bool {
    argument.starts_with(|first: char| first.is_ascii_alphabetic())
        && argument.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte))
        && argument.len() <= 24
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_named_by_what_they_run() {
        for (command, expected) in CASES {
            let command: Vec<String> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(of(&command).unwrap_or_default(), *expected, "{command:?}");
        }
    }

    const CASES: &[(&str, &str)] = &[
        ("python3 manage.py runserver 0.0.0.0:8000", "manage.py runserver"),
        ("/usr/bin/python3.12 -u -m http.server 8000", "http.server"),
        ("python3 -um http.server", "http.server"),
        ("python3 -mhttp.server 8000", "http.server"),
        ("python3 -m flask --app shop run", "flask run"),
        ("python -X dev -W ignore server.py --port 80", "server.py"),
        ("python3 -c print(1)", ""),
        ("python3 -", ""),
        ("python3", ""),
        ("python3 -m", ""),
        ("/srv/venv/bin/python /srv/venv/bin/gunicorn --workers 4 --bind 0.0.0.0:8000 app:app", "gunicorn app:app"),
        ("/srv/venv/bin/python /srv/venv/bin/uvicorn shop.main:create() --port 80", "uvicorn shop.main:create()"),
        ("/usr/bin/python3 /usr/bin/flask run", "flask run"),
        ("/usr/bin/python3 /usr/bin/supervisord", "supervisord"),
        ("gunicorn -w 4 app:app", "gunicorn app:app"),
        ("uvicorn --host localhost", ""),
        ("flask run", "flask run"),
        ("node server.js 3000", "server.js"),
        ("node --inspect -r dotenv/config dist/index.js", "index.js"),
        ("node node_modules/.bin/vite", "vite"),
        ("node /srv/shop/node_modules/.bin/next dev", "next dev"),
        ("node /srv/shop/node_modules/next/dist/bin/next start -p 80", "next start"),
        ("node /srv/node_modules/vite/bin/vite.js --port 3000", "vite"),
        ("node /srv/node_modules/@angular/cli/bin/ng.js serve", "ng serve"),
        ("node /srv/node_modules/tsx/dist/cli.mjs src/server.ts", "tsx"),
        ("node /srv/node_modules/react-scripts/scripts/start.js", "react-scripts"),
        ("node -e x server.js", ""),
        ("node", ""),
        ("node --port 3000", ""),
        ("deno run --allow-net main.ts", "main.ts"),
        ("deno task dev", ""),
        ("bun --hot server.ts", "server.ts"),
        ("bun run dev", ""),
        ("ruby bin/rails server", "rails server"),
        ("ruby -e x", ""),
        ("ruby -r json server.rb", "server.rb"),
        ("perl -I lib script.pl", "script.pl"),
        ("perl -ne print x", ""),
        ("php -S localhost:8000 -t public", "php -S"),
        ("php artisan serve", "artisan serve"),
        ("java -Xmx1g -jar /opt/shop/shop.jar --server.port=80", "shop.jar"),
        ("java -cp /opt/a.jar:/opt/b.jar com.example.Main 80", "com.example.Main"),
        ("java -p mods -m shop/com.example.Main", "com.example.Main"),
        ("java @arguments", ""),
        ("java -version", ""),
        ("dotnet Shop.dll", "Shop.dll"),
        ("bash /opt/serve.sh 80", "serve.sh"),
        ("sh -c x y", ""),
        ("nginx -g x", ""),
        ("redis-server *:6379", ""),
        ("", ""),
    ];

    #[test]
    fn titles_and_hostile_names() {
        let of = |command: &[&str]| of(&command.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&["gunicorn: worker [app:app]", ""]).as_deref(), Some("gunicorn app:app"));
        assert_eq!(of(&["gunicorn: master"]), None);
        assert_eq!(of(&["python3", "\u{1b}[31m.py"]), None);
        assert_eq!(of(&["python3", &"x".repeat(10_000)]), None);
        assert_eq!(of(&["python3", "-é"]), None);
        assert_eq!(of(&["python3", "-mé"]).as_deref(), Some("é"));
        assert_eq!(of(&[]), None);
    }
}
