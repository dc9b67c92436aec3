//! Which port could be asked for instead.

use super::{Row, Standing};
use crate::commands::free::{self, Demand, Order, Wanted};
use crate::model::Host;
use crate::port_set::PortSet;

/// For more rows than these, none is looked for.
const MOST: usize = 64;

/// Adds to each port that is not available the nearest free one. No two rows get the same.
pub fn add(rows: &mut [Row], host: &Host) {
    let mut exclude: PortSet = rows.iter().filter_map(|row| row.port).map(|port| (port, port)).collect();
    for at in (0..rows.len()).filter(|&at| needs_another(rows, at)).take(MOST).collect::<Vec<_>>() {
        let Some(demand) = demand(&rows[at], &exclude) else { continue };
        // Without a suggestion the answer is complete, too.
        let Ok((_, Some(picked))) = free::pick(&demand, host) else { continue };
        let port = picked.ports().first().copied();
        exclude = exclude.ranges().iter().copied().chain(port.map(|port| (port, port))).collect();
        rows[at].suggestion = port;
    }
}

/// Of two rows that ask for the same, the later one has to give way.
pub fn needs_another(rows: &[Row], at: usize) -> bool {
    let row = &rows[at];
    match row.standing {
        Standing::Held | Standing::Blocked => !row.is_own,
        Standing::Collision => row.collides_with.is_some_and(|other| other < at),
        _ => false,
    }
}

/// What is to be picked for a row.
pub fn demand(row: &Row, exclude: &PortSet) -> Option<Demand> {
    /// What people add to a port that they may not bind: 80 becomes 8080.
    const ABOVE: u16 = 8000;
    let port = row.port?;
    let near = if port < 1024 { port + ABOVE } else { port };
    Some(Demand {
        count: 1,
        wanted: Wanted { near: Some(near), exclude: exclude.clone(), ..Wanted::default() },
        order: Order::Near(near),
        key: None,
        protocols: vec![row.wanted.protocol],
        family: None,
        addresses: row.wanted.address.into_iter().collect(),
        scope: 0,
        as_servers: false,
    })
}
