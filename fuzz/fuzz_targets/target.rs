//! Whatever somebody types for a port: it is refused in one line, or means ports that exist.
#![no_main]

use portcheck::model::Protocol;
use portcheck::fuzzing::{Names, parse};

const NAMES: Names = Names {
    services: |name| if name == "domain" { vec![(53, Protocol::Tcp), (53, Protocol::Udp)] } else { Vec::new() },
    nearest: |_| None,
    hostname: || Some("box".to_owned()),
    addresses: |name| if name == "app.test" { vec![std::net::Ipv4Addr::LOCALHOST.into()] } else { Vec::new() },
};

libfuzzer_sys::fuzz_target!(|typed: &str| match parse(typed, &NAMES) {
    Ok(targets) => {
        assert!(!targets.is_empty());
        assert!(targets.iter().all(|target| target.first > 0 && target.first <= target.last));
    }
    Err(error) => assert!(!error.reason.is_empty()),
});
