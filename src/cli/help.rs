//! The first page of help. Each command has a page of its own, which clap makes of its definition.

/// What the page consists of. clap puts the commands in.
pub const TEMPLATE: &str = "\
{about}

{usage-heading} portcheck [TARGET]... [OPTIONS]
       portcheck COMMAND [ARGUMENTS] [OPTIONS]

Commands:
{subcommands}

{after-help}";

/// What follows the commands.
pub const AFTER: &str = "\
TARGET is what you have at hand: 8080, 3000-3010, 80,443, 53/udp, 127.0.0.1:80, [::1]:3000,
  http://localhost:5173/path, postgresql. Without /tcp or /udp it means both.

Common options:
  --tcp, --udp, -4, -6   One protocol, one IP version
  --all                  Show connections, too
  --exposed              List only what other machines can reach
  --process NAME, --user USER, --pid PID
                         List only what these hold
  --reuse-addr           Judge for a server that sets SO_REUSEADDR
  --json                 Print JSON; --format has ndjson, csv, markdown
  -q, --quiet            Print nothing: the exit code is the answer
  -v, --verbose          Show all facts
  -h, --help             Print help; 'portcheck help kill' is about one command
  -V, --version          Print the version

Examples:
  portcheck 8080                            Who holds port 8080, or is it free?
  portcheck                                 What is in use on this machine?
  portcheck kill 8080                       End what holds it, after asking
  portcheck free -- npm run dev             Run a command with PORT set to a free port
  portcheck wait 5432 --for listening       Wait until a server listens

Exit codes:
  0  yes: free, listed, done and verified    3  cannot tell: something could not be seen
  1  no: held or blocked, or not done        4  portcheck itself failed
  2  the command line is wrong             124  wait ran out of time";
