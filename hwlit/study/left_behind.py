"""Runs that a killed study left running, and how one is told from any other process.

A study's directory may come from somebody else, and what it says of processes may be made up: only
a process that is by its own command line a run in this very directory is awaited or ended.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

from hwlit.bounded_files import read_json

LARGEST_STARTED = 1 << 20  # bytes
CLOCK_STEP = 2.0  # start times of one process differ by less between two readings
COMMANDS = ("fit", "quantize")
WHERE = ("--output", "--resume")


def left_behind(started: Path, run: Path, program: str) -> psutil.Process | None:
    """Return the process of an attempt if it still runs: the same id, start, and command line.

    Args:
        started: The file that says which process it was.
        run: The directory that it writes to, absolute.
        program: The file name of what runs are started by.
    """
    try:
        facts = read_json(started, LARGEST_STARTED)
        process = psutil.Process(int(facts["pid"]))
        same = abs(process.create_time() - float(facts["created"])) < CLOCK_STEP
        here = facts.get("host") == platform.node()
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return None
    except psutil.Error:
        return None
    return process if same and here and run_of(process, program) == str(run) else None


def running_in(folders: Iterable[Path], program: str) -> dict[Path, psutil.Process]:
    """Return the process, started by any means, that runs `fit` or `quantize` in a run's directory.

    Args:
        folders: The directories, absolute.
        program: The file name of what runs are started by.
    """
    wanted, found = {str(folder): folder for folder in folders}, {}
    for process in psutil.process_iter():
        if (run := run_of(process, program)) in wanted:
            found[wanted[run]] = process
    return found


def run_of(process: psutil.Process, program: str) -> str | None:
    """Return the directory that a process of this user runs `fit` or `quantize` in; else None.

    Others may read what a run writes: a board, an editor, a prediction.
    """
    with contextlib.suppress(psutil.Error, OSError):
        ours = process.uids().real == os.getuid()
        if ours and os.getsid(process.pid) == process.pid and alive(process):
            return _run_in(process.cmdline(), program)
    return None


def _run_in(words: Sequence[str], program: str) -> str | None:
    """Return the directory that a command line names; None where it is of another program."""
    at = next((i for i, word in enumerate(words) if Path(word).name == program), len(words))
    command, options = words[at + 1 : at + 2], words[at + 2 :]
    if not command or command[0] not in COMMANDS:
        return None
    for i, word in enumerate(options):
        name, equals, value = word.partition("=")
        if name in WHERE:
            return value if equals else next(iter(options[i + 1 :]), None)
    return None


def alive(process: psutil.Process) -> bool:
    """Return whether a process runs: the same one, and not one that waits to be collected."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
