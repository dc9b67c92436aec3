//! Looks for listeners again and again, as cheaply as possible.

use std::collections::HashSet;
use std::os::fd::AsFd;
use std::path::Path;

use super::sock_diag::{Closings, States};
use super::tables::Tables;
use super::{PROC, device_name};
use crate::error::Error;
use crate::model::{Protocol, Socket};
use crate::platform::ends::Waker;
use crate::port_set::PortSet;

/// Access to the tables that stays open.
#[derive(Debug)]
pub struct Watch {
    tables: Tables,
    closings: Option<Closings>,
    /// The cookies of the listeners that the last look has seen.
    seen: HashSet<u64>,
}

impl Watch {
    /// Opens the tables.
    pub fn open() -> Self {
        Self { tables: Tables::open(Path::new(PROC)), closings: None, seen: HashSet::new() }
    }

    /// Lets the kernel report from now on what is closed, if it can. Connections are left out.
    pub fn report_closings(&mut self) {
        self.closings = Closings::open(false).ok();
    }

    /// What becomes readable when something was closed.
    pub fn waker(&self) -> Option<Waker<'_>> {
        self.closings.as_ref().map(AsFd::as_fd)
    }

    /// Whether a listener of the last look was closed since, or may have been. Others do not count:
    /// whoever tries bind closes sockets, too.
    pub fn has_closed(&mut self) -> bool {
        let Some(closings) = &mut self.closings else { return false };
        let report = closings.take();
        report.is_incomplete || report.closed.iter().any(|closed| self.seen.contains(&closed.cookie))
    }

    /// The sockets of `protocol` on `ports` that wait for peers, without their owners. For TCP
    /// these are the listeners, which the kernel keeps in a table of their own.
    pub fn listeners(&mut self, protocol: Protocol, ports: &PortSet) -> Result<Vec<Socket>, Error> {
        let states = match protocol {
            Protocol::Tcp => States::LISTENING,
            Protocol::Udp => States::ALL,
        };
        let entries = self.tables.read(protocol, states, ports)?;
        // The text under /proc/net shows every state, asked for or not.
        let waiting = entries.into_iter().filter(|entry| entry.socket.state.is_listening());
        let named = waiting.map(|entry| match entry.interface {
            0 => entry.socket,
            index => Socket { device: device_name(index), ..entry.socket },
        });
        let found: Vec<Socket> = named.collect();
        if protocol == Protocol::Tcp {
            self.seen = found.iter().filter_map(|socket| socket.cookie).collect();
        }
        Ok(found)
    }
}
