//! The rows of the list, small enough to keep ten thousand of them: what stands in the columns as
//! one text, and what the row is wherever it stands.

use std::net::SocketAddr;
use std::time::SystemTime;

use crate::commands::diagnosis::Diagnosis;
use crate::commands::kill::SocketId;
use crate::diagnose::PortReport;
use crate::model::{Gap, Namespace, Pid, Process, Protocol, Socket, find_process};
use crate::render::Style;
use crate::render::columns::{heading, items};
use crate::render::escape::width_of;
use crate::render::rows::{self, rows_of};
use crate::request::Column;

/// What a row is, whatever its place in the list and whatever its columns say.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// The port.
    pub port: u16,
    /// Its protocol.
    pub protocol: Protocol,
    /// The address and the peer of that socket. The remnant of a connection has nothing else.
    local: SocketAddr,
    peer: Option<SocketAddr>,
    /// What the kernel calls the oldest of its sockets, which no later socket is called: the cookie,
    /// or else the inode.
    socket: Option<u64>,
    namespace: Option<u64>,
    /// The leader.
    leader: Option<Pid>,
}

impl Id {
    /// Whether it is in this network namespace.
    pub fn is_in(&self, namespace: Option<&Namespace>) -> bool {
        namespace.and_then(|namespace| namespace.inode) == self.namespace
    }
}

/// A process, and when it started: ids are used again.
pub type Holder = (Pid, Option<SystemTime>);

/// A row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub id: Id,
    /// All processes that have its sockets.
    pub holders: Box<[Holder]>,
    /// Its sockets.
    pub sockets: Box<[SocketId]>,
    /// What its network namespace is called, if it is not the one that is looked at.
    pub elsewhere: Option<Box<str>>,
    /// The columns, fit for a terminal, so [`BETWEEN`] is in none of them.
    cells: Box<str>,
}

/// Between the columns of a row.
const BETWEEN: char = '\n';

/// The rows of a moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sample {
    /// In the order of their ports.
    pub rows: Vec<Row>,
    /// How wide each column would like to be; 0 if nothing stands in it.
    pub widths: Vec<usize>,
    /// Whether root would see more holders.
    pub is_partial: bool,
}

impl Sample {
    /// Adds the rows of a listing.
    pub fn add(&mut self, diagnosis: &Diagnosis, columns: &[Column], style: &Style) {
        self.widths.resize(columns.len(), 0);
        for port in &diagnosis.ports {
            for row in rows_of(port, &diagnosis.processes, style) {
                let cells: Vec<String> = columns.iter().map(|&column| items(column, &row).join(", ")).collect();
                for ((width, cell), &column) in self.widths.iter_mut().zip(&cells).zip(columns) {
                    // A column without content has no width.
                    let wide = if cell.is_empty() { 0 } else { width_of(cell).max(heading(column).len()) };
                    *width = wide.max(*width);
                }
                self.rows.push(Row::of(&row, &cells, diagnosis));
            }
        }
        let unsure = |port: &PortReport| port.observed.everywhere().any(|socket| socket.owners.is_unsure());
        self.is_partial |=
            diagnosis.gaps.iter().any(Gap::hides_owners_from_us_only) && diagnosis.ports.iter().any(unsure);
    }
}

impl Row {
    fn of(row: &rows::Row<'_>, cells: &[String], diagnosis: &Diagnosis) -> Self {
        let sockets = &row.sockets;
        let name = |socket: &Socket| socket.cookie.or(socket.inode);
        let holders: Vec<Holder> =
            row.owners.pids().iter().map(|&pid| (pid, started(pid, &diagnosis.processes))).collect();
        let first = sockets.iter().min_by_key(|socket| (name(socket).is_none(), name(socket), socket.local));
        let observed = &row.port.observed;
        let namespace = sockets.first().and_then(|socket| socket.namespace.as_deref());
        let is_elsewhere = |other: &&Namespace| Some(*other) != diagnosis.inside.as_deref();
        Self {
            id: Id {
                port: observed.port,
                protocol: observed.protocol,
                local: first.map_or_else(|| SocketAddr::from(([0; 4], observed.port)), |socket| socket.local),
                peer: first.and_then(|socket: &&Socket| socket.remote),
                socket: first.and_then(|socket| name(socket)),
                namespace: namespace.and_then(|namespace| namespace.inode),
                leader: holders.first().map(|&(pid, _)| pid),
            },
            holders: holders.into(),
            sockets: sockets.iter().map(|socket| SocketId::of(socket)).collect(),
            elsewhere: namespace.filter(is_elsewhere).map(|other| other.title().into()),
            cells: cells.join("\n").into(),
        }
    }

    /// What stands in the columns.
    pub fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.split(BETWEEN)
    }

    /// What stands in a column.
    pub fn cell(&self, index: usize) -> &str {
        self.cells().nth(index).unwrap_or_default()
    }

    /// Whether every word of `filter`, in small letters, is somewhere in the row.
    pub fn fits(&self, filter: &str) -> bool {
        if filter.is_empty() {
            return true;
        }
        let text = self.cells.to_lowercase();
        filter.split_whitespace().all(|word| text.contains(word))
    }

    /// Whether it is a connection: another row may listen on its port.
    pub const fn is_connection(&self) -> bool {
        self.id.peer.is_some()
    }

    /// `8080/tcp`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.id.port, self.id.protocol)
    }
}

fn started(pid: Pid, processes: &[Process]) -> Option<SystemTime> {
    find_process(processes, pid)?.started_at
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::model::{Family, State};
    use crate::render::columns::shown;

    /// A row of a listener, with these columns.
    pub fn row(port: u16, pid: Pid, cells: &[&str]) -> Row {
        let local = SocketAddr::from(([127, 0, 0, 1], port));
        let inode = u64::from(port) * 10 + u64::from(pid) * 1_000_000;
        let holder = (pid, Some(SystemTime::UNIX_EPOCH));
        Row {
            id: Id {
                port,
                protocol: Protocol::Tcp,
                local,
                peer: None,
                socket: Some(inode),
                namespace: None,
                leader: Some(pid),
            },
            holders: [holder].into(),
            sockets: [SocketId { inode: Some(inode), cookie: None }].into(),
            elsewhere: None,
            cells: cells.join("\n").into(),
        }
    }

    /// A listing of these sockets, as a collector returns it.
    pub fn diagnosis(sockets: &[Socket], processes: Vec<Process>) -> Diagnosis {
        use crate::diagnose::Observed;
        let ports = sockets.iter().map(|socket| Observed {
            sockets: vec![socket.clone()],
            ..Observed::of(socket.local.port(), socket.protocol)
        });
        let snapshot = crate::model::Snapshot {
            host: crate::testing::host(),
            sockets: sockets.to_vec(),
            processes,
            gaps: Vec::new(),
        };
        Diagnosis::judge(&crate::query::request(Vec::new()), ports.collect(), snapshot)
    }

    #[test]
    fn a_row_is_the_same_whatever_its_columns_say_and_another_with_another_socket() {
        let style = Style::default();
        let columns = shown(&style);
        let id = |socket: Socket, name: &str| {
            let processes = vec![crate::testing::process(7, 1, name)];
            let mut sample = Sample::default();
            sample.add(&diagnosis(&[socket], processes), &columns, &style);
            sample.rows[0].id.clone()
        };
        let socket = || crate::testing::owned("127.0.0.1:8080", &[7]);
        assert_eq!(id(socket(), "node"), id(socket(), "renamed"));
        assert_ne!(id(socket(), "node"), id(Socket { inode: Some(9), ..socket() }, "node"));
        let remnant = |peer: &str| Socket {
            remote: Some(peer.parse().unwrap()),
            ..Socket::new(Protocol::Tcp, Family::Ipv4, State::TimeWait, "127.0.0.1:8080".parse().unwrap())
        };
        assert_ne!(id(remnant("10.0.0.1:1"), ""), id(remnant("10.0.0.1:2"), ""));
    }

    #[test]
    fn hostile_names_stay_in_their_column() {
        let style = Style::default();
        let columns = shown(&style);
        let process = crate::testing::process(7, 1, "a\n\u{1b}[2Jb");
        let mut sample = Sample::default();
        sample.add(&diagnosis(&[crate::testing::owned("127.0.0.1:8080", &[7])], vec![process]), &columns, &style);
        let row = &sample.rows[0];
        let at = columns.iter().position(|&column| column == Column::Process).unwrap();
        assert_eq!((row.cells().count(), row.cell(at)), (columns.len(), "a\\n\\u{1b}[2Jb"));
    }
}
