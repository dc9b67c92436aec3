//! How soon `portcheck wait` notices, and what it costs. It runs apart from other tests, which
//! would slow it down.

use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::common::server::until;
use crate::common::{Background, in_namespace, portcheck};

fn waiting(arguments: &[&str]) -> Child {
    let wait = portcheck(&[arguments, &["--timeout", "0", "-q"]].concat()).stdout(Stdio::null()).spawn().unwrap();
    // It sleeps in poll(2) between its looks.
    let state = || std::fs::read_to_string(format!("/proc/{}/wchan", wait.id())).unwrap_or_default();
    until("it waits", || state().contains("poll"));
    wait
}

/// The processor time so far.
fn used(child: &Child) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/schedstat", child.id())).unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}

#[test]
fn it_reacts_within_50_ms_and_costs_next_to_nothing() {
    in_namespace(|| {
        let _server = TcpListener::bind("127.0.0.1:8079").unwrap();
        let questions: [&[&str]; 3] = [
            &["8079", "--wait", "free"],
            &["8081", "--wait", "listening"],
            &["db.invalid:80", "--wait", "listening", "--wait-for-dns"],
        ];
        for question in questions {
            let wait = Background(waiting(question));
            // By then the pauses have their full length.
            std::thread::park_timeout(Duration::from_millis(400));
            let (before, start) = (used(&wait.0), Instant::now());
            std::thread::park_timeout(Duration::from_secs(2));
            let share = used(&wait.0).saturating_sub(before).div_duration_f64(start.elapsed());
            // Tests are not optimised. The program itself stays far below 1 %, see
            // docs/performance.md.
            assert!(share < 0.02, "{question:?} takes {share} of a processor");
        }

        let mut reactions = Vec::new();
        for port in 8080..8090 {
            let mut wait = waiting(&[&port.to_string(), "--wait", "listening"]);
            std::thread::park_timeout(Duration::from_millis(400));
            let _server = TcpListener::bind(("127.0.0.1", port)).unwrap();
            let start = Instant::now();
            assert_eq!(wait.wait().unwrap().code(), Some(0));
            reactions.push(start.elapsed());
        }
        // The machine may be busy, so the median counts. The process has to end, too.
        reactions.sort_unstable();
        assert!(reactions[5] < Duration::from_millis(60), "{reactions:?}");
    });
}
