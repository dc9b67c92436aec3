//! Which tables can divert connections: one question over nfnetlink, and one file for iptables-legacy.

use std::fs;
use std::path::Path;

use rustix::net::netlink::NETFILTER;

use super::super::netlink::{Failure, Netlink, find_attribute, text};

/// A table of nftables with a chain that what arrives enters for address translation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// `ip`, `ip6`, `inet`.
    pub family: &'static str,
    /// Its name.
    pub name: String,
}

// linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
const NEWCHAIN: u16 = 10 << 8 | 3;
const GETCHAIN: u16 = 10 << 8 | 4;
/// `struct nfgenmsg`: family, version, resource.
const NFGENMSG: usize = 4;
const NFTA_CHAIN_TABLE: u16 = 1;
const NFTA_CHAIN_TYPE: u16 = 7;

/// The families that have ports, by their numbers (`NFPROTO_*`, linux/netfilter.h).
const FAMILIES: [(u8, &str); 3] = [(1, "inet"), (2, "ip"), (10, "ip6")];

/// The tables of nftables with chains of type nat. Only for who may change the firewall (CAP_NET_ADMIN).
pub fn of_nftables() -> Result<Vec<Table>, Failure> {
    let mut tables: Vec<Table> = Vec::new();
    let mut netlink = Netlink::open(Some(NETFILTER)).map_err(Failure::Refused)?;
    netlink.dump(GETCHAIN, &[0; NFGENMSG], |kind, payload| {
        if kind == NEWCHAIN
            && let Some(table) = parse(payload)?
            && !tables.contains(&table)
        {
            tables.push(table);
        }
        Ok(())
    })?;
    Ok(tables)
}

/// The table of a chain of type nat; `None` for chains of other types and families.
fn parse(payload: &[u8]) -> Result<Option<Table>, Failure> {
    let Some((header, attributes)) = payload.split_at_checked(NFGENMSG) else { return Ok(None) };
    let family = FAMILIES.iter().find(|(number, _)| *number == header[0]);
    let kind = find_attribute(attributes, NFTA_CHAIN_TYPE)?.map(text);
    let name = find_attribute(attributes, NFTA_CHAIN_TABLE)?.map(text);
    Ok(match (family, kind.as_deref(), name) {
        (Some(&(_, family)), Some("nat"), Some(name)) => Some(Table { family, name }),
        _ => None,
    })
}

/// The families whose tables iptables-legacy has loaded `nat` among. Empty if nobody has, or only root may read that.
pub fn of_legacy(proc: &Path) -> Vec<&'static str> {
    let has_nat = |name: &str| {
        let names = fs::read_to_string(proc.join("thread-self/net").join(name)).unwrap_or_default();
        names.lines().any(|table| table == "nat")
    };
    [("ip_tables_names", "ip"), ("ip6_tables_names", "ip6")]
        .into_iter()
        .filter_map(|(file, family)| has_nat(file).then_some(family))
        .collect()
}
