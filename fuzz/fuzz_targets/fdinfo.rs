//! Whatever stands in the fdinfo of a descriptor.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| portcheck::fuzzing::fdinfo(text));
