//! The search for the owners of sockets: sweep, look again at what nobody has, and only then look elsewhere.

use std::collections::HashSet;
use std::path::Path;

use super::elsewhere::{self, Elsewhere};
use super::host;
use super::owners::{self, Sweep};
use super::sock_diag::Entry;
use super::tables::Tables;
use crate::collect::Scope;
use crate::error::Error;
use crate::model::{Gap, Hides};

/// What the search for owners found.
#[derive(Debug, Default)]
pub struct Search {
    /// Who has which socket.
    pub sweep: Sweep,
    /// Set if every process could be looked at, and some sockets were in none of them.
    pub elsewhere: Option<Elsewhere>,
    /// Whether no process can be outside of our pid namespace.
    pub sees_every_namespace: bool,
}

/// Looks for the owners. Sockets that are closed meanwhile are taken out of `entries`: nobody has them, and that must
/// not be taken for a finding.
pub fn search(
    proc: &Path,
    tables: &mut Tables<'_>,
    scope: &Scope,
    entries: &mut Vec<Entry>,
    gaps: &mut Vec<Gap>,
) -> Result<Search, Error> {
    let mut wanted: Vec<u64> = entries.iter().filter_map(|entry| entry.socket.inode).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let sees_every_namespace = host::sees_every_pid_namespace(proc);
    let mut sweep = match owners::sweep(proc, &wanted) {
        Ok(sweep) => sweep,
        Err(error) => {
            gaps.push(Gap {
                code: "no-proc",
                hides: Hides::Owners,
                protocol: None,
                summary: format!("processes cannot be seen: {error}"),
                root_would_see: false,
            });
            let sweep = Sweep { others_invisible: true, ..Sweep::default() };
            return Ok(Search { sweep, ..Search::default() });
        }
    };
    let mut elsewhere = None;
    if !unowned(entries, &sweep).is_empty() {
        drop_closed(tables, scope, entries, &sweep)?;
        if sweep.is_complete() {
            // It may have been passed on to a process that had been looked at before.
            sweep.add(owners::sweep(proc, &unowned(entries, &sweep))?);
            let missing = unowned(entries, &sweep);
            if sees_every_namespace && !missing.is_empty() {
                elsewhere = Some(elsewhere::look(proc, &missing));
            }
            // What is still open now was open all the time that we looked everywhere.
            drop_closed(tables, scope, entries, &sweep)?;
        }
    }
    Ok(Search { sweep, elsewhere, sees_every_namespace })
}

/// Takes out the sockets without an owner that are not open any more.
fn drop_closed(tables: &mut Tables<'_>, scope: &Scope, entries: &mut Vec<Entry>, sweep: &Sweep) -> Result<(), Error> {
    if unowned(entries, sweep).is_empty() {
        return Ok(());
    }
    let again = tables.read_scope(scope)?;
    let open: HashSet<u64> = again.iter().filter_map(|entry| entry.socket.inode).collect();
    entries.retain(|entry| {
        entry.socket.inode.is_none_or(|inode| open.contains(&inode) || sweep.owners_of(inode).next().is_some())
    });
    Ok(())
}

/// The inodes of `sockets` that the sweep found nowhere, ascending.
fn unowned(sockets: &[Entry], sweep: &Sweep) -> Vec<u64> {
    let mut inodes: Vec<u64> = sockets
        .iter()
        .filter_map(|entry| entry.socket.inode)
        .filter(|&inode| sweep.owners_of(inode).next().is_none())
        .collect();
    inodes.sort_unstable();
    inodes.dedup();
    inodes
}
