//! The command `portcheck`.

use std::process::ExitCode;

fn main() -> ExitCode {
    portcheck::run(&std::env::args_os().collect::<Vec<_>>())
}
