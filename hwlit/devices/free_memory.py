"""How much memory can still be taken: of the machine, or of the container that this runs in."""

from __future__ import annotations

import contextlib
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")


def free_memory(cgroup: Path = CGROUP) -> int:
    """Return the bytes that can be taken without swapping.

    Args:
        cgroup: The control group (version 2) of this process, whose limit counts where it has one.
    """
    free = psutil.virtual_memory().available
    with contextlib.suppress(OSError, ValueError, LookupError):  # no limit, or no control group
        limit = int((cgroup / "memory.max").read_text())
        told = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())
        free = min(free, limit - int(told["anon"]))  # what is cached of files gives way
    return free
