//! The rules of the machine's firewall: printed by their own tools here, loaded by them there.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::super::netlink::Failure;
use super::netfilter::{self, Chain};
use super::ruleset::{Texts, without_tables};
use crate::platform::tool;

/// How long a tool may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the tools are, if the search path does not say: it lacks /usr/sbin for most users.
const PLACES: [&str; 2] = ["/usr/sbin", "/sbin"];

/// The tables of iptables.
const OF_IPTABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// Iptables-legacy locks this file in place of the machine's.
const LOCK: (&str, &str) = ("XTABLES_LOCKFILE", "/dev/null");

/// Our own table, which marks packets to be traced, and shows those that got past all rules.
pub const OWN: &str = "portcheck_trial";

/// A run of a tool that loads rules.
#[derive(Debug)]
struct Load {
    tool: String,
    arguments: &'static [&'static str],
    input: String,
    what: String,
}

/// All rules.
#[derive(Debug, Default)]
pub struct Firewall {
    loads: Vec<Load>,
    /// The text of each rule of nf_tables.
    pub texts: Texts,
    /// The text of the rules of iptables-legacy.
    pub legacy: Texts,
    /// The families that iptables-legacy has rules of.
    pub legacy_families: Vec<&'static str>,
    /// The tables of nf_tables that iptables made: family and name.
    iptables: BTreeSet<netfilter::Table>,
    /// The handles of the machine's rules.
    pub handles: HashMap<Chain, Vec<u64>>,
    /// What could not be read or loaded.
    pub doubts: Vec<String>,
    /// Whether there are chains that see packets before the tracing of `prerouting`.
    has_ingress: bool,
}

impl Firewall {
    /// Reads the rules of this thread's namespace. `Err` if it may not.
    pub fn read(proc: &Path) -> io::Result<Self> {
        let mut firewall = Self::default();
        let tables = match netfilter::tables() {
            Ok(tables) => tables,
            Err(Failure::Refused(error)) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(_) => BTreeSet::new(),
        };
        for (family, start) in [("ip", "iptables"), ("ip6", "ip6tables")] {
            if OF_IPTABLES.iter().any(|name| tables.contains(&(family, (*name).to_owned()))) {
                firewall.read_iptables(family, start, &tables);
            }
            firewall.read_legacy(proc, family, start);
        }
        firewall.read_nftables(&tables);
        firewall.handles = netfilter::handles().unwrap_or_default();
        Ok(firewall)
    }

    /// Tables that iptables made have rules that only iptables prints whole.
    fn read_iptables(&mut self, family: &'static str, start: &str, tables: &BTreeSet<netfilter::Table>) {
        let tool = |end: &str| [format!("{start}-nft{end}"), format!("{start}{end}")].into_iter().find_map(find);
        let Some(saved) = tool("-save").and_then(|tool| print(&tool, &[])) else { return };
        let known = |name: &str| tables.contains(&(family, name.to_owned()));
        let names: Vec<&str> =
            saved.lines().filter_map(|line| line.strip_prefix('*')).filter(|name| known(name)).collect();
        let Some(restore) = tool("-restore").filter(|_| !names.is_empty()) else { return };
        self.iptables.extend(names.iter().map(|name| (family, (*name).to_owned())));
        self.texts.learn_iptables(family, &saved);
        self.load(restore, &[], saved, format!("the rules of {start}"));
    }

    fn read_legacy(&mut self, proc: &Path, family: &'static str, start: &str) {
        let file = if family == "ip" { "ip_tables_names" } else { "ip6_tables_names" };
        if fs::read_to_string(proc.join("thread-self/net").join(file)).unwrap_or_default().trim().is_empty() {
            return;
        }
        let tool = |end: &str| find(format!("{start}-legacy{end}"));
        match (tool("-save").and_then(|tool| print(&tool, &[])), tool("-restore")) {
            (Some(saved), Some(restore)) => {
                self.legacy.learn_iptables(family, &saved);
                self.legacy_families.push(family);
                self.load(restore, &[], saved, format!("the rules of {start}-legacy"));
            }
            _ => self.doubts.push(format!("the rules of {start}-legacy, which no tool could print")),
        }
    }

    fn read_nftables(&mut self, tables: &BTreeSet<netfilter::Table>) {
        let others: Vec<&netfilter::Table> = tables.difference(&self.iptables).collect();
        if others.is_empty() {
            return;
        }
        let found = find("nft".to_owned()).and_then(|nft| Some((print(&nft, &["list", "ruleset"])?, nft)));
        let Some((listing, nft)) = found else {
            let names: Vec<String> = others.iter().map(|(family, name)| format!("{family} {name}")).collect();
            self.doubts.push(format!("these tables of the firewall, which nft could not print: {}", names.join(", ")));
            return;
        };
        let is_iptables =
            |family: &str, name: &str| self.iptables.iter().any(|known| (known.0, &*known.1) == (family, name));
        let listing = without_tables(&listing, is_iptables);
        for family in ["bridge", "arp"] {
            if others.iter().any(|(known, _)| *known == family) {
                self.doubts.push(format!("the tables of the family {family}"));
            }
        }
        self.texts.learn_nft(&listing);
        self.has_ingress = listing.contains("hook ingress");
        self.load(nft, &["-f", "-"], listing, "the rules of nftables".to_owned());
    }

    fn load(&mut self, tool: String, arguments: &'static [&'static str], input: String, what: String) {
        self.loads.push(Load { tool, arguments, input, what });
    }

    /// Whether there are no rules at all.
    pub fn is_empty(&self) -> bool {
        self.loads.is_empty()
    }

    /// Whether a rule may name this interface.
    pub fn names(&self, interface: &str) -> bool {
        self.loads.iter().any(|load| load.input.contains(interface))
    }

    /// The tool that the rules of a table belong to.
    pub fn backend(&self, family: &str, table: &str) -> &'static str {
        let is_iptables = self.iptables.iter().any(|known| (known.0, &*known.1) == (family, table));
        if is_iptables { "iptables-nft" } else { "nftables" }
    }

    /// Loads the rules in this thread's namespace, and our own table. Returns what could not be loaded,
    /// and whether packets are traced.
    pub fn load_again(&self, interfaces: &[&str]) -> (Vec<String>, bool) {
        let mut failed = Vec::new();
        for Load { tool, arguments, input, what } in &self.loads {
            let command: Vec<String> =
                [tool.clone()].into_iter().chain(arguments.iter().map(ToString::to_string)).collect();
            if let Err(reason) = tool::feed(&command, &[LOCK], input, PATIENCE) {
                failed.push(format!("{what}: {reason}"));
            }
        }
        // Without it, rules are found by their counters, or not named.
        let nft = find("nft".to_owned()).filter(|_| !self.is_empty());
        let command = nft.map(|nft| [nft, "-f".to_owned(), "-".to_owned()]);
        let traced = command.map(|command| tool::feed(&command, &[], &self.own_table(interfaces), PATIENCE));
        (failed, traced.is_some_and(|loaded| loaded.is_ok()))
    }

    fn own_table(&self, interfaces: &[&str]) -> String {
        // What the fence is for: `trial::FENCE`.
        const FENCE: &str = "ip saddr 192.0.2.254 udp sport 9 meta nftrace set 1 drop;";
        // The packet that goes on with a connection has data: `packet::follow`.
        const MARK: &str = "tcp flags & syn == syn meta nftrace set 1; tcp flags & psh == psh meta nftrace set 1; \
                            meta l4proto udp meta nftrace set 1;";
        let mut table = format!(
            "table inet {OWN} {{\n\
             chain pre {{ type filter hook prerouting priority -500; {FENCE} {MARK} }}\n\
             chain out {{ type filter hook output priority -500; {MARK} }}\n\
             chain in {{ type filter hook input priority -500; }}\n\
             chain end {{ type filter hook input priority 2147483647; }}\n}}\n"
        );
        if self.has_ingress {
            let _ = writeln!(table, "table netdev {OWN} {{");
            for (index, interface) in interfaces.iter().enumerate() {
                let _ = writeln!(
                    table,
                    "chain i{index} {{ type filter hook ingress device \"{interface}\" priority -500; {FENCE} {MARK} }}"
                );
            }
            table.push_str("}\n");
        }
        table
    }
}

/// The path of a tool.
pub fn find(name: String) -> Option<String> {
    let places = PLACES.iter().map(|place| format!("{place}/{name}")).find(|path| Path::new(path).is_file());
    places.or_else(|| tool::find_on_path(&name).map(|_| name))
}

/// What a tool prints; `None` if it prints nothing.
pub fn print(tool: &str, arguments: &[&str]) -> Option<String> {
    let command: Vec<String> = [tool].iter().chain(arguments).map(ToString::to_string).collect();
    tool::read(&command, PATIENCE).filter(|text| !text.is_empty())
}
