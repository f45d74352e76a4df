import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .fake_nvml import FakeNvml

RANGE_UJ = 262_143_328_850  # what a Xeon shows


@pytest.fixture
def zone(tmp_path: Path) -> Callable[..., Path]:
    """Write one zone of a fake powercap tree and return its directory."""

    def write(path: str, name: str, energy_uj: int | None) -> Path:
        directory = tmp_path / "powercap" / path
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "name").write_text(f"{name}\n")
        (directory / "max_energy_range_uj").write_text(f"{RANGE_UJ}\n")
        if energy_uj is None:
            (directory / "energy_uj").mkdir()  # cannot be read, by root neither
        else:
            (directory / "energy_uj").write_text(f"{energy_uj}\n")
        return directory

    return write


@pytest.fixture
def powercap(tmp_path: Path) -> Path:
    """The root of the fake powercap tree."""
    root = tmp_path / "powercap"
    root.mkdir(exist_ok=True)
    return root


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """A fake pynvml in place of the real one."""
    module = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return module
