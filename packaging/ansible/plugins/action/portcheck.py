# Copyright (c) the portcheck authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs the program on the host: one that is installed there, or one of this collection."""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

import os
import shlex

from ansible.errors import AnsibleConnectionFailure, AnsibleError
from ansible.module_utils.common.text.converters import to_text
from ansible.plugins.action import ActionBase
from ansible_collections.portcheck.portcheck.plugins.plugin_utils import program
from ansible_collections.portcheck.portcheck.plugins.plugin_utils.program import Programs, Trouble

FOLDER = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), 'programs')


def plain(value):
    """A value without what Ansible adds to it."""
    if isinstance(value, dict):
        return {str(key): plain(element) for key, element in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(element) for element in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(to_text(value))


class ActionModule(ActionBase):
    """Does a task with the program."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    # What the task adds to its own options.
    ADDED = {}

    def run(self, tmp=None, task_vars=None):
        result = super(ActionModule, self).run(tmp, task_vars)
        arguments = dict(plain(self._task.args), **self.ADDED)
        arguments['_ansible_check_mode'] = bool(self._task.check_mode)
        given = arguments.pop('executable', None)
        try:
            if getattr(self._connection._shell, 'SHELL_FAMILY', 'sh') != 'sh':
                raise Trouble('this module needs a POSIX shell on the host: there is none on Windows')
            result.update(self._answer(given, arguments))
        except Trouble as trouble:
            result.update(failed=True, changed=False, msg=str(trouble))
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _shell(self, script, sudoable=False):
        told = self._low_level_execute_command(script, sudoable=sudoable)
        # ssh itself has no other way to say that it lost the host.
        if told['rc'] == 255 and self._connection.transport == 'ssh':
            raise AnsibleConnectionFailure('the host was lost: {0}'.format(told['stderr'].strip()))
        return told

    def _answer(self, given, arguments):
        """The answer of the program. Where it is there already, one command finds and runs it."""
        programs = Programs(FOLDER)
        temporary = self.get_shell_option('remote_tmp', default='~/.ansible/tmp')
        asked_at_once = None if self._connection.become else arguments
        told = self._shell(program.find_script(programs, temporary, given, asked_at_once))
        system, kind, place = program.found(told['stdout'])
        if kind != 'use' or asked_at_once is None:
            place = self._place(programs, given, system, kind, place or told['stderr'].strip())
            told = self._shell(program.run_script(shlex.quote(place), arguments), sudoable=True)
        answer = program.answer(told['stdout'])
        if answer is None:
            user = self.get_become_option('become_user') if self._connection.become else None
            raise Trouble(program.why_no_answer(told['rc'], told['stdout'], told['stderr'], place, user))
        return program.checked(answer)

    def _place(self, programs, given, system, kind, place):
        """Where the program is on the host, after it was looked for."""
        if kind == 'use':
            return self._within_reach(programs, system, place)
        if given:
            raise Trouble('{0} is not portcheck {1} on this host: leave executable out, or install it'.format(given, programs.version))
        if kind == 'put' and self._is_become_unprivileged():
            return self._within_reach(programs, system, place)
        if kind == 'put':
            return self._put(programs, system, place)
        if kind == 'none':
            have = ', '.join(sorted(programs.sums))
            raise Trouble('this collection has no program for {0} (it has {1}): install portcheck {2} on the host'.format(
                system or 'this machine', have, programs.version))
        if kind == 'foreign':
            raise Trouble('{0} belongs to somebody else, so nothing is run from there: set ansible_remote_tmp'.format(place))
        if 'No space left' in place:
            raise Trouble('the disk is full: {0}'.format(place))
        raise Trouble('no folder for the program could be made: {0}'.format(place))

    def _within_reach(self, programs, system, place):
        """The same, where the user that Ansible becomes can read it."""
        if not self._is_become_unprivileged() or '/portcheck/portcheck-' not in place:
            return place
        folder = self._make_tmp_path()
        reachable = self._put(programs, system, self._connection._shell.join_path(folder, 'portcheck'))
        self._fixup_perms2([folder, reachable])
        return reachable

    def _put(self, programs, system, place):
        """Copies the program, and checks what arrived."""
        size, copy = programs.verified(system), program.copy_of(place)
        try:
            self._transfer_file(programs.path(system), copy)
            said = ''
        except AnsibleConnectionFailure:
            raise
        except AnsibleError as error:
            said = to_text(error)
        told = said or self._shell(program.settle_script(copy, place, programs.sums[system], size))['stdout']
        word, _blank, rest = told.strip().partition(' ')
        if word == 'settled':
            return place
        if word == 'damaged':
            raise Trouble('the program was damaged on its way to the host: try again')
        if word == 'refused':
            raise Trouble('{0} cannot be executed: {1}. The host said: {2}'.format(place, program.NOEXEC, rest.strip()))
        free = program.room(self._shell(program.give_up_script(copy, place))['stdout'])
        if 'No space left' in told or (free is not None and free < size):
            has = '' if free is None else ', and {0} are free'.format(program.megabytes(free))
            raise Trouble('the disk is full: the program needs {0} in {1}{2}'.format(
                program.megabytes(size), os.path.dirname(place), has))
        raise Trouble('the program could not be copied to {0}: {1}'.format(place, told.strip()[-500:]))
