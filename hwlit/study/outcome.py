"""What became of an attempt: its status, and the reason in one sentence."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from hwlit.errors import IntegrityError
from hwlit.records import Record, read_record
from hwlit.study.cells import Budget
from hwlit.study.collect import NO_RECORD
from hwlit.study.processes import Ending
from hwlit.study.show import in_unit

BY_EXIT_CODE = {
    2: "config",
    3: "data",
    4: "diverged",
    129: "interrupted",
    130: "interrupted",
    143: "interrupted",
}
RESOURCE = 6
TAIL = 65536
LONGEST = 500


@dataclass(frozen=True)
class Outcome:
    """What a row says of how its run ended.

    Args:
        status: ok, failed, oom, killed, timeout, diverged, config, data or interrupted.
        reason: Why, in one sentence; None for ok.
    """

    status: str
    reason: str | None = None


def judge(ending: Ending, run: Path, log: Path, offset: int, limits: Budget) -> Outcome | None:
    """Return what became of an attempt; None where nobody saw that, and it is to be tried again.

    Args:
        ending: How its process ended.
        run: The run's directory.
        log: Its output.
        offset: Where the attempt's own output begins in it.
        limits: What it was allowed to use.
    """
    record = read_if_there(run)
    if record.status == "ok":
        return _within(record, limits)
    if ending.cut is not None:
        return _cut(ending, limits)
    if ending.exit_code is None:
        return None
    said = last_words(log, offset) or record.error or ""
    if ending.exit_code < 0:
        return _by_signal(-ending.exit_code, ending.out_of_memory)
    if ending.exit_code == 0:
        return Outcome("failed", "it exited with 0, but left no finished record")
    status = BY_EXIT_CODE.get(ending.exit_code, "failed")
    if ending.exit_code == RESOURCE and "out of memory" in said.lower():
        status = "oom"
    return Outcome(status, said or f"it exited with {ending.exit_code} and said nothing")


def read_if_there(run: Path) -> Record:
    """Return a run's record; `NO_RECORD` where there is none, or a damaged one."""
    try:
        return read_record(run)
    except IntegrityError:
        return NO_RECORD


def last_words(log: Path, offset: int = 0) -> str:
    """Return the last sentence of hwlit in a log, else its last line; empty where it has none."""
    try:
        with log.open("rb") as file:
            end = file.seek(0, 2)
            file.seek(max(offset, end - TAIL))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    ours = [line.removeprefix("hwlit: ") for line in lines if line.startswith("hwlit: ")]
    return "".join((ours or lines)[-1:])[:LONGEST]


def _within(record: Record, limits: Budget) -> Outcome:
    """Return whether a finished run kept to its memory; a peak may fall between two looks."""
    peak = record.value("fit/peak_memory") or 0.0
    if limits.memory is None or peak <= limits.memory:
        return Outcome("ok")
    used, allowed = in_unit(peak, "B"), in_unit(limits.memory, "B")
    return Outcome("oom", f"it finished, but its peak of {used} is more than the {allowed} allowed")


def _cut(ending: Ending, limits: Budget) -> Outcome:
    if ending.cut == "time":
        return Outcome("timeout", f"it had not ended after the {limits.time or 0:g} s allowed")
    if ending.cut == "memory":
        used, allowed = in_unit(ending.memory, "B"), in_unit(limits.memory or 0, "B")
        return Outcome("oom", f"it used {used} of the {allowed} allowed, and was ended")
    return Outcome("interrupted", "the study was stopped; the same command goes on with it")


def _by_signal(number: int, out_of_memory: bool) -> Outcome:
    known = {each.value: each.name for each in signal.Signals}
    name = known.get(number, f"signal {number}")
    if number == signal.SIGKILL and out_of_memory:
        return Outcome("oom", "the kernel ended it (SIGKILL), for the machine had no memory left")
    if number == signal.SIGKILL:
        return Outcome("killed", "something else ended it (SIGKILL); the same command tries again")
    if name in ("SIGTERM", "SIGINT", "SIGHUP"):
        return Outcome("interrupted", f"something else stopped it ({name})")
    return Outcome("failed", f"it crashed ({name})")
