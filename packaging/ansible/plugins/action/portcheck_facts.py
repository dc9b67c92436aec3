# Copyright (c) the portcheck authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Gathers who listens where, as facts."""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

from ansible_collections.portcheck.portcheck.plugins.action.portcheck import ActionModule as Portcheck


class ActionModule(Portcheck):
    """The same program, with another question."""

    ADDED = {'facts': True}
