//! Who can reach a port: the trials on a replica of the network, and what they come to.

use std::net::{IpAddr, SocketAddr};

use super::{Gap, Protocol};

/// An address of this machine on one of its interfaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `eth0`.
    pub interface: String,
    /// The number of the interface.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// How many of its bits name the network.
    pub prefix: u8,
    /// Whether the default route of its family leads through this interface.
    pub is_default: bool,
}

/// Where connections come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This machine.
    Here,
    /// The network that an interface is connected to: `10.0.0.0/24`, `eth0`.
    Network(String, String),
    /// Any other machine.
    Elsewhere,
    /// An address that was named.
    Named,
}

/// One packet to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Which protocol.
    pub protocol: Protocol,
    /// Who sends it.
    pub from: IpAddr,
    /// What that is.
    pub origin: Origin,
    /// Where it is sent to.
    pub to: SocketAddr,
    /// The interface that it arrives at, if no route leads back to the sender.
    pub through: u32,
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// The server answered, or received the datagram.
    Answered,
    /// A reset, or an error of ICMP.
    Refused,
    /// The packet left for another machine.
    Forwarded(SocketAddr),
    /// Nothing.
    Silence,
}

/// What became of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// What came back.
    pub reply: Reply,
    /// The local address and port that it had after all rules, if it got past them.
    pub delivered: Option<SocketAddr>,
    /// The rule or policy that ended it.
    pub stopper: Option<Stopper>,
    /// What its fate depends on, but cannot be replayed.
    pub doubt: Option<Doubt>,
    /// Whether rules of Docker's sent it elsewhere.
    pub is_dockers: bool,
}

/// Something whose effect cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The rule, if it is one.
    pub rule: Option<Stopper>,
    /// What the fate of the packet depends on: `a rate limit`.
    pub on: String,
}

/// Programs that write the rules of a firewall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Frontend {
    /// ufw(8).
    Ufw,
    /// firewalld(1).
    Firewalld,
    /// Docker.
    Docker,
    /// kube-proxy and network plugins of Kubernetes.
    Kubernetes,
}

/// The rule, or the policy of a chain, that decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopper {
    /// `nftables`, `iptables-nft`, `iptables-legacy`.
    pub backend: &'static str,
    /// `ip`, `ip6`, `inet`.
    pub family: String,
    /// Its table.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// The rule; `None` for the policy of the chain.
    pub rule: Option<RuleText>,
    /// Who wrote it.
    pub frontend: Option<Frontend>,
}

/// A rule within its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleText {
    /// Counted from one.
    pub position: usize,
    /// As its tool prints it, without counters.
    pub text: String,
    /// Its comment.
    pub comment: Option<String>,
    /// Its number in the machine's own ruleset.
    pub handle: Option<u64>,
}

/// What all trials came to.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// One for each question, in the same order; `None` where it could not be tried.
    pub trials: Vec<Option<Trial>>,
    /// What could not be replayed. It makes every answer uncertain.
    pub gaps: Vec<Gap>,
    /// Whether rules of ufw are there.
    pub has_ufw: bool,
}

/// Whether an address can reach a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Reached {
    /// It can.
    Open,
    /// It is refused.
    Refused,
    /// It gets no answer.
    Dropped,
    /// A rule sends it to another place.
    Diverted,
    /// Nobody listens on the port.
    NotListening,
    /// The server listens on other addresses only.
    NotBoundThere,
    /// It cannot be told.
    Unknown,
}

/// What stops a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// A rule or a policy of the firewall.
    Firewall(Stopper),
    /// The addresses that the server listens on.
    Binding(Vec<String>),
    /// There is no way, or no way back.
    Route,
}

/// What there is to say of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    /// The source.
    pub from: IpAddr,
    /// What that is.
    pub origin: Origin,
    /// The address that it connects to.
    pub to: IpAddr,
    /// Where a rule sends it.
    pub diverted_to: Option<SocketAddr>,
    /// Whether it can.
    pub result: Reached,
    /// What stops it.
    pub by: Option<By>,
    /// What else there is to know.
    pub note: Option<String>,
}
