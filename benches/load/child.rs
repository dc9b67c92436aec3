//! One process of the load: waits to be set to work, opens its share, reports and holds.

use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use rustix::stdio::{dup2_stdout, stdin};

use crate::{OWN_FAILURE, Options, Role, cannot};

/// Descriptors a process needs now and then beyond those it is to hold.
const SPARE_DESCRIPTORS: u64 = 16;

/// What a process of the load does.
pub fn be(role: Role, share: &Options) -> Result<ExitCode, String> {
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(cannot("ask to die with the parent"))?;
    if !wait_for_go()? {
        // The parent died before its death could be asked for.
        return Ok(ExitCode::from(OWN_FAILURE));
    }
    let held = match role {
        Role::Holder => listen(Ipv4Addr::LOCALHOST, share.port).map(|listener| vec![listener.into()]),
        Role::Worker => open_share(share),
    };
    println!("{}", held.as_ref().err().map_or("", String::as_str));
    dup2_stdout(open_null()?).map_err(cannot("close the pipe for reports"))?;
    if held.is_ok() {
        wait_for_end()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Takes one byte, and no more, from the pipe that all children share; false at its end.
fn wait_for_go() -> Result<bool, String> {
    let read = rustix::io::read(stdin(), &mut [0; 1]).map_err(cannot("wait for the parent"))?;
    Ok(read == 1)
}

/// Waits until the parent has closed the pipe, without taking a byte that is meant for another
/// child.
fn wait_for_end() -> Result<(), String> {
    let pipe = stdin();
    // No event is asked for: the end is reported in any case.
    poll(&mut [PollFd::new(&pipe, PollFlags::empty())], None).map_err(cannot("wait for the parent's end"))?;
    Ok(())
}

/// Opens the sockets of a worker, then other descriptors until it holds as many as it should.
fn open_share(share: &Options) -> Result<Vec<OwnedFd>, String> {
    // What was inherited counts too; the listing itself is open while it is counted.
    let open = fs::read_dir("/proc/self/fd").map_err(cannot("list /proc/self/fd"))?.count() as u64 - 1;
    let least = open + 2 * share.connections + share.listeners;
    let missing = share.descriptors.checked_sub(least).ok_or_else(|| {
        format!(
            "its sockets and what it inherits are {least} descriptors, its share is {}: raise --descriptors",
            share.descriptors
        )
    })?;
    raise_descriptor_limit(share.descriptors + SPARE_DESCRIPTORS)?;
    let mut held = open_sockets(share)?;
    let target = held.len() + missing as usize;
    while held.len() < target {
        // Of eight, four are of /dev/null, two event descriptors and two the ends of a pipe.
        match held.len() % 8 {
            0..4 => held.push(open_null()?.into()),
            4 | 5 => held.push(eventfd(0, EventfdFlags::CLOEXEC).map_err(cannot("make an event descriptor"))?),
            _ => {
                let (reader, writer) = io::pipe().map_err(cannot("make a pipe"))?;
                held.extend([OwnedFd::from(reader), writer.into()]);
                held.truncate(target);
            }
        }
    }
    Ok(held)
}

fn open_sockets(share: &Options) -> Result<Vec<OwnedFd>, String> {
    let mut held = Vec::new();
    if share.connections > 0 {
        // Not among those counted as listeners: it is closed again when its connections stand.
        let listener = listen(share.address, 0)?;
        let to = listener.local_addr().map_err(cannot("read a listener's address"))?;
        for _ in 0..share.connections {
            let client = TcpStream::connect(to).map_err(cannot(format_args!("connect to {to}")))?;
            let (server, _) = listener.accept().map_err(cannot(format_args!("accept at {to}")))?;
            held.extend([OwnedFd::from(client), server.into()]);
        }
    }
    for _ in 0..share.listeners {
        held.push(listen(share.address, 0)?.into());
    }
    Ok(held)
}

fn listen(address: Ipv4Addr, port: u16) -> Result<TcpListener, String> {
    TcpListener::bind((address, port)).map_err(cannot(format_args!("listen on {address}:{port}")))
}

fn open_null() -> Result<File, String> {
    File::options().read(true).write(true).open("/dev/null").map_err(cannot("open /dev/null"))
}

/// Raised by each process for itself, so that the command runs under the limit it would have
/// without the load.
fn raise_descriptor_limit(needed: u64) -> Result<(), String> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(needed), maximum: maximum.map(|maximum| maximum.max(needed)) };
    setrlimit(Resource::Nofile, raised).map_err(cannot(format_args!("raise the limit of descriptors to {needed}")))
}
