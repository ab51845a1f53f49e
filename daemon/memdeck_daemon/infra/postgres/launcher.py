"""The last step before PostgreSQL: a tiny program that gives up root, ties its life to the daemon's and becomes it.

Owns the order of these steps, which is the whole point: the parent-death signal is cleared by setuid, so it is asked
for afterwards, and it is asked for here, in the main thread of a process of its own, because running Python between
fork and exec of a daemon with threads can deadlock. It runs with `python -I -S`, imports nothing of ours and takes
about 15 ms. Usage: `launcher.py PARENT_PID UID GID PROGRAM ARGUMENT…`; UID -1 keeps the present user.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Become the program, or exit with 127 and a sentence on standard error."""
    parent, uid, gid = (int(text) for text in arguments[:3])
    command = arguments[3:]
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    # Python's own handler would swallow a death signal that arrives before the exec.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.umask(0o077)
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)
    if os.getppid() != parent:  # it died before the signal was asked for
        sys.exit("the daemon that started this process is gone")
    try:
        os.execv(command[0], command)  # noqa: S606 - becoming the program is the point
    except OSError as error:
        sys.stderr.write(f"{command[0]} cannot be started: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
