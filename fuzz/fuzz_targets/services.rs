//! Whatever stands in a services file: what is found by name is found by number, too.
#![no_main]

use portcheck::classify::services::Services;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let services = Services::parse(text);
    for word in text.split_whitespace().take(64) {
        for (port, protocol) in services.ports_named(word) {
            assert!(services.lookup(port, protocol).is_some(), "{word} is {port}/{protocol}");
        }
    }
    // This one compares with every name there is, and would leave no time for the rest.
    if text.len() < 4 {
        services.nearest_name(text);
    }
});
