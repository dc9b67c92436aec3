//! The first page of help. Each command has a page of its own, which clap makes of its definition.

use clap::builder::StyledStr;

use super::HEADING;
use super::common::target_forms;

/// What the page consists of. clap puts the commands in.
const TEMPLATE: &str = "\
{about}

Usage: portcheck [TARGET]... [OPTIONS]
       portcheck COMMAND [ARGUMENTS] [OPTIONS]

Commands:
{subcommands}{after-help}";

/// What follows the commands.
pub const AFTER: &str = concat!(
    "TARGET is one or more ports:
  ",
    target_forms!(),
    ".
  A port without /tcp or /udp means both.

Common options:
  --tcp, --udp, -4, -6   One protocol, one IP version
  --all                  Show connections, too
  -A, --all-namespaces   Look in every network namespace: in containers, too
  --in WHERE             Look from inside a container, a pid or an 'ip netns'
  --exposed              List only what other machines can reach
  --process NAME, --user USER, --pid PID
                         List only what these hold
  --host HOST,...        Ask other machines, over ssh
  --reuse-addr           Assume that your server sets SO_REUSEADDR
  --json                 Print JSON; --format has more: csv for most commands,
                         and github, gitlab, junit for CI
  -q, --quiet            Print nothing: the exit code is the answer
  -v, --verbose          Show all facts
  -h, --help             Print help; 'portcheck help kill' is about one command
  -V, --version          Print the version

Examples:
  portcheck 8080                         Who holds port 8080, or is it free?
  portcheck                              What is in use on this machine?
  portcheck kill 8080                    End what holds it, after asking
  portcheck free -- npm run dev          Run it with PORT set to a free port
  portcheck wait 5432 --for listening    Wait until a server listens

Exit codes:
  0  yes: free, listed, or done          3  cannot tell whether it is free
  1  no: held, blocked, or not done      4  portcheck itself failed
  2  the command line or a file        124  wait ran out of time
     that you name is wrong       126, 127  CMD of '-- CMD' could not be run"
);

/// The template, with its headings as clap prints them.
pub fn template() -> StyledStr {
    styled(TEMPLATE)
}

/// A text below the options, with its headings as clap prints them.
pub fn styled(text: &str) -> StyledStr {
    let lines = text.split_inclusive('\n').map(|line| match line.split_once(':') {
        Some((heading, rest)) if is_heading(heading) => format!("{HEADING}{heading}:{HEADING:#}{rest}"),
        _ => line.to_owned(),
    });
    lines.collect::<String>().into()
}

fn is_heading(text: &str) -> bool {
    ["Usage", "Commands", "Common options", "Examples", "Exit codes"].contains(&text)
}

/// The lines below a heading of one of these texts.
pub fn block<'a>(heading: &str, text: &'a str) -> Vec<&'a str> {
    let is_wanted = |line: &&str| line.strip_suffix(':') != Some(heading);
    text.lines().skip_while(is_wanted).skip(1).take_while(|line| !line.is_empty()).collect()
}

/// The paragraphs of one of these texts that have no heading.
pub fn notes(text: &str) -> Vec<&str> {
    text.split("\n\n")
        .filter(|paragraph| !paragraph.split_once(":\n").is_some_and(|(first, _)| is_heading(first)))
        .collect()
}

/// Examples of `portcheck leases`.
pub const LEASES: &str = "\
Examples:
  portcheck leases                      Which ports are kept, and for whom
  portcheck leases --json               The same for a script";

/// Examples of `portcheck release`.
pub const RELEASE: &str = "\
Examples:
  portcheck release 20000               Let others have port 20000 again";

/// Examples of `portcheck explain`.
pub const EXPLAIN: &str = "\
Examples:
  portcheck explain                     A line for each verdict
  portcheck explain time-wait           What it means, why it happens, what to do";

/// Examples of `portcheck man`.
pub const MAN: &str = "\
Examples:
  portcheck man | man -l -              Read the page of portcheck
  portcheck man kill > portcheck-kill.1
                                        Write the page of a command, for a package";

/// Examples of `portcheck list`.
pub const LIST: &str = "\
Examples:
  portcheck list --process node         What node processes listen on
  portcheck list --all-namespaces       What is in use in containers, too
  portcheck list --exposed --json       What other machines can reach, for a script
  portcheck list --host web1,web2       What is in use on other machines, over ssh";

/// Examples of `portcheck check`.
pub const CHECK: &str = "\
Examples:
  portcheck check 8080 5432/tcp         Who holds each of them
  portcheck check 3000-3010             A line for each
  portcheck check 80 --in shop-web-1    Who holds port 80 inside a container";

/// Examples of `portcheck connections`.
pub const CONNECTIONS: &str = "\
Examples:
  portcheck connections 5432            Who is connected to port 5432
  portcheck connections --by process    How many each process has
  portcheck connections --peer 10.0.0.0/8 --sort -sent

Each connection is one row. If both its ends are on this machine, both processes are named, and both
states if they differ. SENT and RECEIVED are the bytes that the client sent and received. A filter
fits if all of it is true of one end.";

/// Examples of `portcheck kill`.
pub const KILL: &str = "\
Examples:
  portcheck kill 8080                   Ask, end the holder, verify
  portcheck kill 8080 --yes --force     In a script: SIGTERM, after 5 s SIGKILL
  portcheck kill 3000-3010 --dry-run    Show who would be ended

Clients of a server on the port are never ended. --clients is about a program whose own outgoing
connection has this port. Hidden or merely likely holders are never signalled; portcheck says why,
and what to do.";

/// Examples of `portcheck completions`.
pub const COMPLETIONS: &str = "\
Examples:
  eval \"$(portcheck completions bash)\"       In ~/.bashrc
  source <(portcheck completions zsh)         In ~/.zshrc, behind compinit
  portcheck completions fish > ~/.config/fish/completions/portcheck.fish
  eval (portcheck completions elvish | slurp)                        In ~/.config/elvish/rc.elv
  portcheck completions powershell | Out-String | Invoke-Expression  In $PROFILE

A word is completed with what is there: ports in use, containers, users, codes of verdicts.";

/// Examples of `portcheck wait`.
pub const WAIT: &str = "\
Examples:
  portcheck wait 5432 --for listening
  portcheck wait db:5432 --for listening --timeout 2m -- ./migrate
  portcheck wait 8080 --for free --reuse-addr -- ./serve
  portcheck wait https://localhost:8443/health --for answering --status 2xx

A port of another machine is tried by connecting. Exit code 124 means that the time ran out. With
CMD, the exit code is that of CMD, or 126 or 127 if CMD cannot be run.";

/// Examples of `portcheck watch`.
pub const WATCH: &str = "\
Examples:
  portcheck watch                        A live view, on a terminal; '?' shows its keys
  portcheck watch | cat                  What opens and closes, as it happens
  portcheck watch 8080 --format ndjson   The same of one port, for a program
  portcheck watch --event opened,changed --exposed --exec 'notify-send portcheck'

On a terminal it is a live view. In a pipe, and with --format ndjson, --event, --exec or --timeout,
it prints a line for each event; the first lines tell what is there. A port that is open for less
than 250 ms may be missed. Linux tells of that by the event 'lost', but not with -A. Ctrl-C, SIGTERM
and a reader that hangs up end the watch with exit code 0.";

/// Examples of `portcheck reach`.
pub const REACH: &str = "\
Examples:
  portcheck reach 8080                       From here, from each network, from elsewhere
  portcheck reach 443 --from 10.0.0.9        From this address
  portcheck reach                            All that listens: what can others reach?

It needs root. It copies addresses, routes and firewall rules into a network namespace of its own,
and sends packets in there. This machine and its network notice nothing. What other machines on the
way do is not known. Exit code 0 means that other machines, or all of --from, can reach it.";

/// Examples of `portcheck identify`.
pub const IDENTIFY: &str = "\
Examples:
  portcheck identify 8080                    What answers on port 8080?
  portcheck identify https://localhost:9000  Ask for TLS, and for its certificate
  portcheck identify 3000-3010 --json        All that listen there

It connects once to each server, waits 0.3 s for a greeting, then asks one harmless question: GET,
PING and the like. It chooses the question by the URL, the process name and the port. After 3 s it
gives up. The server may log the connection. Certificates are shown, not verified. Exit code 0: all
answered; 1: nobody listens; 3: silent or not recognised.";

/// Examples of `portcheck preflight`.
pub const PREFLIGHT: &str = "\
Examples:
  portcheck preflight                        What is in this directory
  portcheck preflight compose.yaml web.socket
  portcheck preflight --env-file .env.ports -- docker compose up
  portcheck preflight --json | jq '.preflight[] | select(.status == \"held\")'

It reads compose files, units of systemd, manifests of Kubernetes, Procfile, .env, devcontainer.json
and package.json. What this project's own containers hold is no conflict. Exit code 0: all can be
had; 1: some cannot; 2: a file is malformed; 3: a variable has no value, or
something needed could not be seen.";

/// Examples of `portcheck free`.
pub const FREE: &str = "\
Examples:
  port=$(portcheck free)
  portcheck free 2 -- ./serve --port={port} --admin={port2}
  portcheck free --env HTTP,ADMIN --env-file \"$GITHUB_ENV\"
  portcheck free --prefer 3000 --near 3000

A port is free if nobody holds it and no other caller of portcheck has it. Ports that the system
gives to others are picked only if --range or --prefer names them. With CMD, the exit code is that
of CMD, or 126 or 127 if CMD cannot be run.";
