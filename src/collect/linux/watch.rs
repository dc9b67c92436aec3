//! Looks for listeners again and again, as cheaply as possible.

use std::path::Path;

use super::sock_diag::States;
use super::tables::Tables;
use super::{PROC, device_name};
use crate::error::Error;
use crate::model::{Protocol, Socket};
use crate::port_set::PortSet;

/// Access to the tables that stays open.
#[derive(Debug)]
pub struct Watch(Tables);

impl Watch {
    /// Opens the tables.
    pub fn open() -> Self {
        Self(Tables::open(Path::new(PROC)))
    }

    /// The sockets of `protocol` on `ports` that wait for peers, without their owners. For TCP
    /// these are the listeners, which the kernel keeps in a table of their own.
    pub fn listeners(&mut self, protocol: Protocol, ports: &PortSet) -> Result<Vec<Socket>, Error> {
        let states = match protocol {
            Protocol::Tcp => States::LISTENING,
            Protocol::Udp => States::ALL,
        };
        let entries = self.0.read(protocol, states, ports)?;
        // The text under /proc/net shows every state, asked for or not.
        let waiting = entries.into_iter().filter(|entry| entry.socket.state.is_listening());
        let named = waiting.map(|entry| match entry.interface {
            0 => entry.socket,
            index => Socket { device: device_name(index), ..entry.socket },
        });
        Ok(named.collect())
    }
}
