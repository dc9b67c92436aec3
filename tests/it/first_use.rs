//! The first use, by an ordinary user with an empty environment: what is missing is told once, with
//! the command.

use std::process::Command;

use crate::common::{Background, Run, in_namespace, is_root, portcheck_as_nobody, skip, until_it_listens};

#[test]
fn what_is_missing_is_told_once_with_the_command() {
    in_namespace(|| {
        if !is_root() {
            return skip("needs root to have a server that an ordinary user may not inspect");
        }
        let _server = Background::spawn(Command::new("python3").args(["-m", "http.server", "23916"]));
        until_it_listens(23916);
        for (arguments, code) in [(&[][..], 0), (&["23916/tcp"], 1), (&["reach", "23916/tcp"], 3)] {
            let mut command = portcheck_as_nobody(arguments);
            let run = Run::from(command.env_clear().output().unwrap());
            assert_eq!((run.code, &*run.stderr), (code, ""), "{run:?}");
            assert_eq!(run.stdout.matches("sudo ").count(), 1, "{run:?}");
        }
    });
}
