"""What the other files need of the system."""

import ctypes, os, signal, socket, subprocess, time

PATIENCE = 10
CLONE_FILES, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x400, 0x10000000, 0x20000000, 0x40000000
PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_CHILD_SUBREAPER = 4, 15, 36
LOOPBACK = socket.if_nametoindex("lo")
libc = ctypes.CDLL(None, use_errno=True)


def call(result):
    """The result of a function of the C library, or its error."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def become(user):
    if user:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        # Who was root before is kept from itself.
        libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def ip(*arguments):
    ended = subprocess.run(["ip", *arguments], stdin=subprocess.DEVNULL, capture_output=True)
    if ended.returncode:
        raise OSError(ended.stderr.decode())


def inode(descriptor):
    return os.fstat(descriptor).st_ino


def state(pid):
    with open(f"/proc/{pid}/stat", "rb") as stat:
        return stat.read().rsplit(b")", 1)[1].split()[0].decode()


def until(what, is_so):
    """Waits for what no event tells of."""
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            raise OSError(f"not in time: {what}")
        time.sleep(0.001)


def pause():
    while True:
        signal.pause()
