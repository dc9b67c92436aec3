"""What is true, found by other means than those of portcheck."""

import errno, json, os, re, socket

from system import LOOPBACK, become

RESULTS = {errno.EADDRINUSE: "in-use", errno.EADDRNOTAVAIL: "not-available", errno.EINVAL: "invalid"}


def bind(port, protocol, attempt):
    """What comes of a bind, in the words of the JSON."""
    address = attempt["address"]
    is_ipv6 = ":" in address
    kind = socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, kind) as s:
        if is_ipv6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, attempt["v6only"])
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, attempt["reuse_address"])
        scope = LOOPBACK if address.startswith("fe80:") else 0
        try:
            s.bind((address, port, 0, scope) if is_ipv6 else (address, port))
            return "ok"
        except OSError as error:
            return RESULTS.get(error.errno, str(error))


def holders(inodes, user):
    """The processes that `user` finds to have the sockets open, by inode."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        become(user)
        with os.fdopen(writer, "w") as out:
            json.dump(scan(inodes), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as found:
        answer = json.load(found)
    os.waitpid(child, 0)
    return answer


def scan(inodes):
    found = {}
    for pid in (name for name in os.listdir("/proc") if name.isdigit()):
        for thread in entries(f"/proc/{pid}/task"):
            for descriptor in entries(f"/proc/{pid}/task/{thread}/fd"):
                inode = inode_of(f"/proc/{pid}/task/{thread}/fd/{descriptor}")
                if inode in inodes:
                    found.setdefault(inode, set()).add(int(pid))
    return {inode: sorted(pids) for inode, pids in found.items()}


def entries(directory):
    try:
        return os.listdir(directory)
    except OSError:
        return []


def inode_of(descriptor):
    try:
        match = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
    except OSError:
        return None
    return int(match[1]) if match else None
