"""Every kind of socket that can have a port, made on the port and address that were drawn."""

import contextlib, socket, struct

from system import CLONE_NEWNET, CLONE_NEWUSER, LOOPBACK, call, ip, libc

# How far from a port the one is that its outgoing connections lead to.
ELSEWHERE = 10_000
# What clients are given, so that they take none of the ports that are asked about.
CLIENTS = (50_000, 60_000)
# uapi/linux/in.h, in6.h
IP_FREEBIND, IPV6_FREEBIND, IP_LOCAL_PORT_RANGE, IPPROTO_MPTCP = 15, 78, 51, 262


class Part:
    """A part that was drawn: the sockets to make, and on which address and port."""

    def __init__(self, drawn, port):
        self.drawn, self.port, self.address = drawn, port, drawn["address"].split("%")[0]
        self.is_ipv6 = ":" in self.address
        self.is_mapped = self.address.startswith("::ffff:")
        # Sockets that have another port: those of clients, and of servers for clients.
        self.others = []

    def at(self, address=None, port=None):
        address = address or self.address
        if not self.is_ipv6:
            return (address, port or self.port)
        return (address, port or self.port, 0, LOOPBACK if address.startswith("fe80:") else 0)

    def elsewhere(self):
        return self.at(self.reachable(), self.port + ELSEWHERE)

    def reachable(self):
        """Where a client finds a server that has the address."""
        loopback = {"0.0.0.0": "127.0.0.1", "::": "::1", "::ffff:0.0.0.0": "::ffff:127.0.0.1"}
        return loopback.get(self.address, self.address)

    def new(self, kind, protocol=0):
        s = socket.socket(socket.AF_INET6 if self.is_ipv6 else socket.AF_INET, kind, protocol)
        if self.is_ipv6:
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, self.drawn["v6only"] and not self.is_mapped)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, self.drawn["reuse_address"])
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, self.drawn["reuse_port"])
        return s

    def bound(self, *options, kind=socket.SOCK_STREAM, protocol=0):
        s = self.new(kind, protocol)
        for option in options:
            s.setsockopt(*option)
        s.bind(self.at())
        return s

    def listening(self, *options, protocol=0, backlog=8):
        s = self.bound(*options, protocol=protocol)
        s.listen(backlog)
        return s

    def client(self, to=None):
        s = socket.socket(socket.AF_INET6 if self.is_ipv6 else socket.AF_INET)
        self.others.append(s)
        with contextlib.suppress(OSError):
            s.setsockopt(*ports(*CLIENTS))
        connect(s, to or self.at(self.reachable()))
        return s

    def accepted(self):
        """A listener, a connection to it, and the other end of that."""
        listener = self.listening()
        client = self.client()
        # With SO_REUSEPORT another one of the group may have got it.
        listener.settimeout(0)
        connection, _ = listener.accept()
        listener.settimeout(None)
        connection.settimeout(None)
        return listener, connection, client

    def server_elsewhere(self, kind, backlog=8):
        s = socket.socket(socket.AF_INET6 if self.is_ipv6 else socket.AF_INET, kind)
        self.others.append(s)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(self.elsewhere())
        if kind == socket.SOCK_STREAM:
            s.listen(backlog)

    def outgoing(self, s, kind):
        self.server_elsewhere(kind)
        connect(s, self.elsewhere())
        return [s]

    def by_the_kernel(self, kind):
        """A socket that is given its port when it connects: there is only this one to choose from."""
        s = self.new(kind)
        s.setsockopt(*ports(self.port, self.port))
        self.outgoing(s, kind)
        if s.getsockname()[1] != self.port:
            raise OSError("somebody has the port")
        return [s]


def ports(first, last):
    """The option that lets the kernel choose among these only."""
    return socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("=I", first | last << 16)


def connect(s, to):
    """Connects, or leaves it to try on where nobody answers."""
    s.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        s.connect(to)
    s.settimeout(None)


def accepted(part):
    listener, connection, _ = part.accepted()
    listener.close()
    return [connection]


def close_wait(part):
    listener, connection, client = part.accepted()
    listener.close()
    client.close()
    return [connection]


def fin_wait_2(part):
    listener, connection, _ = part.accepted()
    listener.close()
    connection.shutdown(socket.SHUT_WR)
    return [connection]


def orphan(part):
    """A connection that the server has closed, and the client has not."""
    listener, connection, _ = part.accepted()
    listener.close()
    connection.close()
    return []


def unsent(part):
    """The same with data that the client does not take."""
    listener, connection, _ = part.accepted()
    listener.close()
    connection.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        while True:
            connection.send(bytes(65536))
    connection.close()
    return []


def time_wait(part):
    """Who closes first keeps the remnant."""
    for s in part.accepted():
        s.close()
    return []


def shut_down(part):
    s = part.listening()
    s.shutdown(socket.SHUT_RDWR)
    return [s]


def unaccepted(part):
    s = part.listening()
    part.client()
    return [s]


def backlog_full(part):
    s = part.listening(backlog=0)
    for _ in range(3):
        part.client()
    return [s]


def serving(part):
    return part.accepted()[:2]


def outgoing(part):
    return part.outgoing(part.bound(), socket.SOCK_STREAM)


def refused(part):
    s = part.bound()
    with contextlib.suppress(ConnectionRefusedError):
        s.connect(part.elsewhere())
    return [s]


def unanswered(part):
    """Where the queue is full, nobody hears of one more."""
    part.server_elsewhere(socket.SOCK_STREAM, backlog=0)
    part.client(part.elsewhere())
    s = part.bound()
    connect(s, part.elsewhere())
    return [s]


def itself(part):
    s = part.bound()
    s.connect(part.at(part.reachable()))
    return [s]


def group(part):
    return [part.listening(REUSE_PORT) for _ in range(3)]


def two_bound(part):
    sockets = [part.bound(REUSE_ADDRESS) for _ in range(2)]
    sockets[0].listen()
    return sockets


def anywhere(part):
    """On an address that this machine need not have."""
    free_bind = (socket.IPPROTO_IPV6, IPV6_FREEBIND, 1) if part.is_ipv6 else (socket.IPPROTO_IP, IP_FREEBIND, 1)
    return [part.listening(free_bind)]


def datagrams(part, *options):
    return part.bound(*options, kind=socket.SOCK_DGRAM)


def multicast(part):
    s = part.new(socket.SOCK_DGRAM)
    s.bind(part.at("::ffff:224.0.0.9" if part.is_mapped else "ff05::9" if part.is_ipv6 else "224.0.0.9"))
    return [s]


def tunnel(part):
    remote = ["remote", "fd00:9::9"] if part.is_ipv6 else []
    ip("link", "add", "mixture", "type", "vxlan", "id", "7", "dstport", str(part.port), "dev", "lo", *remote)
    # Without a port of its own where another one has it.
    ip("link", "set", "mixture", "up")
    return []


def endpoint(part):
    """An endpoint of MPTCP, for which the kernel listens."""
    ip("mptcp", "endpoint", "add", part.address, "port", str(part.port), "signal")
    return []


def other_namespace(part):
    """A listener that has nothing to do with the port here."""
    call(libc.unshare(CLONE_NEWUSER | CLONE_NEWNET))
    part.others.append(socket.create_server(("", part.port)))
    return []


REUSE_ADDRESS = (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
REUSE_PORT = (socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
TO_DEVICE = (socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")


KINDS = {
    "bound": lambda part: [part.bound()],
    "listening": lambda part: [part.listening()],
    "shut-down": shut_down,
    "unaccepted": unaccepted,
    "backlog-full": backlog_full,
    "serving": serving,
    "accepted": accepted,
    "close-wait": close_wait,
    "fin-wait-2": fin_wait_2,
    "orphan": orphan,
    "unsent": unsent,
    "time-wait": time_wait,
    "outgoing": outgoing,
    "outgoing-by-the-kernel": lambda part: part.by_the_kernel(socket.SOCK_STREAM),
    "refused": refused,
    "unanswered": unanswered,
    "itself": itself,
    "group": group,
    "two-bound": two_bound,
    "device": lambda part: [part.listening(TO_DEVICE)],
    "mptcp": lambda part: [part.listening(protocol=IPPROTO_MPTCP)],
    "anywhere": anywhere,
    "datagrams": lambda part: [datagrams(part)],
    "datagrams-connected": lambda part: part.outgoing(datagrams(part), socket.SOCK_DGRAM),
    "datagrams-by-the-kernel": lambda part: part.by_the_kernel(socket.SOCK_DGRAM),
    "datagrams-group": lambda part: [datagrams(part, REUSE_PORT) for _ in range(2)],
    "datagrams-device": lambda part: [datagrams(part, TO_DEVICE)],
    "multicast": multicast,
    "tunnel": tunnel,
    "endpoint": endpoint,
    "other-namespace": other_namespace,
}
