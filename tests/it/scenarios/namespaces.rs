//! Ports that are in use in another network namespace, and free here.

use std::net::TcpListener;

use crate::common::netns::Netns;
use crate::common::run;
use crate::scenarios::scenarios;
use crate::scenarios::stage::Stage;

scenarios! {
    a_port_in_use_elsewhere: rows [], proves ["other-namespace"];
}

fn a_port_in_use_elsewhere(stage: &Stage) -> Result<(), String> {
    let blue = Netns::add().ok_or("no ip netns")?;
    let role = blue.playing("listen 0.0.0.0:23898");
    let all = ["-A", "23898/tcp"];
    // Without -A nothing of it is read.
    stage.expect("23898/tcp", "free", &["free"], &[]);
    let look = stage.look(&all);
    look.is("free", &["other-namespace", "free"], &[role.pid()]);
    assert_eq!(look.finding("other-namespace")["pids"][0], role.pid());
    let csv = run(&["-A", "23898/tcp", "--format", "csv"]).stdout;
    assert!(csv.lines().nth(2).is_some_and(|row| row.ends_with(&format!(",{}", blue.name))), "{csv}");
    let markdown = run(&["-A", "23898", "--format", "markdown"]).stdout;
    assert!(markdown.contains("Namespace") && markdown.contains(&blue.name), "{markdown}");
    let listener = TcpListener::bind("127.0.0.1:23898").unwrap();
    let look = stage.look(&all);
    look.says("held", &["listener", "other-namespace"]);
    assert_eq!(look.finding("listener")["pids"][0], std::process::id());
    drop((role, listener));
    stage.look(&all).is("free", &["free"], &[]);
    Ok(())
}
