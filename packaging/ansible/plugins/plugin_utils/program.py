# Copyright (c) the portcheck authors
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Finds the program for a host, brings it there, and runs it. Nothing but a POSIX shell is needed."""

from __future__ import absolute_import, annotations, division, print_function

__metaclass__ = type

import hashlib
import json
import os
import shlex
import uuid

# Where a package puts the program. No other folder is trusted.
FOLDERS = ('/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/opt/portcheck/bin')

# Tells the system, and where the program is or may be put. Runs it, if arguments are given.
FIND = r"""
use() { echo "use $1"; @RUN@ exit; }
s=$(uname -s); m=$(uname -m)
case $m in amd64) m=x86_64;; arm64) m=aarch64;; esac
echo "system $s-$m"
for p in @PLACES@; do
  if [ -x "$p" ] && [ "$("$p" --version 2>/dev/null)" = @VERSION@ ]; then use "$p"; fi
done
case $s-$m in
@SUMS@
*) echo none; exit 0;;
esac
umask 77
d=$(echo @TEMPORARY@)/portcheck
if ! e=$(mkdir -p "$d" 2>&1); then echo "failed $e"; exit 0; fi
if [ -L "$d" ] || ! [ -O "$d" ]; then echo "foreign $d"; exit 0; fi
chmod 700 "$d"
f=$d/$n
if [ -f "$f" ] && [ -O "$f" ] && ! [ -L "$f" ]; then
  t=$( (sha256sum "$f" || shasum -a 256 "$f" || sha256 -q "$f") 2>/dev/null)
  if [ "${t%% *}" = "$h" ]; then use "$f"; fi
fi
echo "put $f"
"""

# Checks what was copied, and gives it its name at once.
SETTLE = r"""
t=@COPY@; f=@FILE@
z=$(wc -c <"$t")
if [ "$z" -ne @SIZE@ ]; then rm -f "$t"; echo "short $z"; exit 0; fi
c=$( (sha256sum "$t" || shasum -a 256 "$t" || sha256 -q "$t") 2>/dev/null)
if [ -n "$c" ] && [ "${c%% *}" != @SUM@ ]; then rm -f "$t"; echo damaged; exit 0; fi
find "${f%/*}" -type f -name 'portcheck-*' -mtime +30 -exec rm -f {} + 2>/dev/null
if chmod 700 "$t" && mv -f "$t" "$f"; then :; else rm -f "$t"; exit 0; fi
if e=$("$f" --version 2>&1); then echo settled; else echo "refused $e"; fi
"""

# What is left of a copy that failed, and how much room there is.
GIVE_UP = r"""
rm -f @COPY@
df -Pk @FOLDER@ 2>/dev/null | tail -n 1
"""

# What the answer of the program may have for Ansible.
ANSWER = (
    'changed', 'failed', 'msg', 'schema_version', 'version', 'command', 'exit_code', 'host', 'ports', 'processes',
    'gaps', 'kill', 'wait', 'free', 'connections', 'connection_groups', 'preflight', 'summary', 'error',
)


class Trouble(Exception):
    """The program could not be run; the text says why, and what to do."""


class Programs:
    """The programs of the collection, by system and machine: Linux-x86_64."""

    def __init__(self, folder):
        try:
            with open(os.path.join(folder, 'programs.json'), encoding='utf-8') as file:
                listed = json.load(file)
        except OSError as error:
            raise Trouble('the collection has no programs: install the archive of a release ({0})'.format(error)) from error
        self.folder, self.version, self.sums = folder, listed['version'], listed['sha256']

    def path(self, system):
        return os.path.join(self.folder, 'portcheck-' + system)

    def name(self, system):
        """What it is called on a host: never the same for two builds."""
        return 'portcheck-{0}-{1}'.format(self.version, self.sums[system][:16])

    def verified(self, system):
        """The size of the program, which must be as it was built."""
        digest, size = hashlib.sha256(), 0
        with open(self.path(system), 'rb') as file:
            for part in iter(lambda: file.read(1 << 20), b''):
                digest.update(part)
                size += len(part)
        if digest.hexdigest() != self.sums[system]:
            raise Trouble('{0} is damaged: install the collection again'.format(self.path(system)))
        return size


def filled(script, **values):
    for name, value in values.items():
        script = script.replace('@{0}@'.format(name), value)
    return script.strip()


def find_script(programs, temporary, given, arguments):
    """The script that finds the program, and runs it if it is there and there are arguments for it.

    `temporary` is expanded by the shell, as Ansible does.
    """
    places = [given] if given else ['{0}/portcheck'.format(folder) for folder in FOLDERS]
    sums = ['{0}) h={1} n={2};;'.format(system, digest, programs.name(system)) for system, digest in sorted(programs.sums.items())]
    return filled(
        FIND,
        PLACES=' '.join(shlex.quote(place) for place in places),
        VERSION=shlex.quote('portcheck ' + programs.version),
        SUMS='\n'.join(sums),
        TEMPORARY=temporary,
        RUN='' if arguments is None else run_script('"$1"', arguments) + ';',
    )


def found(stdout):
    """The system, what was found, and where."""
    system, kind, place = '', '', ''
    for line in stdout.splitlines():
        word, _blank, rest = line.strip().partition(' ')
        if word == 'system':
            system = rest
        elif word in ('use', 'put', 'none', 'foreign', 'failed'):
            kind, place = word, rest
        elif kind == 'failed':
            place += '\n' + line
    return system, kind, place


def copy_of(place):
    """The name of a file while it is copied: two plays may do that at a time."""
    return '{0}.{1}'.format(place, uuid.uuid4().hex[:12])


def settle_script(copy, place, digest, size):
    return filled(SETTLE, COPY=shlex.quote(copy), FILE=shlex.quote(place), SUM=digest, SIZE=str(size))


def give_up_script(copy, place):
    return filled(GIVE_UP, COPY=shlex.quote(copy), FOLDER=shlex.quote(os.path.dirname(place)))


def room(stdout):
    """How many bytes are free, from `df -Pk`."""
    fields = stdout.strip().splitlines()[-1].split() if stdout.strip() else []
    return int(fields[-3]) * 1024 if len(fields) >= 6 and fields[-3].isdigit() else None


def megabytes(size):
    return '{0:.1f} MB'.format(size / 1e6)


def run_script(quoted, arguments):
    """The program, with the arguments of the module as JSON. They hold no secrets."""
    return 'printf %s {0} | {1} ansible -'.format(shlex.quote(json.dumps(arguments)), quoted)


def answer(stdout):
    """The object that the program printed. Terminals and profiles may print more around it."""
    for line in reversed(stdout.splitlines()):
        if not line.lstrip().startswith('{'):
            continue
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict) and isinstance(told.get('changed'), bool) and isinstance(told.get('failed'), bool):
            return told
    return None


def checked(told):
    """The answer without anything that a host could slip into Ansible."""
    result = {key: told[key] for key in ANSWER if key in told}
    fact = (told.get('ansible_facts') or {}).get('portcheck')
    if fact is not None:
        result['ansible_facts'] = {'portcheck': fact}
    return result


def why_no_answer(code, stdout, stderr, place, user):
    """What kept the program from answering."""
    said = (stderr.strip() or stdout.strip())[-500:]
    text = said.lower()
    who = user or 'the user that Ansible becomes'
    if 'sudo' in text and ('not found' in text or 'no such file' in text):
        reason = 'sudo is not installed on this host, so Ansible cannot become {0}'.format(who)
    elif 'not in the sudoers' in text or 'not allowed to execute' in text or 'may not run sudo' in text:
        reason = 'this user may not use sudo on this host, so Ansible cannot become {0}'.format(who)
    elif 'password is required' in text or 'a terminal is required' in text:
        reason = 'sudo on this host asks for a password: give one with --ask-become-pass'
    elif 'exec format error' in text:
        reason = '{0} is not a program for this machine'.format(place)
    elif code == 126 or 'permission denied' in text:
        reason = '{0} cannot be executed by {1}: {2}'.format(place, who, NOEXEC)
    elif 'no space left' in text:
        reason = 'the disk is full'
    elif code == 127:
        reason = '{0} is gone'.format(place)
    elif code in (137, -9):
        reason = 'the program was killed'
    else:
        reason = 'the program gave no answer (exit code {0})'.format(code)
    return '{0}. The host said: {1}'.format(reason, said) if said else reason


NOEXEC = 'its file system may be mounted noexec. Set ansible_remote_tmp to another folder, or install portcheck there'
