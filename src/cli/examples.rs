//! What `--help` ends with.

/// Examples and exit codes, below the options.
pub const EXAMPLES: &str = "\
Examples:
  portcheck                            what listens or is bound on this machine
  portcheck 62893                      who holds port 62893, or that it is free
  portcheck 3000-3010 5432/tcp         a line for each port
  portcheck http://localhost:5173      the port of a URL, on both loopback addresses
  portcheck postgresql                 a service by its name
  portcheck --exposed --sort process   what can be reached from other machines
  portcheck -q 8080 && ./serve         start only if the port is free
  portcheck 8080 --reuse-addr          free for a server that sets SO_REUSEADDR?
  portcheck 8080 --quick               the first holder, on a busy machine
  portcheck --explain time-wait        what a verdict means
  portcheck 8080 --json                the same answer for scripts, see docs/json.md
  portcheck --free                     a port that is free, and leased to you for 60 s
  portcheck --free --hold              the same, and bound: for a server that sets SO_REUSEADDR
  portcheck --free 2 -- ./serve --port={port} --admin={port2}
  portcheck --free --env HTTP,ADMIN --env-file \"$GITHUB_ENV\"
  portcheck 8080 --kill                end whoever holds it, after asking
  portcheck 8080 --kill --yes --force  the same in a script: SIGTERM, after 5 s SIGKILL
  portcheck 5432 --wait listening      until something listens there, at most 30 s
  portcheck db:5432 --wait listening --timeout 2m -- ./migrate
                                       on another machine too; then becomes ./migrate
  portcheck 8080 --wait free           until it can be bound, TIME_WAIT and all
  portcheck --leases                   which ports are leased, for whom and how long

Exit codes:
  0  every port asked about is free, the listing was made, all ports were picked, or the action succeeded
  1  at least one is held or may not be bound, not enough ports are left, or the action did not succeed
  2  the command line is wrong
  3  cannot tell: something needed could not be seen
  4  portcheck itself failed
  124  --wait ran out of time
  126, 127  CMD cannot be executed, or does not exist; else CMD's own code";
