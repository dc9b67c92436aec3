//! Free ports as a program asks for them: [`Picker`] and [`Reservation`].

use std::ops::RangeInclusive;

use crate::collect;
use crate::commands::free::{Demand, Order, Picked, Wanted, pick, why_nothing_is_left};
use crate::error::Error;
use crate::model::{Backend, Family, Protocol};

/// Picks ports that are free for TCP and UDP, away from those that the kernel gives to clients.
///
/// ```
/// let reservation = portcheck::Picker::new().count(2).pick()?;
/// let ports = reservation.ports();
/// assert_eq!(ports.len(), 2);
/// // Whoever is told the ports can bind them now.
/// drop(reservation);
/// # Ok::<(), portcheck::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Picker(Demand);

impl Default for Picker {
    fn default() -> Self {
        Self::new()
    }
}

impl Picker {
    /// One port of 20000-29999.
    pub fn new() -> Self {
        Self(Demand {
            count: 1,
            wanted: Wanted::default(),
            order: Order::random(),
            key: None,
            protocols: Protocol::ALL.to_vec(),
            family: None,
            addresses: Vec::new(),
            scope: 0,
            as_servers: false,
        })
    }

    /// So many ports at once: all or none.
    pub fn count(mut self, count: usize) -> Self {
        self.0.count = count;
        self
    }

    /// From these ports.
    pub fn range(mut self, ports: RangeInclusive<u16>) -> Self {
        self.0.wanted.range = Some([ports.into_inner()].into_iter().collect());
        self
    }

    /// This port before all others, if it is free.
    pub fn prefer(mut self, port: u16) -> Self {
        self.0.wanted.preferred.push(port);
        self
    }

    /// Free for this protocol only.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.0.protocols = vec![protocol];
        self
    }

    /// Free for this family only.
    pub fn family(mut self, family: Family) -> Self {
        self.0.family = Some(family);
        self
    }

    /// Picks, and keeps what was picked.
    ///
    /// # Errors
    ///
    /// If not enough ports are left, or no socket can be opened.
    pub fn pick(&self) -> Result<Reservation, Error> {
        let (choice, picked) = pick(&self.0, &collect::host(Backend::Native))?;
        picked.map(Reservation).ok_or_else(|| Error::NoneLeft(why_nothing_is_left(&choice)))
    }
}

/// Ports that nobody else can bind, nor get from portcheck, until this is dropped.
#[derive(Debug)]
pub struct Reservation(Picked);

impl Reservation {
    /// The ports, in the order in which they were found.
    pub fn ports(&self) -> Vec<u16> {
        self.0.ports()
    }
}
