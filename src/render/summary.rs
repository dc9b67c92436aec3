//! The sockets of this machine in numbers: by state, by process, and the ports that are left.

use std::io::{self, Write};

use super::connections::owner_name;
use super::paper::Paper;
use super::{Style, escape, table};
use crate::commands::summary::{Outgoing, Summary};
use crate::model::find_process;

/// So many processes are shown without `-v`.
const MOST_PROCESSES: usize = 10;

/// Writes the counts, the highest first.
pub fn write(summary: &Summary, style: &Style, out: &mut dyn Write) -> io::Result<()> {
    let all: usize = summary.states.iter().map(|&(.., count)| count).sum();
    let width = all.to_string().len();
    writeln!(out, "{all} {}", if all == 1 { "socket" } else { "sockets" })?;
    for (protocol, state, count) in &summary.states {
        writeln!(out, "  {count:>width$}  {protocol} {state}")?;
    }
    // A line that says that one more is left out would take its place.
    let is_all = style.verbose || summary.processes.len() == MOST_PROCESSES + 1;
    let most = if is_all { usize::MAX } else { MOST_PROCESSES };
    if !summary.processes.is_empty() {
        writeln!(out, "\nby process")?;
    }
    for &(pid, count) in summary.processes.iter().take(most) {
        let process = find_process(&summary.diagnosis.processes, pid);
        let name = process.map_or_else(|| format!("pid {pid}, which has ended"), owner_name);
        writeln!(out, "  {count:>width$}  {}", escape::terminal(&name))?;
    }
    match summary.processes.len().saturating_sub(most) {
        0 => {}
        more => writeln!(out, "  and {more} more processes: add -v")?,
    }
    if summary.unowned > 0 {
        writeln!(out, "  {:>width$}  of no process that was found", summary.unowned)?;
    }
    if let Some(outgoing) = &summary.outgoing {
        let paper = &mut Paper::new(style.width, out);
        paper.gap()?;
        paper.sentence(&sentence(outgoing))?;
    }
    table::unseen(&summary.diagnosis, style, out)
}

fn sentence(outgoing: &Outgoing) -> String {
    let (first, last) = outgoing.range;
    let Outgoing { available, used, .. } = outgoing;
    match outgoing.busiest {
        Some((from, to)) => format!(
            "outgoing connections to {to} from {from}, the most frequent, use {used} of {available} ports \
             ({first}-{last}): {} more are possible",
            outgoing.left()
        ),
        None => format!("no outgoing connection uses any of the {available} ports for them ({first}-{last})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::diagnosis::Diagnosis;
    use crate::testing::host;

    /// Regression: "and 1 more processes: add -v" took the line of that process.
    #[test]
    fn a_line_never_stands_for_a_single_process() {
        let last_line = |count: u32| {
            let processes = (1..=count).map(|pid| (pid, 1)).collect();
            let diagnosis = Diagnosis::of_no_ports(host());
            let summary = Summary { diagnosis, states: Vec::new(), processes, unowned: 0, outgoing: None };
            let mut out = Vec::new();
            write(&summary, &Style::default(), &mut out).unwrap();
            String::from_utf8(out).unwrap().lines().last().unwrap().trim().to_owned()
        };
        assert_eq!(last_line(10), "1  pid 10, which has ended");
        assert_eq!(last_line(11), "1  pid 11, which has ended");
        assert_eq!(last_line(12), "and 2 more processes: add -v");
    }
}
