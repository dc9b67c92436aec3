//! What an empty list would show if something else were asked, in a line.

use super::escape::{self, quote};
use crate::commands::hint::{Hint, Step};
use crate::diagnose::enumerate;

/// `nothing to show but 3 connections: add --all`. Without a hint, that no `thing` matches.
pub fn nothing(hint: Option<&Hint>, thing: &str) -> String {
    let Some(hint) = hint else { return format!("nothing to show: no {thing} matches") };
    let counts = [counted(hint.ports, "port"), counted(hint.connections, "connection")];
    let what: Vec<String> = counts.into_iter().flatten().collect();
    escape::terminal(&format!("nothing to show but {}: {}", enumerate(&what, "and"), how(hint))).into_owned()
}

fn counted(count: usize, thing: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {thing}")),
        _ => Some(format!("{count} {thing}s")),
    }
}

/// `add -A and leave out --udp`, or the command that lists ports.
fn how(hint: &Hint) -> String {
    let words = |pick: fn(&Step) -> Option<&'static str>| hint.steps.iter().filter_map(pick).collect::<Vec<_>>();
    let added = words(|step| if let Step::Add(option) = step { Some(option) } else { None });
    let left_out = words(|step| if let Step::LeaveOut(option) = step { Some(option) } else { None });
    if hint.steps.contains(&Step::ListPorts) {
        let whose = hint.whose.iter().map(|word| quote(word).into_owned());
        let words: Vec<String> = whose.chain(added.into_iter().map(str::to_owned)).collect();
        return format!("portcheck list {}", words.join(" "));
    }
    let parts = [("add", added), ("leave out", left_out)];
    let parts = parts.into_iter().filter(|(_, options)| !options.is_empty());
    parts.map(|(verb, options)| format!("{verb} {}", options.join(" "))).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_and_how_to_see_it() {
        let hint = |ports, connections, steps: &[Step]| {
            let whose = ["--process", "my app"].map(str::to_owned).to_vec();
            nothing(Some(&Hint { ports, connections, steps: steps.to_vec(), whose }), "socket")
        };
        assert_eq!(nothing(None, "socket"), "nothing to show: no socket matches");
        assert_eq!(hint(0, 3, &[Step::Add("--all")]), "nothing to show but 3 connections: add --all");
        let steps = [Step::Add("-A"), Step::LeaveOut("--udp"), Step::LeaveOut("-6")];
        assert_eq!(hint(1, 1, &steps), "nothing to show but 1 port and 1 connection: add -A and leave out --udp -6");
        let listed = hint(2, 0, &[Step::Add("-A"), Step::ListPorts]);
        let command = format!("portcheck list --process {} -A", quote("my app"));
        assert_eq!(listed, format!("nothing to show but 2 ports: {command}"));
    }
}
