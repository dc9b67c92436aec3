//! Free ports in place of those that are not available, by the names of variables: `WEB_PORT=8090`.

use std::collections::BTreeSet;

use super::suggest::{demand, needs_another};
use super::{Row, Standing};
use crate::commands::free::{self, Demand, Leased, Picked, Terms};
use crate::error::Error;
use crate::model::Host;
use crate::port_set::PortSet;

/// Ports that were picked, and the variable for each.
#[derive(Debug, Default)]
pub struct Substitutes {
    /// The names of the variables.
    pub names: Vec<String>,
    /// Their ports.
    pub ports: Vec<u16>,
    picked: Option<Picked>,
}

impl Substitutes {
    /// Leases the ports.
    pub fn keep(&mut self, terms: &Terms) -> Result<Leased, Error> {
        self.picked.take().map_or_else(|| Ok(Leased::default()), |picked| picked.keep(terms))
    }

    fn add(&mut self, name: String, port: u16, picked: Picked) {
        self.names.push(name);
        self.ports.push(port);
        self.picked = Some(match self.picked.take() {
            Some(others) => others.and(picked),
            None => picked,
        });
    }
}

/// Picks a port for each row that cannot have its own, and notes it there.
pub fn pick(rows: &mut [Row], host: &Host) -> Result<Substitutes, Error> {
    let mut substitutes = Substitutes::default();
    let asked: PortSet = rows.iter().filter_map(|row| row.port).map(|port| (port, port)).collect();
    let mut done: BTreeSet<usize> = BTreeSet::new();
    for at in 0..rows.len() {
        if done.contains(&at) || !needs_another(rows, at) {
            continue;
        }
        let (name, group) = variable(rows, at, &substitutes.names);
        if !free::is_name(&name) || free::rules_programs(&name) || collides_with_itself(rows, &group) {
            continue;
        }
        let Some(demand) = joint_demand(rows, &group, &asked) else { continue };
        let (_, Some(picked)) = free::pick(&demand, host)? else { continue };
        let Some(&port) = picked.ports().first() else { continue };
        substitutes.add(name.clone(), port, picked);
        for &member in &group {
            rows[member].suggestion = Some(port);
            rows[member].substitute = Some(name.clone());
        }
        done.extend(group);
    }
    Ok(substitutes)
}

/// The variable of a row, and all rows whose port it is.
fn variable(rows: &[Row], at: usize, taken: &[String]) -> (String, Vec<usize>) {
    let row = &rows[at];
    if let Some(name) = &row.wanted.variable {
        let has_it = |&other: &usize| rows[other].wanted.variable.as_ref() == Some(name);
        return (name.clone(), (0..rows.len()).filter(has_it).collect());
    }
    let kept = |one: char| if one.is_ascii_alphanumeric() { one.to_ascii_uppercase() } else { '_' };
    let mut name: String = row.wanted.service.chars().map(kept).collect();
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        name.insert(0, '_');
    }
    let is_taken =
        |name: &String| taken.contains(name) || rows.iter().any(|row| row.wanted.variable.as_ref() == Some(name));
    let mut names =
        (1..).map(|number| if number == 1 { format!("{name}_PORT") } else { format!("{name}_PORT{number}") });
    (names.find(|name| !is_taken(name)).unwrap_or_default(), vec![at])
}

/// Whether two rows that get the same port would still be in each other's way.
fn collides_with_itself(rows: &[Row], group: &[usize]) -> bool {
    group.iter().any(|&at| {
        rows[at].standing == Standing::Collision && rows[at].collides_with.is_some_and(|other| group.contains(&other))
    })
}

/// One port for all of them, on all their addresses.
fn joint_demand(rows: &[Row], group: &[usize], asked: &PortSet) -> Option<Demand> {
    let first = group.iter().find_map(|&at| demand(&rows[at], asked))?;
    let mut protocols = Vec::new();
    for &at in group {
        if !protocols.contains(&rows[at].wanted.protocol) {
            protocols.push(rows[at].wanted.protocol);
        }
    }
    let addresses: Option<Vec<_>> = group.iter().map(|&at| rows[at].wanted.address).collect();
    Some(Demand { protocols, addresses: addresses.unwrap_or_default(), ..first })
}
