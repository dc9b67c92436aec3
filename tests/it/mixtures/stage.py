"""Plays mixtures of sockets on a port, and knows by itself what is true of them.

Run as root of a network namespace. It first says what it can play, and then answers requests, a line of JSON each:

  {"play": {"port": PORT, "parts": [...]}}       ends what was played before; which parts could be played
  {"bind": {"port": PORT, "bind": [...], ...}}   what comes of the binds in an element of portcheck's answer
  {"holders": {"inodes": [...], "users": [...]}} who has them, as each of the users finds in /proc
"""

import contextlib, json, os, select, signal, socket, sys

import oracle
from kinds import KINDS, Part
from system import CLONE_NEWPID, PATIENCE, PR_SET_CHILD_SUBREAPER, PR_SET_NAME
from system import become, call, inode, ip, libc, pause
from ways import WAYS

# 198.51.100.1 is nobody's (RFC 5737).
ADDRESSES = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "10.9.9.1", "198.51.100.1", "::1", "::", "fd00:9::1", "fe80::9%lo"]
ADDRESSES += ["::ffff:0.0.0.0", "::ffff:127.0.0.1", "::ffff:10.9.9.1"]
# Root, nobody, and somebody else.
USERS = [0, 65534, 4001]
# What a parser of /proc/PID/stat and a terminal stumble over.
HOSTILE_NAME = b"a) S 1 (\x1b[2J\n"
# What the kernel holds does not end with a process.
UNDO = {"tunnel": ["link", "del", "mixture"], "endpoint": ["mptcp", "endpoint", "flush"]}
undo = []


def set_up():
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # So that the kernel may be told to give away any port there is.
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as setting:
        setting.write("10000 60999")
    for address in ["10.9.9.1/32", "fd00:9::1/128", "fe80::9/64"]:
        ip("addr", "add", address, "dev", "lo")


def is_mapped(user):
    """The root of a user namespace can become those only that it has."""
    with open("/proc/self/uid_map") as ranges:
        return any(int(first) <= user < int(first) + int(count) for first, _, count in map(str.split, ranges))


def play(port, parts):
    end_all()
    undo.extend(UNDO[part["kind"]] for part in parts if part["kind"] in UNDO)
    return [play_one(part, port) for part in parts]


def play_one(part, port):
    """In a process of its own. What it reports, or why it cannot be."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.close(reader)
        try:
            perform(part, port, writer)
        except Exception as error:
            tell(writer, {"failed": str(error)})
        os._exit(1)
    os.close(writer)
    said = b""
    while not said.endswith(b"\n"):
        is_ready, _, _ = select.select([reader], [], [], PATIENCE)
        more = os.read(reader, 65536) if is_ready else b""
        if not more:
            said = b'{"failed": "no report"}\n'
        said += more
    os.close(reader)
    return json.loads(said)


def perform(drawn, port, writer):
    way = drawn["way"]
    libc.prctl(PR_SET_NAME, HOSTILE_NAME, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if way == "pid-namespace":
        call(libc.unshare(CLONE_NEWPID))
        if os.fork() != 0:
            pause()
    # With `other-user`, who opened the sockets and who has them differ.
    if way != "other-user":
        become(drawn["user"])
    part = Part(drawn, port)
    sockets = KINDS[drawn["kind"]](part)
    if way == "other-user":
        become(drawn["user"])
    waiting = [inode(s.fileno()) for s in sockets]

    def report(beyond_descriptors=()):
        tell(writer, {"inodes": waiting, "beyond_descriptors": {inode: os.getpid() for inode in beyond_descriptors}})
        # Whatever thread this is.
        while True:
            select.select([], [], [])

    # Remnants are held by nobody.
    (WAYS[way] if sockets else WAYS["plain"])(list(sockets), report)


def tell(writer, what):
    os.write(writer, json.dumps(what).encode() + b"\n")


def end_all():
    """Ends all that was played: whose parent has ended is a child of ours."""
    while True:
        with open(f"/proc/self/task/{os.getpid()}/children") as children:
            pids = [int(pid) for pid in children.read().split()]
        if not pids:
            break
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)
    while undo:
        # It may not have been possible to do.
        with contextlib.suppress(OSError):
            ip(*undo.pop())


set_up()
print(json.dumps({"kinds": list(KINDS), "ways": list(WAYS), "addresses": ADDRESSES, "users": list(filter(is_mapped, USERS))}), flush=True)
for line in sys.stdin:
    [(what, arguments)] = json.loads(line).items()
    if what == "play":
        answer = play(**arguments)
    elif what == "bind":
        attempts = arguments["bind"] + arguments["bind_elsewhere"]
        answer = [oracle.bind(arguments["port"], arguments["protocol"], attempt) for attempt in attempts]
    else:
        answer = {user: oracle.holders(set(arguments["inodes"]), user) for user in arguments["users"]}
    print(json.dumps(answer), flush=True)
end_all()
