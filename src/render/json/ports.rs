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

/// So many are laid out at once by a thread. That takes ten times as long as to start one.
const TOGETHER: usize = 500;

impl Serialize for Ports<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (threads, depth) = match self.depth {
            Some(depth) if self.reports.len() > TOGETHER => (threads::most(), depth),
            _ => return serializer.collect_seq(self.reports.iter().map(|report| port(report, self.processes))),
        };
        let mut list = serializer.serialize_seq(None)?;
        // Some at a time, so that their text takes little memory.
        for some in self.reports.chunks(TOGETHER * threads) {
            let texts = threads::map(some.chunks(TOGETHER).collect(), threads, |part| {
                LaidOut::of(part.iter().map(|report| port(report, self.processes)), Escaping::nested(depth))
            });
            for text in texts {
                list.serialize_element(&text.map_err(S::Error::custom)?)?;
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
        for count in [0, 1, TOGETHER, TOGETHER + 1, 5 * TOGETHER + 7] {
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
