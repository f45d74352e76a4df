"""The recorder: pulls what every monitor saw and writes one record."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

import hwlit
from hwlit.callbacks.monitor import Monitor
from hwlit.callbacks.ranks import Place, join
from hwlit.records import Reading, RunRecord

PACKAGES = ("lightning", "torch", "torchmetrics", "transformers", "peft", "datasets", "tokenizers")


class RunRecorder:
    """Gathers a run's record and writes it to `record.json`, also where the run failed.

    Args:
        path: The file to write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._monitors: list[Monitor] = []
        self._description: dict[str, Any] = {}
        self._readings: dict[str, Reading] = {}
        self._absent: dict[str, str] = {}
        self._details: dict[str, Any] = {}

    def watch(self, *monitors: Monitor) -> None:
        """Ask these monitors at the end."""
        self._monitors.extend(monitors)

    def join(self, place: Place) -> None:
        """Take in what the monitors of the job's other processes saw; each process calls this."""
        join(self._monitors, place)

    def describe(self, **facts: Any) -> None:
        """Add plain data about the run: what was asked and what was run."""
        self._description.update(facts)

    def add(self, readings: Mapping[str, Reading], **details: Any) -> None:
        """Add readings that no monitor has."""
        self._readings.update(readings)
        self._details.update(details)

    def lack(self, name: str, reason: str) -> None:
        """Say why something cannot be had that no monitor gives."""
        self._absent[name] = reason

    def record(self, status: str, error: str | None = None) -> RunRecord:
        """Return the record as of now."""
        record = RunRecord(
            status=status,
            description=dict(self._description),
            readings=dict(self._readings),
            absent=dict(self._absent),
            details=dict(self._details),
            error=error,
        )
        remarks = list(record.details.get("remarks", ()))
        for monitor in self._monitors:
            record.readings.update(monitor.readings())
            record.absent.update(monitor.absent())
            details = monitor.details()
            remarks += details.get("remarks", ())
            record.details.update(details)
        if remarks:  # several monitors have some
            record.details["remarks"] = remarks
        return record

    def write(self, status: str, error: str | None = None) -> RunRecord:
        """Write the record durably and return it."""
        record = self.record(status, error)
        record.write(self._path)
        return record


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
