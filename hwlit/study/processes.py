"""One run as a process of its own: started, watched, stopped."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil

from hwlit.storage import write_text
from hwlit.study.cells import Budget
from hwlit.study.left_behind import CLOCK_STEP, alive

POLL = 0.1
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
WATCH = 0.5  # walking the process tree takes milliseconds, which a run on the same cores misses


class Flag(Protocol):
    """Says whether the runs are to stop, as `threading.Event` does."""

    def is_set(self) -> bool:
        """Return whether they are."""


@dataclass(frozen=True)
class Job:
    """One attempt at a cell.

    Args:
        command: The command line; None where a process that was left behind is awaited.
        log: Where its output is appended.
        started: The file that says which process it is.
        facts: What that file says beside the process.
        adopted: The process that is awaited, where it still runs: its id, and when it was born in
            seconds since the epoch.
        budget: What it may use.
        grace: Seconds to finish a step and save after it was told to stop.
        environment: What its environment has beside that of this process.
        attached: Whether it ends with this process, which nobody could find again.
    """

    command: tuple[str, ...] | None
    log: Path
    started: Path
    facts: Mapping[str, Any]
    adopted: tuple[int, float] | None = None
    budget: Budget = field(default_factory=Budget)
    grace: float = 120.0
    environment: Mapping[str, str] = field(default_factory=dict)
    attached: bool = False


@dataclass(frozen=True)
class Ending:
    """How an attempt ended.

    Args:
        exit_code: Negative for a signal; None where nobody was there to see it.
        cut: Why it was ended from here: time, memory or stop; None where it ended by itself.
        wall_time: Seconds from its start.
        memory: The largest resident memory of its tree that was seen, where that was watched.
        out_of_memory: Whether the kernel ended a process for memory meanwhile.
    """

    exit_code: int | None
    cut: str | None = None
    wall_time: float = 0.0
    memory: float = 0.0
    out_of_memory: bool = False


def attend(job: Job, stop: Flag) -> Ending:
    """Start a run, or take over one that was left behind, and stay with it until it has ended."""
    kills, began = kernel_kills(), time.time()
    process = _start(job) if job.command is not None else _adopt(job)
    if (born := _born(process.pid)) is not None:
        began = born
        facts = {**job.facts, "pid": process.pid, "created": born, "host": platform.node()}
        write_text(job.started, json.dumps(facts) + "\n")
    cut, memory = _watch(process, job, stop, began)
    return Ending(process.code, cut, time.time() - began, memory, kernel_kills() > kills)


class Watched(Protocol):
    """A process that is watched."""

    pid: int
    code: int | None

    def ended(self, seconds: float) -> bool:
        """Wait for so long and return whether it has ended."""


class Gone:
    """A process that had ended before it could be watched."""

    pid = 0
    code: int | None = None

    def ended(self, seconds: float) -> bool:
        """Return that it has."""
        return True


class Adopted:
    """A process that a study left behind when it was killed; its exit code is not ours to see.

    Args:
        process: The process.
    """

    def __init__(self, process: psutil.Process) -> None:
        self.pid, self._process = process.pid, process
        self.code: int | None = None

    def ended(self, seconds: float) -> bool:
        """Wait for so long and return whether it has ended."""
        end = time.monotonic() + seconds
        while alive(self._process):  # psutil would wait for a zombie that nobody collects
            if time.monotonic() > end:
                return False
            time.sleep(min(POLL, seconds))
        return True


class Child:
    """A process that was started here.

    Args:
        process: The process.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid, self._process = process.pid, process
        self.code: int | None = None

    def ended(self, seconds: float) -> bool:
        """Wait for so long and return whether it has ended."""
        try:
            self.code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


def _start(job: Job) -> Child:
    assert job.command is not None
    job.log.parent.mkdir(parents=True, exist_ok=True)
    write_text(job.started, json.dumps(dict(job.facts)) + "\n")  # before: a kill may come between
    with job.log.open("ab") as log:
        process = subprocess.Popen(
            job.command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONSAFEPATH": "1", **job.environment},
            start_new_session=True,  # Ctrl-C is for the study, which tells its runs
            preexec_fn=_end_with_parent if job.attached else None,
        )  # fmt: skip
    return Child(process)


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _adopt(job: Job) -> Watched:
    if job.adopted is None:
        return Gone()
    number, born = job.adopted
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(number)
        if abs(process.create_time() - born) < CLOCK_STEP:
            return Adopted(process)
    return Gone()  # another process may have its id by now


def _born(pid: int) -> float | None:
    """Return when a process was started; None where it has ended already."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).create_time() if pid else None
    return None


def _watch(process: Watched, job: Job, stop: Flag, began: float) -> tuple[str | None, float]:
    """Wait for the end of a run; return why it was ended from here, and its largest memory."""
    largest, looked = 0.0, 0.0
    while not process.ended(POLL):
        if stop.is_set():
            return _stop(process, job.grace, "stop"), largest
        if job.budget.time is not None and time.time() - began > job.budget.time:
            return _stop(process, job.grace, "time"), largest
        if job.budget.memory is not None and time.monotonic() - looked > WATCH:
            looked = time.monotonic()
            largest = max(largest, tree_memory(process.pid))
            if largest > job.budget.memory:
                return _stop(process, 0, "memory"), largest
    _end_rest(process.pid)
    return None, largest


def _stop(process: Watched, grace: float, why: str) -> str:
    """End a run: let it finish its step and save, and after that end all of its processes."""
    with contextlib.suppress(OSError):
        if grace:
            os.kill(process.pid, signal.SIGTERM)  # its leader alone: it tells its own processes
            if process.ended(grace):
                _end_rest(process.pid)
                return why
    end_group(process.pid)
    process.ended(60)
    return why


def stop_left_behind(process: psutil.Process, grace: float) -> None:
    """End a run that is no longer asked for: let it save, then end all of its processes."""
    _stop(Adopted(process), grace, "stop")


def _end_rest(pid: int) -> None:
    """End what a run may have left running whose leader has ended.

    The kernel gives the leader's id to no other process before its whole group has ended.
    """
    with contextlib.suppress(psutil.Error):
        if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            return
    end_group(pid)


def end_group(pid: int) -> None:
    """End all processes of a run's group."""
    if pid:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)


def tree_memory(pid: int) -> float:
    """Return the resident memory of a process and its descendants, in bytes; 0 once it is gone."""
    total = 0
    with contextlib.suppress(psutil.Error):
        leader = psutil.Process(pid)
        for process in (leader, *leader.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
    return float(total)


def kernel_kills() -> int:
    """Return how many processes the kernel has ended for memory; 0 where it does not say."""
    for path in ("/sys/fs/cgroup/memory.events", "/proc/vmstat"):
        with contextlib.suppress(OSError):
            for line in Path(path).read_text(encoding="utf-8").splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return 0
