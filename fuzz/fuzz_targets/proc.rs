//! Whatever stands in the files of /proc and in unit files.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| portcheck::fuzzing::proc_file(text));
