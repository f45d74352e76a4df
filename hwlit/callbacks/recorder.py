"""The recorder: pulls what every monitor saw and writes one record."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import hwlit
from hwlit.callbacks.monitor import Monitor
from hwlit.callbacks.ranks import Place, join
from hwlit.records import Reading, Record, Unfit, encoded, field_decoder, write_record
from hwlit.records.schema import Status

PACKAGES = ("lightning", "torch", "torchmetrics", "transformers", "peft", "datasets", "tokenizers")


class RunRecorder:
    """Gathers a run's record and writes it to `record.json`, also where the run failed.

    Args:
        path: The file to write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._monitors: list[Monitor] = []
        self._facts: dict[str, Any] = {}
        self._more: list[tuple[str, Any]] = []
        self._readings: dict[str, Reading] = {}
        self._absent: dict[str, str] = {}

    def watch(self, *monitors: Monitor) -> None:
        """Ask these monitors at the end."""
        self._monitors.extend(monitors)

    def join(self, place: Place) -> None:
        """Take in what the monitors of the job's other processes saw; each process calls this."""
        join(self._monitors, place)

    def describe(self, **facts: Any) -> None:
        """Set fields of the record before anything is trained.

        Args:
            facts: Values by field, plain data or of the field's type.

        Raises:
            Unfit: A field would not read back.
        """
        for name, value in facts.items():
            self._facts[name] = fitted(name, value)

    def add(self, readings: Mapping[str, Reading], **facts: Any) -> None:
        """Add what came of the run: readings that no monitor has, and fields of the record.

        What does not fit is left out, with the reason, when the record is made: hours of training
        must not be lost with it. Of a list its items are added to those that are there.
        """
        self._readings.update(readings)
        self._more.extend(facts.items())

    def lack(self, name: str, reason: str) -> None:
        """Say why something cannot be had that no monitor gives."""
        self._absent[name] = reason

    def record(self, status: Status, error: str | None = None) -> Record:
        """Return the record as of now; it reads back as it is written."""
        draft = _Draft(dict(self._facts), absent=dict(self._absent))
        draft.add_readings(self._readings)
        for name, value in self._more:
            draft.set(name, value)
        for monitor in self._monitors:
            draft.observe(monitor)
        return Record(
            status=status,
            error=error,
            readings=draft.readings,
            absent=draft.absent,
            **draft.facts,
        )

    def write(self, status: Status, error: str | None = None) -> Record:
        """Write the record durably and return it."""
        record = self.record(status, error)
        write_record(record, self._path)
        return record


@dataclass
class _Draft:
    """A record in the making, which leaves out what would not read back.

    Args:
        facts: Values by field.
        readings: The readings.
        absent: What is left out, with the reasons.
    """

    facts: dict[str, Any]
    readings: dict[str, Reading] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def observe(self, monitor: Monitor) -> None:
        """Add what a monitor saw; one that fails costs its own part and no more."""
        name = type(monitor).__name__.lower()
        try:
            self.add_readings(monitor.readings())
            self.absent.update(monitor.absent())
            for field_name, value in monitor.details().items():
                self.set(field_name, value)
        except Exception as error:  # whatever it is, the record is worth more
            self.absent[name] = f"{type(error).__name__}: {error}"

    def add_readings(self, readings: Mapping[str, Reading]) -> None:
        """Add readings."""
        for name, reading in readings.items():
            try:
                self.readings |= fitted("readings", {name: reading})
            except Unfit as error:
                self.absent[name] = str(error)

    def set(self, name: str, value: Any) -> None:
        """Set a field, or add to a list."""
        try:
            found = fitted(name, value)
        except Unfit as error:
            if isinstance(value, list) and len(value) > 1:  # the others may be fit
                for item in value:
                    self.set(name, [item])
            else:
                self.absent[name] = str(error)
        else:
            known = self.facts.get(name)
            self.facts[name] = [*known, *found] if isinstance(known, list) else found


def fitted(name: str, value: Any) -> Any:
    """Return a value as a field of the record holds it once it was written and read.

    Args:
        name: The field.
        value: Plain data, or of the field's type.

    Raises:
        Unfit: It would not read back.
    """
    try:
        text = json.dumps(encoded(value), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise Unfit(f"is no plain data: {error}").below(name) from None
    try:
        return field_decoder(Record, name)(json.loads(text))
    except Unfit as error:
        raise error.below(name) from None


def environment(device: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the run ran on: device, versions, code, threads, time.

    Args:
        device: The device's description of itself.
    """
    return {
        "device": dict(device),
        "versions": {
            "hwlit": hwlit.__version__,
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in PACKAGES},
        },
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "code": _code(Path(hwlit.__file__).parent),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def _code(folder: Path) -> dict[str, Any]:
    """Return the commit that hwlit runs from and whether files differ from it."""

    def git(*words: str) -> str | None:
        command: Sequence[str] = ("git", "-C", str(folder), "-c", "core.fsmonitor=false", *words)
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, env=environment, timeout=10, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # Installed from a wheel, the folder may lie inside some other project's repository, whose
    # settings could have git run any command: no git is asked there.
    own = (folder.parent / ".git").exists()
    if not own or git("ls-files", "--error-unmatch", "__init__.py") is None:
        return {"commit": None, "reason": "not run from a git checkout"}
    return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
