//! Whatever stands in a services file: names in it are found, and what is found by name is found by
//! number, too.
//!
//! Nothing is asked that the file does not know: that would compare with all of IANA's names, which
//! unit tests do.
#![no_main]

use std::collections::BTreeSet;

use portcheck::fuzzing::Services;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let services = Services::parse(text);
    let names: BTreeSet<&str> = services.own_names().collect();
    for name in names.into_iter().take(16) {
        let ports = services.ports_named(name);
        assert!(!ports.is_empty(), "{name} is lost");
        for (port, protocol) in ports {
            assert!(services.lookup(port, protocol).is_some(), "{name} is {port}/{protocol}");
        }
    }
});
