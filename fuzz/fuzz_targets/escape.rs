//! Whatever a process calls itself: nothing of it reaches the terminal as a command to it.
#![no_main]

use portcheck::fuzzing::escape;

libfuzzer_sys::fuzz_target!(|name: &str| {
    let shown = escape::terminal(name);
    assert!(!shown.chars().any(char::is_control), "{shown:?}");
    assert!(!escape::command_line(&[name.to_owned()]).chars().any(char::is_control));
});
