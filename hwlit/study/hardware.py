"""Which cells can run here: an axis of hardware may name what this machine lacks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence

from hwlit.study.cells import Cell

# What each accelerator of the trainer may be; every other runs anywhere.
KINDS = {
    "gpu": {"cuda", "mps"}, "cuda": {"cuda"}, "mps": {"mps"}, "xpu": {"xpu"}, "tpu": {"tpu"},
}  # fmt: skip
PROBE = (
    "from hwlit.devices.presence import find_devices; "
    "print(*(device.kind for device in find_devices() if device.names))"
)


def devices_here() -> set[str]:
    """Return the kinds of devices of this machine, asked in a process of its own for its torch."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROBE],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    return set(done.stdout.split()) or {"cpu"}


def runnable(
    cells: Sequence[Cell], devices: Callable[[], set[str]] = devices_here
) -> tuple[list[Cell], list[str]]:
    """Return the cells whose hardware is here, and the accelerators that the others lack.

    Args:
        cells: The cells.
        devices: Says what is here; asked only where a cell needs more than a CPU.
    """
    asked = {cell.name: str(cell.overrides.get("trainer.accelerator")) for cell in cells}
    if not KINDS.keys() & asked.values():
        return list(cells), []
    here = devices()
    lacking = {name for name in asked.values() if name in KINDS and not KINDS[name] & here}
    return [cell for cell in cells if asked[cell.name] not in lacking], sorted(lacking)
