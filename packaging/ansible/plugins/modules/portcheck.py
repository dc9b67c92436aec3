#!/usr/bin/python
# Copyright (c) the portcheck authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Documentation of the module; the action plugin of the same name does the work."""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: portcheck
short_description: Tell who holds a port, free it, wait for it, or pick one
description:
  - Tells who holds ports on a host, and why they cannot be bound.
  - Ends the holder, waits until somebody listens, or picks ports that are free.
  - The module is the program portcheck itself. It is copied to the host once, and needs no Python there.
  - What could not be seen is never reported as free.
author:
  - the portcheck authors (@portcheck)
options:
  ports:
    description:
      - The ports to look at, such as V(5432), V(3000-3010), V(53/udp), V(127.0.0.1:80) or V(postgresql).
      - Without a protocol, both TCP and UDP are meant; for a server that is waited for, TCP.
      - Without ports, the task reports all ports in use.
    type: list
    elements: str
  state:
    description:
      - What must be so; else the task fails.
      - V(reported) never fails because of the ports.
      - V(free) fails if a port is held, if it cannot be bound, or if this cannot be told.
      - V(listening) fails if nobody listens on one of the ports.
      - The default is V(free) with O(kill), and V(reported) otherwise.
    type: str
    choices: [reported, free, listening]
  protocol:
    description: Look at this protocol only.
    type: str
    choices: [tcp, udp, both]
    default: both
  reuse_addr:
    description: Judge for a server that sets SO_REUSEADDR, as most do. Then TIME_WAIT does not block a port.
    type: bool
    default: false
  kill:
    description:
      - End what holds the ports, and verify that they are free.
      - The consent is the same as for C(portcheck kill --yes). Supervisors, hidden and likely holders are left alone.
    type: bool
    default: false
  processes:
    description:
      - End exactly this many processes, or none.
      - Needed if several ports are held by more than five processes or three users.
    type: int
  signal:
    description: The signal to send.
    type: str
  grace:
    description: How long processes may take to end, such as V(5s).
    type: str
  settle:
    description: How long a port must stay free afterwards.
    type: str
  force:
    description: Send SIGKILL to processes that have not ended by then.
    type: bool
    default: false
  supervisor:
    description: Let supervisors stop the holders that they run, such as systemd and Docker.
    type: bool
    default: false
  clients:
    description: Also end processes that use the port for an outgoing connection, if nobody listens there.
    type: bool
    default: false
  remnants:
    description: Drop what is left of connections without a process. Needs root.
    type: bool
    default: false
  expect_held:
    description: Fail if nobody holds the ports.
    type: bool
    default: false
  wait:
    description: Wait until this is so for all ports, or fail when the time is over.
    type: str
    choices: [listening, free, answering]
  timeout:
    description: How long to wait, such as V(30s) or V(2m). A number means seconds.
    type: str
  any:
    description: One of the ports is enough.
    type: bool
    default: false
  by:
    description: The process that must listen, by its name or id.
    type: str
  status:
    description: The statuses of HTTP that count as an answer, such as V(2xx) or V(200,301).
    type: str
  free:
    description: Pick this many free ports. They are in RV(free.ports), and kept from other callers of portcheck for O(ttl).
    type: int
  range:
    description: Pick from these ports, such as V(20000-20100).
    type: list
    elements: str
  exclude:
    description: Never pick these.
    type: list
    elements: str
  prefer:
    description: Try these first, in this order.
    type: list
    elements: str
  near:
    description: Pick the nearest port that is free.
    type: str
  sticky:
    description: Pick the same port for the same name, whenever it is free.
    type: str
  address:
    description: Free on this address only.
    type: str
  ttl:
    description: How long to keep picked ports, such as V(90s). V(0) for not at all. The default is V(5m).
    type: str
  reach:
    description: Tell who can reach the ports, and what stops the others. Needs root.
    type: bool
    default: false
  from:
    description: The addresses that connect, for O(reach).
    type: list
    elements: str
  preflight:
    description:
      - Files on the host that ask for ports, such as compose files. Are these ports available?
      - With O(state=free), the task fails if one is not available.
    type: list
    elements: path
  profile:
    description: Also the services with this profile of docker compose, for O(preflight).
    type: list
    elements: str
  facts:
    description: Return all listeners as facts, as M(portcheck.portcheck.portcheck_facts) does.
    type: bool
    default: false
  executable:
    description: The path of a program on the host to use, if it is of the version of this collection.
    type: path
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
    details:
      - With O(kill), the plan is told, and C(changed) is as it would be.
      - With O(wait), the ports are reported at once, and the task does not fail.
      - With O(free), ports are picked and not kept.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: linux
  async:
    description: Supports being used with the C(async) keyword.
    support: none
notes:
  - Without root, holders of other users are hidden. A hidden holder is still a holder, and the port is not free.
"""

EXAMPLES = r"""
- name: Who has 5432?
  portcheck.portcheck.portcheck:
    ports: [5432]
  register: database
  become: true

- name: Fail early if a port is taken
  portcheck.portcheck.portcheck:
    ports: [80, 443]
    state: free

- name: End what holds 8080
  portcheck.portcheck.portcheck:
    ports: [8080]
    state: free
    kill: true
  become: true

- name: Wait for the server
  portcheck.portcheck.portcheck:
    ports: [8080]
    wait: listening
    timeout: 30s

- name: Pick a port
  portcheck.portcheck.portcheck:
    free: 1
  register: picked

- name: Use it
  ansible.builtin.debug:
    msg: "The server goes to {{ picked.free.ports[0] }}"

- name: Can the compose file get its ports?
  portcheck.portcheck.portcheck:
    preflight: [/srv/shop/compose.yaml]
    state: free
"""

RETURN = r"""
msg:
  description: What was found, in one sentence.
  returned: always
  type: str
  sample: "5432/tcp is in use: postgres (pid 812)"
ports:
  description: The ports with their findings and sockets, as C(portcheck --json) has them.
  returned: always, but not for facts
  type: list
  elements: dict
processes:
  description: The processes that hold them.
  returned: always, but not for facts
  type: list
  elements: dict
gaps:
  description: What could not be seen.
  returned: always, but not for facts
  type: list
  elements: dict
exit_code:
  description: What the command line exits with. 0 yes, 1 no, 2 wrong option, 3 cannot tell, 4 failure, 124 timeout.
  returned: always, but not for facts
  type: int
kill:
  description: What was done about the holders, or would be.
  returned: with O(kill)
  type: dict
wait:
  description: How the wait went.
  returned: with O(wait)
  type: dict
free:
  description: The picked ports, and their leases.
  returned: with O(free)
  type: dict
  contains:
    ports:
      description: The picked ports.
      returned: with O(free)
      type: list
      elements: int
      sample: [20873]
    leases:
      description: How they are kept, and for how long.
      returned: with O(free)
      type: list
      elements: dict
preflight:
  description: The ports that files ask for.
  returned: with O(preflight)
  type: list
  elements: dict
"""
