//! Whatever stands in a manifest: nothing breaks its readers, and what they find is bounded.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| portcheck::fuzzing::manifest(text));
