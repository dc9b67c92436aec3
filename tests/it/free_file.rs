//! `portcheck free --env-file`: ports that are written into a file for CI.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use crate::common::lease::{Leases, leased, pick, pick_one};
use crate::common::{in_namespace, is_root, run, skip};

#[test]
fn ports_go_into_a_file_for_ci() {
    in_namespace(|| {
        let _leases = Leases;
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("github_env");
        let path = file.to_str().unwrap();
        let ports = pick(&["--env", "HTTP,ADMIN", "--env-file", path]);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("HTTP={}\nADMIN={}\n", ports[0], ports[1]));
        let next = pick_one(&["--env-file", path]);
        assert!(std::fs::read_to_string(&file).unwrap().ends_with(&format!("\nPORT={next}\n")));
    });
}

/// Regression: the lines were written although the command could not be run, or the hold failed.
#[test]
fn a_file_for_ci_is_written_only_for_what_succeeded() {
    in_namespace(|| {
        let _leases = Leases;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("env"), "A=b\n").unwrap();
        std::fs::write(path("no-interpreter"), "#!/nonexistent/sh\n").unwrap();
        std::fs::set_permissions(path("no-interpreter"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let (file, script) = (path("env"), path("no-interpreter"));
        let _listener = TcpListener::bind("127.0.0.1:20010").unwrap();
        let failing: [(&[&str], i32); 4] = [
            (&["--", "no-such-command"], 127),
            (&["--", &script], 126),
            (&["--hold", "--pid", "4194305"], 4),
            (&["--range", "20010-20010"], 1),
        ];
        for (options, code) in failing {
            let run = run(&[&["--free", "--env-file", &file], options].concat());
            assert_eq!((run.code, &*run.stdout), (code, ""), "{run:?}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), "A=b\n", "{options:?}");
        }
        assert!(leased().is_empty());
        // No file is left that was not there before.
        assert_eq!(run(&["--free", "--env-file", &path("new"), "--", "no-such-command"]).code, 127);
        assert!(!std::path::Path::new(&path("new")).exists());
    });
}

/// Regression: it waited for the reader of a pipe, and followed anybody's symbolic link.
#[test]
fn a_file_for_ci_is_no_trap() {
    in_namespace(|| {
        let _leases = Leases;
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            path("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        let refused = |name: &str, why: &str| {
            let run = run(&["--free", "--env-file", &path(name)]);
            assert_eq!((run.code, &*run.stdout), (4, ""), "{run:?}");
            assert!(run.stderr.contains(why), "{run:?}");
            assert!(leased().is_empty());
        };
        refused("pipe", "pipe that nobody reads");
        std::os::unix::fs::symlink("env", path("link")).unwrap();
        std::fs::write(path("env"), "A=b").unwrap();
        let picked = pick_one(&["--env-file", &path("link")]);
        assert_eq!(std::fs::read_to_string(path("env")).unwrap(), format!("A=b\nPORT={picked}\n"));
        // /dev/stdout is not a regular file.
        let said = run(&["--free", "--env-file", "/dev/stdout"]).stdout;
        assert!(said.starts_with("PORT="), "{said}");
        crate::common::lease::release_all();
        if !is_root() {
            return skip("needs root to have a link of somebody else");
        }
        rustix::fs::chownat(
            rustix::fs::CWD,
            path("link"),
            Some(rustix::process::Uid::from_raw(crate::common::NOBODY)),
            None,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
        refused("link", "another user's symbolic link");
        assert_eq!(std::fs::read_to_string(path("env")).unwrap(), format!("A=b\nPORT={picked}\n"));
    });
}
