import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from .fake_gpus import FakeEvent, FakeGpus
from .fake_nvml import FakeNvml
from .fake_xla import FakeXla

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


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> FakeGpus:
    """A fake torch.cuda in place of the real one."""
    fake = FakeGpus()
    event = type("Event", (FakeEvent,), {"gpus": fake})
    replacements = {
        "get_device_properties": fake.get_device_properties,
        "device_count": lambda: len(fake.visible),
        "current_device": lambda: 1,
        "current_stream": fake.current_stream,
        "synchronize": lambda index: fake.calls.append(("synchronize", index)),
        "reset_peak_memory_stats": fake.reset_peak_memory_stats,
        "max_memory_allocated": lambda index: fake.peaks[0],
        "max_memory_reserved": lambda index: fake.peaks[1],
        "memory_allocated": lambda index: fake.allocated,
        "memory_reserved": lambda index: fake.reserved,
        "Event": event,
    }
    for name, replacement in replacements.items():
        monkeypatch.setattr(torch.cuda, name, replacement)
    return fake


@pytest.fixture
def xla(monkeypatch: pytest.MonkeyPatch) -> FakeXla:
    """A fake torch_xla in place of the real one."""
    fake = FakeXla()
    for module in fake.modules():
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return fake
