//! What nf_tables has, and what it says of packets that are traced, over nfnetlink.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};

use super::super::netlink::{Failure, HEADER, Netlink, find_attribute, text, u16_at, u32_at};
use super::packet;

// linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
const fn message(kind: u16) -> u16 {
    10 << 8 | kind
}
const NEWTABLE: u16 = message(0);
const GETTABLE: u16 = message(1);
const NEWRULE: u16 = message(6);
const GETRULE: u16 = message(7);
const TRACE: u16 = message(17);
/// `struct nfgenmsg`: family, version, resource.
const NFGENMSG: usize = 4;
const TABLE_NAME: u16 = 1;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_HANDLE: u16 = 3;
const TRACE_TABLE: u16 = 1;
const TRACE_CHAIN: u16 = 2;
const TRACE_HANDLE: u16 = 3;
const TRACE_TYPE: u16 = 4;
const TRACE_VERDICT: u16 = 5;
const TRACE_NETWORK: u16 = 8;
const TRACE_TRANSPORT: u16 = 9;
const TRACE_POLICY: u16 = 16;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;
/// `NFT_TRACETYPE_POLICY`, `NFT_TRACETYPE_RETURN`, `NFT_TRACETYPE_RULE`.
const OF_POLICY: u32 = 1;
const OF_RETURN: u32 = 2;
const OF_RULE: u32 = 3;
/// `NFT_JUMP`, `NFT_GOTO`, `NFT_RETURN`, which are negative.
const JUMP: u32 = 3u32.wrapping_neg();
const GOTO: u32 = 4u32.wrapping_neg();
const RETURN: u32 = 5u32.wrapping_neg();
/// The group that traces are sent to: `NFNLGRP_NFTRACE` is the ninth.
const TRACE_GROUP: u32 = 1 << 8;

/// A table: family and name.
pub type Table = (&'static str, String);

/// A chain: family, table and name.
pub type Chain = (String, String, String);

fn family_name(number: u8) -> Option<&'static str> {
    // `NFPROTO_*`, linux/netfilter.h.
    [(1, "inet"), (2, "ip"), (3, "arp"), (5, "netdev"), (7, "bridge"), (10, "ip6")]
        .into_iter()
        .find_map(|(known, name)| (known == number).then_some(name))
}

/// The tables of this thread's namespace. Only for who may change the firewall.
pub fn tables() -> Result<BTreeSet<Table>, Failure> {
    let mut tables = BTreeSet::new();
    let mut netlink = Netlink::open(Some(NETFILTER)).map_err(Failure::Refused)?;
    let learn = |kind: u16, payload: &[u8]| {
        let (header, attributes) = payload.split_at_checked(NFGENMSG).unwrap_or_default();
        let family = header.first().copied().and_then(family_name);
        if let (NEWTABLE, Some(family), Some(name)) = (kind, family, find_attribute(attributes, TABLE_NAME)?) {
            tables.insert((family, text(name)));
        }
        Ok(())
    };
    netlink.dump(GETTABLE, &[0; NFGENMSG], learn)?;
    Ok(tables)
}

/// The handles of the rules of each chain, in their order.
pub fn handles() -> Result<HashMap<Chain, Vec<u64>>, Failure> {
    let mut chains: HashMap<Chain, Vec<u64>> = HashMap::new();
    let mut netlink = Netlink::open(Some(NETFILTER)).map_err(Failure::Refused)?;
    let learn = |kind: u16, payload: &[u8]| {
        let (header, attributes) = payload.split_at_checked(NFGENMSG).unwrap_or_default();
        let Some(family) = header.first().copied().and_then(family_name).filter(|_| kind == NEWRULE) else {
            return Ok(());
        };
        let name = |kind: u16| Ok::<_, Failure>(find_attribute(attributes, kind)?.map(text).unwrap_or_default());
        let handle = find_attribute(attributes, RULE_HANDLE)?.and_then(|value| value.first_chunk());
        let chain = (family.to_owned(), name(RULE_TABLE)?, name(RULE_CHAIN)?);
        chains.entry(chain).or_default().extend(handle.copied().map(u64::from_be_bytes));
        Ok(())
    };
    netlink.dump(GETRULE, &[0; NFGENMSG], learn)?;
    Ok(chains)
}

/// What a chain did with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Drop,
    /// To a program, or taken by the kernel.
    Other,
    /// On with the next rule.
    Next,
    /// To another chain, and back behind this rule.
    Jump,
    /// To another chain, and not back.
    Goto,
    /// Back to the chain that led here.
    Return,
}

/// A step of a packet.
#[derive(Debug, Clone)]
pub struct Step {
    pub chain: Chain,
    /// The rule that matched; `None` at the end of a chain.
    pub handle: Option<u64>,
    pub verdict: Verdict,
    /// Where a jump leads.
    pub next: Option<String>,
    /// Where the packet was headed, in the first step of each chain that a hook calls.
    pub headed: Option<SocketAddr>,
}

/// Receives what packets do.
#[derive(Debug)]
pub struct Tracer(OwnedFd);

impl Tracer {
    /// Listens in this thread's namespace.
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, Some(NETFILTER))?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, TRACE_GROUP))?;
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 1 << 22);
        Ok(Self(socket))
    }

    /// The steps since the last call.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut buffer = vec![0; 16 * 1024];
        while let Ok((length, _)) = rustix::net::recv(&self.0, &mut buffer[..], RecvFlags::empty()) {
            let mut rest = buffer.get(..length).unwrap_or_default();
            while let Ok(size) = u32_at(rest, 0) {
                let size = (size as usize).max(HEADER);
                let Some(body) = rest.get(HEADER..size) else { break };
                if u16_at(rest, 4).is_ok_and(|kind| kind == TRACE) {
                    steps.extend(step(body).ok().flatten());
                }
                rest = rest.get(size.next_multiple_of(4)..).unwrap_or_default();
            }
        }
        steps
    }
}

fn step(payload: &[u8]) -> Result<Option<Step>, Failure> {
    let (header, attributes) = payload.split_at_checked(NFGENMSG).unwrap_or_default();
    let Some(family) = header.first().copied().and_then(family_name) else { return Ok(None) };
    let name = |kind: u16| Ok::<_, Failure>(find_attribute(attributes, kind)?.map(text).unwrap_or_default());
    let number = |attributes: &[u8], kind: u16| {
        let value = find_attribute(attributes, kind)?.and_then(|value| value.first_chunk());
        Ok::<_, Failure>(value.copied().map(u32::from_be_bytes))
    };
    let chain = (family.to_owned(), name(TRACE_TABLE)?, name(TRACE_CHAIN)?);
    let verdict = find_attribute(attributes, TRACE_VERDICT)?.unwrap_or_default();
    let (handle, code) = match number(attributes, TRACE_TYPE)? {
        Some(OF_RULE) => {
            let handle = find_attribute(attributes, TRACE_HANDLE)?.and_then(|value| value.first_chunk());
            (handle.copied().map(u64::from_be_bytes), number(verdict, VERDICT_CODE)?)
        }
        Some(OF_POLICY) => (None, number(attributes, TRACE_POLICY)?),
        Some(OF_RETURN) => (None, Some(RETURN)),
        _ => (None, None),
    };
    let verdict_kind = match code {
        Some(0) => Verdict::Drop,
        Some(1) => Verdict::Accept,
        Some(JUMP) => Verdict::Jump,
        Some(GOTO) => Verdict::Goto,
        Some(RETURN) => Verdict::Return,
        // The verdict of a hook, with a number above it: `NF_QUEUE`, `NF_STOLEN`.
        Some(code) if code & 0xff <= 5 && code < 0x8000_0000 => Verdict::Other,
        _ => Verdict::Next,
    };
    let next = find_attribute(verdict, VERDICT_CHAIN)?.map(text);
    let headers = (find_attribute(attributes, TRACE_NETWORK)?, find_attribute(attributes, TRACE_TRANSPORT)?);
    let headed =
        if let (Some(network), Some(transport)) = headers { packet::destination(network, transport) } else { None };
    Ok(Some(Step { chain, handle, verdict: verdict_kind, next, headed }))
}
