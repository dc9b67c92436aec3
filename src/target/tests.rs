//! The grammar by example. Nothing typed makes it panic.

use proptest::prelude::*;

use super::*;

const NAMES: Names = Names {
    services: |name| match name {
        "domain" => vec![(53, Protocol::Tcp), (53, Protocol::Udp)],
        "postgresql" => vec![(5432, Protocol::Tcp)],
        _ => Vec::new(),
    },
    nearest: |name| (name == "postgresq").then(|| "postgresql".to_owned()),
    hostname: || Some("box".to_owned()),
    addresses: |name| if name == "myapp.test" { vec![Ipv4Addr::new(127, 0, 1, 1).into()] } else { Vec::new() },
};

fn target(first: u16, last: u16, protocol: Option<Protocol>, addresses: &[&str]) -> Target {
    let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
    Target { first, last, protocol, addresses, zone: None }
}

#[track_caller]
fn reads(typed: &str, expected: &[Target]) {
    assert_eq!(parse(typed, &NAMES).as_deref(), Ok(expected), "{typed}");
}

#[track_caller]
fn refuses(typed: &str, reason: &str) {
    let message = parse(typed, &NAMES).expect_err(typed).to_string();
    assert!(message.contains(reason), "{message}");
    assert!(!message.contains('\n'), "{message}");
}

#[test]
fn ports_ranges_and_lists() {
    reads("62893", &[target(62893, 62893, None, &[])]);
    reads("3000-3010", &[target(3000, 3010, None, &[])]);
    reads("80,443", &[target(80, 80, None, &[]), target(443, 443, None, &[])]);
    reads(":8080", &[target(8080, 8080, None, &[])]);
    reads("*:8080", &[target(8080, 8080, None, &[])]);
    reads("1-65535", &[target(1, 65535, None, &[])]);
}

#[test]
fn a_protocol_counts_for_its_item_or_for_the_whole_list() {
    let (tcp, udp) = (Some(Protocol::Tcp), Some(Protocol::Udp));
    reads("53/udp", &[target(53, 53, udp, &[])]);
    reads("53/UDP", &[target(53, 53, udp, &[])]);
    reads("80,443/tcp", &[target(80, 80, tcp, &[]), target(443, 443, tcp, &[])]);
    reads("53/udp,80/tcp", &[target(53, 53, udp, &[]), target(80, 80, tcp, &[])]);
    reads("53/udp,80", &[target(53, 53, udp, &[]), target(80, 80, None, &[])]);
}

/// Regression: what a service name implies was taken for what was asked for.
#[test]
fn a_service_name_means_the_usual_protocol_unless_one_is_typed() {
    let (tcp, udp) = (Some(Protocol::Tcp), Some(Protocol::Udp));
    let protocols = |typed: &str, usual| -> Vec<Option<Protocol>> {
        parse_usual(typed, &NAMES, usual).unwrap().iter().map(|target| target.protocol).collect()
    };
    assert_eq!(protocols("domain", None), [tcp, udp]);
    assert_eq!((protocols("domain", tcp), protocols("domain", udp)), (vec![tcp], vec![udp]));
    assert_eq!((protocols("domain/udp", tcp), protocols("53", tcp)), (vec![udp], vec![None]));
    assert_eq!(protocols("postgresql", udp), [tcp], "it has no other");
    assert_eq!(protocols("domain,80", tcp), [tcp, None]);
}

#[test]
fn addresses() {
    reads("127.0.0.1:62893", &[target(62893, 62893, None, &["127.0.0.1"])]);
    reads("192.0.2.8:80", &[target(80, 80, None, &["192.0.2.8"])]);
    reads("[::1]:3000", &[target(3000, 3000, None, &["::1"])]);
    reads("127.0.0.1:80,443", &[target(80, 80, None, &["127.0.0.1"]), target(443, 443, None, &["127.0.0.1"])]);
    reads("localhost:3000", &[target(3000, 3000, None, &["127.0.0.1", "::1"])]);
    reads("app.localhost:3000/tcp", &[target(3000, 3000, Some(Protocol::Tcp), &["127.0.0.1", "::1"])]);
    reads("BOX:3000", &[target(3000, 3000, None, &[])]);
    reads("192.0.2.7:80", &[target(80, 80, None, &["192.0.2.7"])]);
    reads("224.0.0.251:5353", &[target(5353, 5353, None, &["224.0.0.251"])]);
    let mut link_local = target(80, 80, None, &["fe80::1"]);
    link_local.zone = Some("eth0".into());
    reads("[fe80::1%eth0]:80", &[link_local]);
}

/// Regression: they were refused, or advised as `[::1:8123]:8080`.
#[test]
fn addresses_as_other_programs_print_them() {
    reads(":::3000", &[target(3000, 3000, None, &["::"])]);
    reads(":::3000,3001/tcp", &[3000, 3001].map(|port| target(port, port, Some(Protocol::Tcp), &["::"])));
    refuses("::1:8123", "write [::1]:8123");
    refuses("::8080", "write [::]:8080");
    refuses("2001:db8::1:443", "write [2001:db8::1]:443");
    refuses("2001:db8::1", "write [2001:db8::1]:8080");
    refuses("::ffff:127.0.0.1", "write [::ffff:127.0.0.1]:8080");
    refuses(":::", "has no port");
}

/// Regression: they were refused.
#[test]
fn names_of_the_hosts_file_and_paths() {
    reads("myapp.test:3000", &[target(3000, 3000, None, &["127.0.1.1"])]);
    reads("http://myapp.test.:3000", &[target(3000, 3000, Some(Protocol::Tcp), &["127.0.1.1"])]);
    let here = [target(3000, 3000, Some(Protocol::Tcp), &["127.0.0.1", "::1"])];
    for typed in ["localhost:3000/api", "localhost:3000/", "localhost:3000/tcp/x?y", "localhost:3000?x=/tcp"] {
        reads(typed, &here);
    }
    reads("[::1]:3000/api", &[target(3000, 3000, Some(Protocol::Tcp), &["::1"])]);
    refuses("3000/api", "only /tcp and /udp");
    assert_eq!(path_of("http://localhost:3000/health?x"), Some("/health?x"));
    assert_eq!(path_of("localhost:3000/health"), Some("/health"));
    for typed in ["http://localhost:3000/", "http://localhost:3000", "localhost:3000/tcp", "3000/udp", "80,443/tcp"] {
        assert_eq!(path_of(typed), None, "{typed}");
    }
}

#[test]
fn urls() {
    let tcp = Some(Protocol::Tcp);
    reads("http://localhost:5173/path", &[target(5173, 5173, tcp, &["127.0.0.1", "::1"])]);
    reads("https://[::1]/?q=a:b", &[target(443, 443, tcp, &["::1"])]);
    reads("http://[::1]:8080", &[target(8080, 8080, tcp, &["::1"])]);
    reads("postgres://user:pa:ss@127.0.0.1/db", &[target(5432, 5432, tcp, &["127.0.0.1"])]);
    reads("http://localhost:/", &[target(80, 80, tcp, &["127.0.0.1", "::1"])]);
    reads("quic://127.0.0.1:4433", &[target(4433, 4433, None, &["127.0.0.1"])]);
    reads("udp://127.0.0.1:53", &[target(53, 53, Some(Protocol::Udp), &["127.0.0.1"])]);
    reads("TCP://0.0.0.0:2375", &[target(2375, 2375, tcp, &["0.0.0.0"])]);
    refuses("udp://127.0.0.1", "add :PORT");
    refuses("http://example.org/", "looks at this machine only");
    refuses("gopher://localhost/", "add :PORT");
    refuses("http://localhost:99999/", "1 to 65535");
    refuses("http://localhost:http/", "is a number");
    refuses("http:///x", "without a host");
}

#[test]
fn service_names() {
    let (tcp, udp) = (Some(Protocol::Tcp), Some(Protocol::Udp));
    reads("postgresql", &[target(5432, 5432, tcp, &[])]);
    reads("domain", &[target(53, 53, tcp, &[]), target(53, 53, udp, &[])]);
    reads("domain/udp", &[target(53, 53, udp, &[])]);
    reads("localhost:domain/tcp", &[target(53, 53, tcp, &["127.0.0.1", "::1"])]);
    refuses("postgresql/udp", "no port for this protocol");
    refuses("postgresq", "did you mean postgresql?");
    refuses("nonesuch", "write the port as a number, or list what a program holds with --process nonesuch");
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    refuses("", "is empty");
    refuses("  ", "is empty");
    refuses("0", "any port");
    refuses("65536", "1 to 65535");
    refuses("99999999999999999999", "1 to 65535");
    refuses("3010-3000", "write 3000-3010");
    refuses("80,,443", "has no port");
    refuses("80/sctp", "only /tcp and /udp");
    refuses("127.0.0.1", "write 127.0.0.1:8080");
    refuses("::1", "write [::1]:8080");
    refuses("localhost:80/tcp,443/sctp", "only /tcp and /udp");
    refuses("fe80:1:2:8080", "brackets");
    refuses("[::1]", "write [::1]:8080");
    refuses("[::1:80", "closing bracket");
    refuses("[nonsense]:80", "no IPv6 address");
    refuses("[fe80::1%]:80", "empty zone");
    refuses("1.2.3:80", "malformed IPv4");
    refuses("example.org:80", "looks at this machine only");
    refuses("80 443", "is not a port");
    refuses("८०", "is not a port");
    refuses("-", "is not a port");
    refuses("localhost:", "has no port");
}

#[test]
fn a_zone_sets_apart_what_is_bound_to_another_device() {
    let asked = Target { zone: Some("eth0".into()), ..target(80, 80, None, &["fe80::1"]) };
    let mut socket = crate::testing::listener("[fe80::1]:80");
    socket.device = Some("eth0".into());
    assert!(asked.covers(&socket));
    socket.device = Some("eth1".into());
    assert!(!asked.covers(&socket));
}

proptest! {
    #[test]
    fn nothing_typed_makes_it_panic(typed in "\\PC{0,40}") {
        let _ = parse(&typed, &NAMES);
    }

    #[test]
    fn near_misses_of_the_grammar_do_not_either(typed in "[0-9a-z:/@%,.\\[\\]*-]{0,24}") {
        for target in parse(&typed, &NAMES).unwrap_or_default() {
            prop_assert!(target.first > 0 && target.first <= target.last);
        }
    }
}
