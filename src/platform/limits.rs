//! The limit of open files, raised for the ports that are asked for.

#[cfg(unix)]
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The former limit of open files, after it was raised. Windows has none.
#[derive(Debug, Clone)]
pub struct Limit(#[cfg(unix)] Rlimit);

impl Limit {
    /// Restores the limit, for a command that this process becomes.
    #[cfg_attr(not(unix), expect(clippy::unused_self, reason = "there is no such limit"))]
    pub fn restore(self) {
        // This limit was allowed before.
        #[cfg(unix)]
        let _ = setrlimit(Resource::Nofile, self.0);
    }
}

/// Raises our limit of open files, if `descriptors` need it and the system allows it. Returns the
/// former limit.
#[cfg(unix)]
pub fn make_room(descriptors: usize) -> Option<Limit> {
    /// Room for other descriptors: standard streams, netlink, the lease daemon's channel, what the
    /// caller left open.
    const SPARE: u64 = 512;
    let before = getrlimit(Resource::Nofile);
    let needed = u64::try_from(descriptors).unwrap_or(u64::MAX).saturating_add(SPARE);
    if before.current.is_none_or(|current| current >= needed) {
        return None;
    }
    // macOS refuses a limit that is too large, although it reports "unlimited" as the maximum.
    let current = Some(before.maximum.unwrap_or(needed));
    setrlimit(Resource::Nofile, Rlimit { current, maximum: before.maximum }).ok()?;
    Some(Limit(before))
}

/// Raises nothing: there is no such limit.
#[cfg(not(unix))]
pub fn make_room(_descriptors: usize) -> Option<Limit> {
    None
}
