//! Whatever stands in the types of the kernel.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| portcheck::fuzzing::btf(bytes));
