//! The names of ports: first the machine's services file, then IANA's registry.

use super::services_file::{self, Entry};
use super::{common_use, iana, nearest};
use crate::model::Protocol;

/// What the number of a port alone says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// The name in the services file if it has one, else IANA's.
    pub name: Option<String>,
    /// Where `name` is from. `None` if there is no name.
    pub source: Option<Source>,
    /// IANA's assigned name, whatever the services file says.
    pub iana: Option<&'static str>,
    /// What developers usually run there: a habit that nobody assigns.
    pub common_use: Option<&'static str>,
}

/// Where a port's name is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[cfg_attr(test, derive(strum::VariantNames))]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum Source {
    /// The machine's services file, which the administrator may have changed.
    ServicesFile,
    /// The built-in copy of IANA's registry.
    Iana,
}

/// The entries of a services file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Services {
    /// Sorted as `services_file::entries` sorts them.
    entries: Vec<Entry>,
}

impl Services {
    /// Reads the machine's services file. If it cannot be read, only IANA's names are known.
    pub fn load() -> Self {
        services_file::read().map_or_else(Self::default, |text| Self::parse(&text))
    }

    /// The same of few ports only, which takes less. Of others nothing may be asked.
    pub fn load_for(ports: &[u16]) -> Self {
        services_file::read()
            .map_or_else(Self::default, |text| Self { entries: services_file::entries_for(&text, ports) })
    }

    /// Reads the text of a services file: lines of `name port/protocol aliases... # comment`. Other
    /// lines and protocols are skipped.
    pub fn parse(text: &str) -> Self {
        Self { entries: services_file::entries(text) }
    }

    /// What is known about a port. `None` if that is nothing.
    pub fn lookup(&self, port: u16, protocol: Protocol) -> Option<Service> {
        let iana = iana::name(port, protocol);
        let common_use = common_use::common_use(port, protocol);
        let (name, source) = match (self.own_name(port, protocol), iana) {
            (Some(own), _) => (Some(own), Some(Source::ServicesFile)),
            (None, Some(assigned)) => (Some(assigned), Some(Source::Iana)),
            (None, None) => (None, None),
        };
        (name.is_some() || common_use.is_some()).then(|| Service {
            name: name.map(str::to_owned),
            source,
            iana,
            common_use,
        })
    }

    /// The ports of a service by its name or an alias, ignoring case; sorted.
    ///
    /// IANA's registry is asked only for names that the services file does not have.
    pub fn ports_named(&self, name: &str) -> Vec<(u16, Protocol)> {
        let mut ports: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.name.eq_ignore_ascii_case(name))
            .map(|entry| (entry.port, entry.protocol))
            .collect();
        // Two lines, or a name and its alias, may be the same. The entries are sorted already.
        ports.dedup();
        if ports.is_empty() {
            ports.extend(iana::ports_named(name));
        }
        ports
    }

    /// The known service name that is most similar to `typed`, if it is similar enough to ask "did
    /// you mean?".
    ///
    /// Of equally similar names, that of the services file comes before IANA's, and that of a lower
    /// port before that of a higher one.
    pub fn nearest_name(&self, typed: &str) -> Option<String> {
        let own = self.entries.iter().map(|entry| &*entry.name);
        let assigned = iana::names().map(|name| -> &str { name });
        nearest::nearest(typed, own.chain(assigned)).map(str::to_owned)
    }

    /// Every name and alias in the file, for the fuzzer.
    #[cfg(fuzzing)]
    pub fn own_names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.name)
    }

    fn own_name(&self, port: u16, protocol: Protocol) -> Option<&str> {
        let first = self.entries.partition_point(|entry| (entry.port, entry.protocol) < (port, protocol));
        self.entries
            .get(first)
            .filter(|entry| (entry.port, entry.protocol) == (port, protocol))
            .map(|entry| &*entry.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Protocol::{Tcp, Udp};

    const SAMPLE: &str = "\
# A comment, and an empty line

ssh\t\t22/tcp\t\t\t# Secure Shell
http\t\t80/tcp\t\twww WorldWideWeb
postgres\t5432/tcp\tpostgresql\t# a name that is not IANA's
my-app\t\t62893/tcp
";

    fn name_of(text: &str, port: u16, protocol: Protocol) -> Option<String> {
        Services::parse(text).own_name(port, protocol).map(str::to_owned)
    }

    #[test]
    fn the_machines_own_name_wins_and_ianas_stays_beside_it() {
        let service = Services::parse(SAMPLE).lookup(5432, Tcp).unwrap();
        assert_eq!(service.name.as_deref(), Some("postgres"));
        assert_eq!(service.source, Some(Source::ServicesFile));
        assert_eq!(service.iana, Some("postgresql"));
    }

    #[test]
    fn iana_names_what_the_file_does_not() {
        let service = Services::parse(SAMPLE).lookup(5432, Udp).unwrap();
        assert_eq!(service.name.as_deref(), Some("postgresql"));
        assert_eq!(service.source, Some(Source::Iana));
    }

    #[test]
    fn a_common_use_is_kept_apart_from_the_name() {
        let service = Services::default().lookup(3000, Tcp).unwrap();
        assert_eq!(
            service,
            Service {
                name: Some("hbci".to_owned()),
                source: Some(Source::Iana),
                iana: Some("hbci"),
                common_use: Some("Node, Rails, Grafana"),
            }
        );
    }

    #[test]
    fn a_common_use_alone_is_worth_an_answer_without_a_name() {
        let service = Services::default().lookup(5173, Tcp).unwrap();
        assert_eq!((service.name, service.source, service.iana), (None, None, None));
        assert_eq!(service.common_use, Some("Vite"));
    }

    #[test]
    fn nothing_known_is_none() {
        assert_eq!(Services::default().lookup(62893, Tcp), None);
        assert_eq!(Services::parse(SAMPLE).lookup(62893, Udp), None);
        let service = Services::parse(SAMPLE).lookup(62893, Tcp).unwrap();
        assert_eq!((service.name.as_deref(), service.iana), (Some("my-app"), None));
    }

    #[test]
    fn every_port_gets_a_consistent_answer() {
        let services = Services::parse(SAMPLE);
        for port in 0..=u16::MAX {
            for protocol in [Tcp, Udp] {
                let Some(service) = services.lookup(port, protocol) else {
                    assert_eq!(iana::name(port, protocol), None, "{port}");
                    continue;
                };
                assert_eq!(service.name.is_some(), service.source.is_some(), "{port}");
                assert!(service.name.is_some() || service.common_use.is_some(), "{port}");
                assert!(service.iana.is_none() || service.name.is_some(), "{port}");
            }
        }
    }

    #[test]
    fn the_first_name_of_a_port_is_its_name_though_another_has_it_as_alias_before() {
        let text = "first 9000/tcp\nsecond 9000/tcp third\nzero 9000/udp\n";
        assert_eq!(name_of(text, 9000, Tcp).as_deref(), Some("first"));
        assert_eq!(name_of(text, 9000, Udp).as_deref(), Some("zero"));
        assert_eq!(Services::parse(text).ports_named("third"), [(9000, Tcp)]);
    }

    #[test]
    fn names_and_aliases_lead_to_ports_in_any_case() {
        let services = Services::parse(SAMPLE);
        assert_eq!(services.ports_named("WWW"), [(80, Tcp)]);
        assert_eq!(services.ports_named("worldwideweb"), [(80, Tcp)]);
        // The file has it for TCP only, and the file is asked first.
        assert_eq!(services.ports_named("PostgreSQL"), [(5432, Tcp)]);
        // Not in the file.
        assert_eq!(services.ports_named("redis"), [(6379, Tcp)]);
        assert_eq!(services.ports_named("no-such-service"), []);
    }

    #[test]
    fn ports_are_sorted_and_come_once() {
        let text = "multi 90/udp\nmulti 90/tcp MULTI\nmulti 7/tcp\nother 90/tcp multi\n";
        assert_eq!(Services::parse(text).ports_named("multi"), [(7, Tcp), (90, Tcp), (90, Udp)]);
    }

    #[test]
    fn a_slip_finds_the_name_meant() {
        let services = Services::parse(SAMPLE);
        let nearest = |typed| services.nearest_name(typed);
        assert_eq!(nearest("postgress").as_deref(), Some("postgres"));
        assert_eq!(nearest("redsi").as_deref(), Some("redis"));
        assert_eq!(nearest("HTPP").as_deref(), Some("http"));
        assert_eq!(nearest("my_app").as_deref(), Some("my-app"));
    }

    #[test]
    fn what_is_like_no_name_gets_no_hint() {
        for typed in ["", "qqqqqqqq", "definitely-not-a-service", &"x".repeat(1_000_000)] {
            assert_eq!(Services::parse(SAMPLE).nearest_name(typed), None, "{typed:.20}");
        }
    }
}
