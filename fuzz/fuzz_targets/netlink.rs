//! Whatever the kernel, or somebody in its place, sends over netlink.
#![no_main]

libfuzzer_sys::fuzz_target!(|datagram: &[u8]| portcheck::fuzzing::netlink_reply(datagram));
