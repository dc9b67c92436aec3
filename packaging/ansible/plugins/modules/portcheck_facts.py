#!/usr/bin/python
# Copyright (c) the portcheck authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Documentation of the module; the action plugin of the same name does the work."""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
module: portcheck_facts
short_description: Gather who listens on which port
description:
  - Returns every listener of a host as a fact, with its process, user, unit or container, and exposure.
  - The module is the program portcheck itself. It is copied to the host once, and needs no Python there.
author:
  - the portcheck authors (@portcheck)
options:
  protocol:
    description: Look at this protocol only.
    type: str
    choices: [tcp, udp, both]
    default: both
  executable:
    description: The path of a program on the host to use, if it is of the version of this collection.
    type: path
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
  facts:
    description: Action returns an C(ansible_facts) dictionary that will update existing host facts.
    support: full
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: linux
notes:
  - Without root, holders of other users are hidden; then C(complete) is false.
"""

EXAMPLES = r"""
- name: Gather listeners
  portcheck.portcheck.portcheck_facts:
  become: true

- name: No database may be reachable from other machines
  ansible.builtin.assert:
    that: >-
      ansible_facts.portcheck.listening
      | selectattr('process', 'equalto', 'postgres')
      | selectattr('exposure', 'ne', 'loopback') | list | length == 0
"""

RETURN = r"""
ansible_facts:
  description: The listeners.
  returned: always
  type: complex
  contains:
    portcheck:
      description: The listeners, and what could not be seen.
      returned: always
      type: dict
      contains:
        complete:
          description: Whether every socket was seen, and the holders of each.
          returned: always
          type: bool
        listening:
          description: A process on a port each, with its addresses, pids, user, supervisor and exposure.
          returned: always
          type: list
          elements: dict
        gaps:
          description: What could not be seen.
          returned: always
          type: list
          elements: dict
        version:
          description: The version of portcheck.
          returned: always
          type: str
"""
