"""Every way to hold a socket. Each is given sockets in the process that made them, and calls `report` when it is so.

What is reported besides are holders that no descriptor shows, by inode.
"""

import ctypes, os, platform, signal, socket, threading

from system import CLONE_FILES, CLONE_NEWNET, CLONE_NEWUSER, PATIENCE, PR_SET_DUMPABLE
from system import call, inode, libc, pause, state, until

IS_X86 = platform.machine() == "x86_64"
# Numbers of system calls (asm/unistd_64.h, asm-generic/unistd.h).
CLONE, EXIT = (56, 60) if IS_X86 else (220, 93)
ACCEPTING_OR_RECEIVING = {43, 45, 288} if IS_X86 else {202, 207, 242}
IO_URING_SETUP, IO_URING_REGISTER, PIDFD_GETFD = 425, 427, 438
IORING_REGISTER_FILES = 2
# A thread that finds nothing to wait for is no news.
threading.excepthook = lambda _: None


def plain(sockets, report):
    report()


def forked(sockets, report):
    if os.fork() == 0:
        pause()
    report()


def only_the_child(sockets, report):
    if os.fork() == 0:
        pause()
    close(sockets)
    report()


def heir(sockets, report):
    """By a child whose parent has ended."""
    parent = os.getpid()
    if os.fork() != 0:
        os._exit(0)
    until("it is adopted", lambda: os.getppid() != parent)
    report()


def another_program(sockets, report):
    for s in sockets:
        s.set_inheritable(True)
    started, starts = os.pipe()
    if os.fork() == 0:
        os.execv("/bin/sleep", ["sleep", "1000"])
    os.close(starts)
    # It ends when the other program starts.
    os.read(started, 1)
    close(sockets)
    report()


def several_descriptors(sockets, report):
    """One of them is the standard input, another one a high number."""
    os.dup2(sockets[0].fileno(), 0)
    os.dup2(sockets[0].fileno(), 900)
    report()


def thread_with_own_table(sockets, report):
    has_left, is_closed = threading.Event(), threading.Event()

    def other():
        call(libc.unshare(CLONE_FILES))
        has_left.set()
        is_closed.wait()
        report()

    threading.Thread(target=other).start()
    if not has_left.wait(PATIENCE):
        raise OSError("no table of its own")
    for s in sockets:
        os.close(s.fileno())
    is_closed.set()
    pause()


def dead_leader(sockets, report):
    """By a process whose main thread has ended."""

    def other():
        until("the main thread has ended", lambda: state(os.getpid()) == "Z")
        report()

    threading.Thread(target=other).start()
    libc.syscall(EXIT, 0)


def common_table(sockets, report):
    """By two processes with the same descriptors."""
    if call(libc.syscall(CLONE, CLONE_FILES | signal.SIGCHLD, 0, 0, 0, 0)) == 0:
        pause()
    report()


def in_flight(sockets, report):
    """By a message that nobody has received."""
    sender, receiver = socket.socketpair()
    send(sender, sockets, report, receiver)


def in_flight_to_nobody(sockets, report):
    """By a message to a connection that nobody has accepted."""
    listener, sender = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
    listener.bind("")
    listener.listen()
    sender.connect(listener.getsockname())
    send(sender, sockets, report, listener)


def send(sender, sockets, report, receiver):
    inodes = [inode(s.fileno()) for s in sockets]
    socket.send_fds(sender, [b"x"], [s.fileno() for s in sockets])
    close(sockets)
    report(inodes)
    close([sender, receiver])


def passed_on(sockets, report):
    """By a process that has received them."""
    sender, receiver = socket.socketpair()
    if os.fork() == 0:
        close([*sockets, sender])
        received = socket.recv_fds(receiver, 1, len(sockets))[1]
        receiver.send(b"x")
        pause()
    socket.send_fds(sender, [b"x"], [s.fileno() for s in sockets])
    sender.recv(1)
    close(sockets)
    report()


def copied(sockets, report):
    """By a process that has taken copies from another one."""
    child = os.fork()
    if child == 0:
        pause()
    numbers = [s.fileno() for s in sockets]
    close(sockets)
    process = os.pidfd_open(child)
    for number in numbers:
        call(libc.syscall(PIDFD_GETFD, process, number, 0))
    report()


def io_uring(sockets, report):
    """By files registered with an io_uring."""
    ring = call(libc.syscall(IO_URING_SETUP, 8, ctypes.create_string_buffer(120)))
    files = (ctypes.c_int * len(sockets))(*(s.fileno() for s in sockets))
    call(libc.syscall(IO_URING_REGISTER, ring, IORING_REGISTER_FILES, files, len(sockets)))
    inodes = [inode(s.fileno()) for s in sockets]
    close(sockets)
    report(inodes)


def system_call(sockets, report):
    """By system calls in progress: another thread has closed the descriptors."""
    inodes = [inode(s.fileno()) for s in sockets]
    for s in sockets:
        is_listening = s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        thread = threading.Thread(target=s.accept if is_listening else lambda s=s: s.recv(1), daemon=True)
        thread.start()
        until("it waits", lambda: not thread.is_alive() or current_call(thread) in ACCEPTING_OR_RECEIVING)
        if not thread.is_alive():
            raise OSError("such a socket lets nobody wait")
    for s in sockets:
        os.close(s.fileno())
    report(inodes)


def current_call(thread):
    with open(f"/proc/self/task/{thread.native_id}/syscall") as call:
        number = call.read().split()[0]
    return int(number) if number.isdigit() else None


def not_dumpable(sockets, report):
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    report()


def from_elsewhere(sockets, report):
    """By a process that has left for other namespaces."""
    call(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET))
    report()


def stopped(sockets, report):
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        pause()
    os.waitpid(child, os.WUNTRACED)
    close(sockets)
    report()


def close(sockets):
    for s in sockets:
        s.close()


WAYS = {
    "plain": plain,
    "forked": forked,
    "only-the-child": only_the_child,
    "heir": heir,
    "another-program": another_program,
    "several-descriptors": several_descriptors,
    "thread-with-own-table": thread_with_own_table,
    "dead-leader": dead_leader,
    "common-table": common_table,
    "in-flight": in_flight,
    "in-flight-to-nobody": in_flight_to_nobody,
    "passed-on": passed_on,
    "copied": copied,
    "io-uring": io_uring,
    "system-call": system_call,
    "not-dumpable": not_dumpable,
    "from-elsewhere": from_elsewhere,
    "stopped": stopped,
    # With these it is the process that differs: see `Player`.
    "pid-namespace": plain,
    "other-user": plain,
}
