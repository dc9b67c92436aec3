//! `--explain`: what every verdict means, in words.

use crate::common::run;

#[test]
fn every_verdict_can_be_explained() {
    let list = run(&["--explain"]);
    assert_eq!((list.code, &*list.stderr), (0, ""));
    let explained: Vec<&str> = list.stdout.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert!(explained.len() > 10 && explained.contains(&"listener"), "{explained:?}");
    for code in explained {
        let one = run(&["--explain", code]);
        assert_eq!(one.code, 0);
        assert!(one.first_line().starts_with(code), "{}", one.stdout);
        for part in ["Why it happens:", "How it is detected:", "What to do:"] {
            assert!(one.stdout.contains(part), "{}", one.stdout);
        }
    }
    let unknown = run(&["--explain", "nonsense"]);
    assert_eq!((unknown.code, unknown.stderr.lines().count()), (2, 1));
}
