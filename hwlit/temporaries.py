"""The names of what is being written, and the removal of what a killed process left of it.

`.tmp-TARGET-PID@HOST-RANDOM`: a name tells its target and which process writes it, so that what is
left behind is told from what another process still writes, and from any other's `.tmp-` file.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
from pathlib import Path

import psutil

PREFIX = ".tmp-"
NAME = re.compile(
    r"\.tmp-(?P<target>.+)-(?P<pid>[0-9]{1,9})@(?P<host>[A-Za-z0-9.]*)-[a-z0-9_]{8}", re.DOTALL
)
LONGEST_TARGET = 120  # bytes of a target's name in that of its temporary; a name has at most 255


def temporary_prefix(target: str) -> str:
    """Return how the name of a temporary of this process begins; eight characters are to follow."""
    return f"{PREFIX}{_shortened(target)}-{os.getpid()}@{_host()}-"


def is_temporary(name: str) -> bool:
    """Return whether a name is one that unfinished files and folders get here."""
    return NAME.fullmatch(name) is not None


def remove_stale(path: Path) -> None:
    """Remove what a process of this machine that has ended did not finish writing to `path`."""
    target = _shortened(path.name)
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in [entry for entry in entries if entry.name.startswith(PREFIX)]:
            found = NAME.fullmatch(entry.name)
            if (
                found is not None
                and (found["target"], found["host"]) == (target, _host())
                and not psutil.pid_exists(int(found["pid"]))
            ):
                _remove(entry)


def remove_temporaries(folder: Path) -> None:
    """Remove what is unfinished in a folder and below, but for what a process here still writes.

    Args:
        folder: The folder, held: whoever wrote in it from another machine, or by this process's
            number before it, has ended.
    """
    folders = [folder]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in list(entries):
                found = NAME.fullmatch(entry.name)
                if found is None:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                    continue
                pid, here = int(found["pid"]), found["host"] == _host()
                if not here or pid == os.getpid() or not psutil.pid_exists(pid):
                    _remove(entry)


def _shortened(name: str) -> str:
    return os.fsdecode(os.fsencode(name)[:LONGEST_TARGET])


def _host() -> str:
    """Return where process numbers mean what they do here: the machine, and its container."""
    try:
        inside = re.sub(r"\D", "", os.readlink("/proc/self/ns/pid"))
    except OSError:
        inside = ""
    return re.sub(r"[^A-Za-z0-9.]", "", platform.node())[:40] + "." + inside


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            os.unlink(entry.path)
