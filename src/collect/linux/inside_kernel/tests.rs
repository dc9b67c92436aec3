//! Compares all ways on states of the machine made by chance, with real processes.

use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use rustix::fs::fstat;
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::*;
use crate::collect::linux::owners;

/// Numbers that look like chance (xorshift).
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What holds sockets: descriptors here, children, a queue, and a thread with a table of its own.
#[derive(Default)]
struct Machine {
    sockets: Vec<TcpListener>,
    copies: Vec<TcpListener>,
    inodes: Vec<u64>,
    children: Vec<Child>,
    queues: Vec<(UnixStream, UnixStream)>,
    threads: Vec<(mpsc::Sender<()>, thread::JoinHandle<()>)>,
}

/// The main thread of the last one ends, and leaves the descriptors to another thread.
const PROGRAMS: [&[&str]; 4] = [
    &["sleep", "60"],
    &["true"],
    &["unshare", "--pid", "--net", "--fork", "--kill-child", "sleep", "60"],
    &[
        "python3",
        "-c",
        "import threading,time,ctypes;threading.Thread(target=time.sleep,args=(60,)).start();\
         ctypes.CDLL(None).pthread_exit(None)",
    ],
];

impl Machine {
    fn by(chance: &mut Chance) -> Self {
        let mut machine = Self::default();
        for _ in 0..=chance.below(40) {
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            machine.inodes.push(fstat(&socket).unwrap().st_ino);
            if chance.below(4) == 0 {
                machine.copies.push(socket.try_clone().unwrap());
            }
            machine.sockets.push(socket);
        }
        for _ in 0..chance.below(4) {
            for socket in machine.sockets.iter().chain(&machine.copies) {
                let flags = if chance.below(2) == 0 { FdFlags::empty() } else { FdFlags::CLOEXEC };
                fcntl_setfd(socket, flags).unwrap();
            }
            let [program, arguments @ ..] = PROGRAMS[usize::try_from(chance.below(4)).unwrap()] else { unreachable!() };
            let child = Command::new(program).args(arguments).stdin(Stdio::null()).spawn().unwrap();
            machine.children.push(child);
        }
        if chance.below(2) == 0 {
            machine.send(chance);
        }
        if chance.below(2) == 0 {
            machine.start_thread();
        }
        while chance.below(3) != 0 {
            machine.sockets.pop();
        }
        machine.inodes.sort_unstable();
        machine
    }

    /// Leaves a socket in flight.
    fn send(&mut self, chance: &mut Chance) {
        use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
        let (here, there) = UnixStream::pair().unwrap();
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut message = SendAncillaryBuffer::new(&mut space);
        let at = usize::try_from(chance.below(self.sockets.len() as u64)).unwrap();
        let descriptors = [self.sockets[at].as_fd()];
        assert!(message.push(SendAncillaryMessage::ScmRights(&descriptors)));
        rustix::net::sendmsg(&here, &[std::io::IoSlice::new(b"x")], &mut message, SendFlags::empty()).unwrap();
        self.queues.push((here, there));
    }

    /// Starts a thread with its own descriptors, which opens a socket.
    fn start_thread(&mut self) {
        let (opened, inode) = mpsc::channel();
        let (stop, stopped) = mpsc::channel();
        let thread = thread::spawn(move || {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_FILES).unwrap();
            let socket = TcpListener::bind("127.0.0.1:0").unwrap();
            opened.send(fstat(&socket).unwrap().st_ino).unwrap();
            let _ = stopped.recv();
        });
        self.inodes.push(inode.recv().unwrap());
        self.threads.push((stop, thread));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        for (stop, thread) in self.threads.drain(..) {
            drop(stop);
            let _ = thread.join();
        }
    }
}

/// Descriptors of this process that belong to bpf(2).
fn left() -> usize {
    let infos = std::fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let texts = infos.filter_map(|info| std::fs::read_to_string(info.path()).ok());
    texts.filter(|text| text.contains("prog_id") || text.contains("link_id")).count()
}

/// The layout. `None`, said aloud, where the kernel cannot be asked.
fn layout() -> Option<&'static Layout> {
    let proc = Path::new("/proc");
    let layout = host::release().filter(|release| is_possible(proc, release)).and_then(|_| kernel());
    if layout.is_none() {
        assert_eq!(find(proc, &[1]), None);
        eprintln!("not compared: needs root in the first pid namespace, and the types of the kernel");
    }
    layout
}

/// Whether the kernel takes programs with loops.
fn may_loop() -> bool {
    host::release().is_some_and(|release| host::is_at_least(&release, (6, 9)))
}

fn sorted(mut found: Vec<Held>) -> Vec<Held> {
    found.sort_unstable();
    owners::forget_ourselves(&mut found);
    found
}

/// `PORTCHECK_STATES` sets how many states are tried.
#[test]
fn all_ways_find_the_same() {
    let Some(layout) = layout() else { return };
    let states = std::env::var("PORTCHECK_STATES").map_or(30, |count| count.parse().unwrap());
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let by_descriptor = |wanted: &[u64]| sorted(walk_descriptors(layout, wanted).unwrap());
    let by_task = |wanted: &[u64]| sorted(walk_tasks(layout, wanted).unwrap().0);
    for state in 0..states {
        let machine = Machine::by(&mut chance);
        // Processes start and end meanwhile, so a difference has to last.
        let same = (0..50).any(|_| {
            let swept = owners::sweep(Path::new("/proc"), &machine.inodes).unwrap().found;
            by_descriptor(&machine.inodes) == swept && (!may_loop() || by_task(&machine.inodes) == swept)
        });
        assert!(same, "state {state}: {:?}", by_descriptor(&machine.inodes));
        let found = walk(layout, &machine.inodes).unwrap();
        for socket in machine.sockets.iter().chain(&machine.copies) {
            let number = u32::try_from(socket.as_raw_fd()).unwrap();
            let own = (fstat(socket).unwrap().st_ino, std::process::id(), number);
            assert!(found.contains(&own), "state {state}: {own:?} of {found:?}");
        }
    }
    assert_eq!(left(), 0);
}

/// The kernel has room for 2,046 records of a task.
#[test]
fn a_process_with_more_sockets_than_the_kernel_has_room_for_is_seen_whole() {
    let Some(layout) = layout().filter(|_| may_loop()) else { return };
    let limit = Some(8192);
    let maximum = getrlimit(Resource::Nofile).maximum.max(limit);
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum }).unwrap();
    for (pairs, is_unsure) in [(900, false), (1100, true)] {
        let pairs: Vec<_> = (0..pairs).map(|_| UnixStream::pair().unwrap()).collect();
        let ends = || pairs.iter().flat_map(|(one, other)| [one, other]);
        let mut wanted: Vec<u64> = ends().map(|socket| fstat(socket).unwrap().st_ino).collect();
        wanted.sort_unstable();
        let (_, unsure) = walk_tasks(layout, &wanted).unwrap();
        assert_eq!(unsure.contains(&std::process::id()), is_unsure, "{unsure:?}");
        let mut found = walk(layout, &wanted).unwrap();
        found.retain(|&(_, pid, _)| pid == std::process::id());
        let numbers = |mut found: Vec<u32>| {
            found.sort_unstable();
            found
        };
        let own = ends().map(|socket| u32::try_from(socket.as_raw_fd()).unwrap()).collect();
        assert_eq!(numbers(found.iter().map(|&(_, _, number)| number).collect()), numbers(own));
        let few: Vec<u64> = wanted.iter().copied().step_by(100).collect();
        assert_eq!(walk_tasks(layout, &few).unwrap().1, [0; 0], "few are told without the others");
    }
}

#[test]
fn a_proc_made_by_hand_is_swept() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(root.path().join("sys/fs")).unwrap();
    std::fs::write(root.path().join("sys/fs/file-nr"), "5000\t0\t9\n").unwrap();
    assert_eq!(open_files(root.path()), Some(5000));
    assert_eq!(find(root.path(), &[1]), None);
    assert!(worthwhile("6.1.0") > worthwhile("6.18.44"));
}
