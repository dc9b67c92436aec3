//! The list of ports, each made when it is written. Of many, several threads lay out the text: there
//! may be a hundred thousand.

use serde::ser::{Error, Serialize, SerializeSeq, Serializer};

use super::formatter::{Escaping, LaidOut};
use super::port;
use crate::diagnose::PortReport;
use crate::model::Process;
use crate::platform::threads;

/// A list of [`WirePort`](super::wire::WirePort).
#[derive(Debug, Default)]
pub struct Ports<'a> {
    /// The ports.
    pub reports: &'a [PortReport],
    /// The processes that hold them.
    pub processes: &'a [Process],
    /// How deep the list is in the document; `None` where its text cannot be laid out ahead.
    pub depth: Option<usize>,
}

/// So many are laid out as one text.
const TOGETHER: usize = 100;

/// So many texts for each thread are laid out before they are written. This takes far longer than to
/// start a thread, and some megabyte for each.
const TEXTS: usize = 8;

impl Serialize for Ports<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (threads, depth) = match self.depth {
            Some(depth) if self.reports.len() > TOGETHER => (threads::most(), depth),
            _ => return serializer.collect_seq(self.reports.iter().map(|report| port(report, self.processes))),
        };
        let mut list = serializer.serialize_seq(None)?;
        let mut memory = Vec::new();
        for some in self.reports.chunks(TOGETHER * TEXTS * threads) {
            let parts = some.chunks(TOGETHER).map(|part| (part, memory.pop().unwrap_or_default())).collect();
            let texts = threads::map(parts, threads, |(part, memory)| {
                let ports = part.iter().map(|report| port(report, self.processes));
                LaidOut::of(ports, Escaping::nested(depth), memory)
            });
            for text in texts {
                let text = text.map_err(S::Error::custom)?;
                list.serialize_element(&text)?;
                memory.push(text.into_memory());
            }
        }
        list.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::diagnosis::Diagnosis;
    use crate::diagnose::Observed;
    use crate::model::{Protocol, Snapshot};

    #[test]
    fn threads_write_what_one_would() {
        for count in [0, 1, TOGETHER, TOGETHER + 1, 50 * TOGETHER + 7] {
            let ports = (0..count).map(|port| Observed::of(u16::try_from(port).unwrap(), Protocol::Tcp)).collect();
            let (host, sockets) = (crate::testing::host(), Vec::new());
            let snapshot = Snapshot { host, sockets, processes: Vec::new(), gaps: Vec::new() };
            let diagnosis = Diagnosis::judge(&crate::query::request(Vec::new()), ports, snapshot);
            let written = |depth: Option<usize>| {
                let ports = Ports { reports: &diagnosis.ports, processes: &[], depth };
                let mut text = Vec::new();
                super::super::write(&ports, Escaping::pretty(), &mut text).unwrap();
                String::from_utf8(text).unwrap()
            };
            let text = written(Some(1));
            assert_eq!(text.matches("\"port\":").count(), count);
            assert!(text == written(None), "{count}");
        }
    }
}
