//! Questions as a program asks them: [`check()`], [`list()`] and [`Query`].

use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::collect::{Detail, Namespaces};
use crate::commands::check;
use crate::commands::diagnosis::Diagnosis;
use crate::commands::list;
use crate::error::Error;
use crate::model::{Backend, Family, Protocol};
use crate::request::{Filter, Order, Request};
use crate::target::Target;

/// Tells who holds a port, for TCP and UDP, and whether it can be bound.
///
/// ```
/// let diagnosis = portcheck::check(8080)?;
/// for port in &diagnosis.ports {
///     println!("{}/{}: {:?}", port.observed.port, port.observed.protocol, port.verdict.status);
///     for finding in &port.verdict.findings {
///         println!("  {}", diagnosis.summary(finding));
///     }
/// }
/// # Ok::<(), portcheck::Error>(())
/// ```
///
/// # Errors
///
/// If the sockets of this machine cannot be listed at all.
pub fn check(port: u16) -> Result<Diagnosis, Error> {
    Query::port(port).check()
}

/// Lists the ports in use that fit a filter, in order.
///
/// ```
/// let mine = portcheck::Filter { pids: vec![std::process::id()], ..Default::default() };
/// for port in &portcheck::list(&mine)?.ports {
///     println!("this program has {}", port.observed.name());
/// }
/// # Ok::<(), portcheck::Error>(())
/// ```
///
/// # Errors
///
/// If the sockets of this machine cannot be listed at all.
pub fn list(filter: &Filter) -> Result<Diagnosis, Error> {
    list::list(&request(Vec::new()), filter, Order::default()).map(|listing| listing.diagnosis)
}

/// A question about ports, narrowed step by step.
///
/// ```
/// use portcheck::{Protocol, Query, Status};
///
/// let server = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let address = server.local_addr()?;
/// let diagnosis = Query::port(address.port()).on(address.ip()).protocol(Protocol::Tcp).check()?;
/// assert_eq!(diagnosis.ports[0].verdict.status, Status::Held);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Query {
    target: Target,
    request: Request,
}

impl Query {
    /// Asks about one port, for TCP and UDP, on every address.
    pub fn port(port: u16) -> Self {
        Self::ports(port..=port)
    }

    /// Asks about several ports.
    pub fn ports(ports: RangeInclusive<u16>) -> Self {
        let (first, last) = ports.into_inner();
        let target = Target { first, last, protocol: None, addresses: Vec::new(), zone: None };
        Self { target, request: request(Vec::new()) }
    }

    /// Asks about this address, beside others that are named like this.
    pub fn on(mut self, address: IpAddr) -> Self {
        self.target.addresses.push(address);
        self
    }

    /// Asks for this protocol only.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.target.protocol = Some(protocol);
        self
    }

    /// Asks for what this family reaches only.
    pub fn family(mut self, family: Family) -> Self {
        self.request.family = Some(family);
        self
    }

    /// Judges for a server that sets SO_REUSEADDR, as most do.
    pub fn reuse_address(mut self) -> Self {
        self.request.reuse_address = true;
        self
    }

    /// Reads the socket tables only: nothing is bound, not even for a moment.
    pub fn without_bind(mut self) -> Self {
        self.request.probe = false;
        self
    }

    /// Looks at the ports.
    ///
    /// # Errors
    ///
    /// If the sockets of this machine cannot be listed at all.
    pub fn check(&self) -> Result<Diagnosis, Error> {
        check::check(&Request { targets: vec![self.target.clone()], ..self.request.clone() })
    }
}

/// A question with nothing special about it.
pub(crate) fn request(targets: Vec<Target>) -> Request {
    Request {
        targets,
        protocols: Protocol::ALL.to_vec(),
        family: None,
        connections: false,
        detail: Detail::Full,
        quick: false,
        backend: Backend::Native,
        probe: true,
        reuse_address: false,
        namespaces: Namespaces::Own,
        program: "portcheck".to_owned(),
    }
}
