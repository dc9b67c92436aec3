//! docker-proxy as an ordinary user sees it: its descriptors are hidden, and its arguments are not.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::ask::arguments;
use crate::model::{Pid, Proxied, Socket};

/// A process of root that is called docker-proxy, and what it forwards by its arguments.
///
/// Nobody but root can give this name to a process of root.
#[derive(Debug, Clone, Copy)]
pub struct Proxy {
    /// Its id.
    pub pid: Pid,
    /// The ends that it joins.
    pub joins: Proxied,
}

impl Proxy {
    /// Whether it says that it holds `socket`.
    pub fn claims(&self, socket: &Socket) -> bool {
        socket.is_at(self.joins.protocol, self.joins.listen)
    }
}

/// The proxies among processes that could not be inspected.
pub fn find(proc: &Path, unreadable: &[Pid]) -> Vec<Proxy> {
    let proxy = |&pid: &Pid| {
        let directory = proc.join(pid.to_string());
        let name = fs::read_to_string(directory.join("comm")).ok()?;
        let is_roots = || fs::metadata(&directory).is_ok_and(|metadata| metadata.uid() == 0);
        let is_proxy = name.trim_end() == "docker-proxy" && is_roots();
        let joins = is_proxy.then(|| Proxied::parse(&arguments(proc, pid)))??;
        Some(Proxy { pid, joins })
    };
    unreadable.iter().filter_map(proxy).collect()
}
