//! Whatever stands in a services file: what is found by name is found by number, too.
#![no_main]

use portcheck::classify::services::Services;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let services = Services::parse(text);
    for word in text.split_whitespace().take(64) {
        for (port, protocol) in services.ports_named(word) {
            assert!(services.lookup(port, protocol).is_some(), "{word} is {port}/{protocol}");
        }
        services.nearest_name(word);
    }
});
