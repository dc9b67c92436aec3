//! What typed targets mean on this machine.

use super::common::Narrow;
use super::{Stop, suggest};
use crate::commands::wait::{self, Remote};
use crate::model::{Family, Protocol};
use crate::platform::machine;
use crate::target::{self, Names, Target, TargetError};

/// What the grammar asks of the machine. An unknown word may be a command or an option as well as a
/// service.
pub const NAMES: Names = Names { nearest: suggest::word, ..machine::NAMES };

/// The ports that are asked about.
pub fn resolve(typed: &[String], narrow: &Narrow) -> Result<Vec<Target>, Stop> {
    let mut targets = Vec::new();
    for typed in typed {
        targets.extend(read(typed, narrow.protocol())?);
    }
    fit(&mut targets, narrow)?;
    Ok(targets)
}

/// The ports that are waited for: those on this machine, and those on others. What listens is
/// usually a TCP server.
pub fn resolve_with_remotes(typed: &[String], narrow: &Narrow) -> Result<(Vec<Target>, Vec<Remote>), Stop> {
    let usual = narrow.protocol().or(Some(Protocol::Tcp));
    let (mut targets, mut remotes) = (Vec::new(), Vec::new());
    for typed in typed {
        let found = target::parse_usual(typed, &NAMES, usual);
        require_interfaces(typed, found.as_deref().unwrap_or_default())?;
        match (found, wait::parse_remote(typed, &machine::NAMES)) {
            (Ok(found), None) => targets.extend(found),
            (Ok(found), Some(_)) if found.iter().all(is_here) => targets.extend(found),
            (_, Some(remote)) => remotes.extend(remote.map_err(Stop::Usage)?),
            (Err(error), None) => return Err(error.into()),
        }
    }
    fit(&mut targets, narrow)?;
    Ok((targets, remotes))
}

impl From<TargetError> for Stop {
    fn from(error: TargetError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Reads one argument. A service name asks for no protocol by itself: it means the `usual` one.
fn read(typed: &str, usual: Option<Protocol>) -> Result<Vec<Target>, TargetError> {
    let targets = target::parse_usual(typed, &NAMES, usual)?;
    require_interfaces(typed, &targets)?;
    Ok(targets)
}

fn require_interfaces(typed: &str, targets: &[Target]) -> Result<(), TargetError> {
    let mut zones = targets.iter().filter_map(|target| target.zone.as_deref());
    match zones.find(|zone| machine::interface_index(zone) == 0) {
        Some(unknown) => {
            let reason = format!("names the interface '{unknown}', which this machine does not have");
            Err(TargetError { typed: typed.to_owned(), reason })
        }
        None => Ok(()),
    }
}

fn is_here(target: &Target) -> bool {
    target.addresses.iter().all(|&address| machine::is_own(address))
}

/// Requires every target to be of a protocol and a family that is looked at.
fn fit(targets: &mut [Target], narrow: &Narrow) -> Result<(), Stop> {
    for target in targets.iter_mut().filter(|target| !target.addresses.is_empty()) {
        keep_family(target, narrow.family())?;
    }
    let Some(only) = narrow.protocol() else { return Ok(()) };
    match targets.iter().find(|target| !target.wants(only)) {
        Some(target) => {
            let (asked, option) = if only == Protocol::Tcp { ("udp", "--tcp") } else { ("tcp", "--udp") };
            let port = target.first;
            Err(Stop::Usage(format!("port {port}/{asked} is asked about, but {option} leaves it out")))
        }
        None => Ok(()),
    }
}

/// Leaves out the addresses of the other family: `localhost` has both.
fn keep_family(target: &mut Target, family: Option<Family>) -> Result<(), Stop> {
    let asked = target.addresses[0];
    target.addresses.retain(|&address| Family::fits(family, address));
    if target.addresses.is_empty() {
        let only = if family == Some(Family::Ipv4) { "-4" } else { "-6" };
        return Err(Stop::Usage(format!("{asked} is asked about, but {only} leaves it out")));
    }
    Ok(())
}
