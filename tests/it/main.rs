//! Tests of the shipped binary: a module for each command or subject, all in one program, which is
//! linked once.

#[cfg(target_os = "linux")]
mod ansible;
#[cfg(target_os = "linux")]
mod backends;
#[cfg(target_os = "linux")]
mod check;
#[cfg(target_os = "linux")]
mod churn;
#[cfg(target_os = "linux")]
mod ci;
#[cfg(target_os = "linux")]
mod cli;
#[cfg(target_os = "linux")]
mod coming_from;
#[cfg(target_os = "linux")]
mod common;
#[cfg(target_os = "linux")]
mod completions;
#[cfg(target_os = "linux")]
mod compose_readers;
#[cfg(target_os = "linux")]
mod connections;
#[cfg(target_os = "linux")]
mod engines;
#[cfg(target_os = "linux")]
mod explain;
#[cfg(target_os = "linux")]
mod families;
#[cfg(target_os = "linux")]
mod firewall;
#[cfg(target_os = "linux")]
mod first_use;
#[cfg(target_os = "linux")]
mod foreign_files;
#[cfg(target_os = "linux")]
mod free;
#[cfg(target_os = "linux")]
mod free_caller;
#[cfg(target_os = "linux")]
mod free_choice;
#[cfg(target_os = "linux")]
mod free_command;
#[cfg(target_os = "linux")]
mod free_file;
#[cfg(target_os = "linux")]
mod free_hold;
#[cfg(target_os = "linux")]
mod free_keeper;
#[cfg(target_os = "linux")]
mod free_lease;
#[cfg(target_os = "linux")]
mod free_servers;
#[cfg(target_os = "linux")]
mod free_squatters;
#[cfg(target_os = "linux")]
mod free_terminal;
#[cfg(target_os = "linux")]
mod gaps;
#[cfg(target_os = "linux")]
mod hosts;
#[cfg(target_os = "linux")]
mod identify;
#[cfg(target_os = "linux")]
mod inside_kernel;
#[cfg(target_os = "linux")]
mod kill;
#[cfg(target_os = "linux")]
mod kill_connections;
#[cfg(target_os = "linux")]
mod kill_heirs;
#[cfg(target_os = "linux")]
mod kill_namespace;
#[cfg(target_os = "linux")]
mod kill_restart;
#[cfg(target_os = "linux")]
mod kill_reuse;
#[cfg(target_os = "linux")]
mod kill_safety;
#[cfg(target_os = "linux")]
mod kill_supervisor;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod list;
#[cfg(all(target_os = "linux", feature = "live"))]
mod live;
#[cfg(target_os = "linux")]
mod manual;
#[cfg(target_os = "linux")]
mod mixtures;
#[cfg(target_os = "linux")]
mod namespaces;
#[cfg(target_os = "linux")]
mod owners;
mod portable;
#[cfg(target_os = "linux")]
mod preflight;
#[cfg(target_os = "linux")]
mod preflight_use;
#[cfg(target_os = "linux")]
mod privilege;
#[cfg(target_os = "linux")]
mod probe;
mod program;
#[cfg(target_os = "linux")]
mod projects;
#[cfg(target_os = "linux")]
mod prometheus;
#[cfg(target_os = "linux")]
mod quick;
#[cfg(target_os = "linux")]
mod reach;
#[cfg(target_os = "linux")]
mod recipes;
#[cfg(target_os = "linux")]
mod rootless;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg(target_os = "linux")]
mod scenarios;
#[cfg(target_os = "linux")]
mod servers;
mod stability;
#[cfg(target_os = "linux")]
mod supervisors;
#[cfg(target_os = "linux")]
mod tunnels;
#[cfg(target_os = "linux")]
mod wait;
#[cfg(target_os = "linux")]
mod wait_answering;
#[cfg(target_os = "linux")]
mod wait_elsewhere;
#[cfg(target_os = "linux")]
mod wait_names;
#[cfg(target_os = "linux")]
mod wait_pace;
#[cfg(target_os = "linux")]
mod watch;
#[cfg(target_os = "linux")]
mod wording;

/// Plays a part in a test, in a process of its own. By itself it does nothing.
#[cfg(target_os = "linux")]
#[test]
fn role() {
    common::role::play();
}
