//! Whatever stands in the files of /proc and in unit files.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| portcheck::collect::fuzzing::proc_file(text));
