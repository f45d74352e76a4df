import subprocess
import sys

import torch

from hwlit.devices import selection
from hwlit.devices.cpu import Cpu
from hwlit.devices.cuda import Cuda
from hwlit.devices.generic import Generic
from hwlit.devices.selection import device_for


def test_cpu_and_unknown_types():
    assert type(device_for(torch.device("cpu"))) is Cpu
    for kind in ("mps", "xpu", "meta"):
        device = device_for(torch.device(kind))
        assert type(device) is Generic
        assert device.kind == kind


def test_cuda_with_its_index():
    device = device_for(torch.device("cuda", 1))
    assert type(device) is Cuda
    assert device.kind == "cuda"


def test_xla_is_a_tpu(monkeypatch):
    monkeypatch.setitem(
        selection.ACCELERATORS, "xla", lambda device, host, _: ("tpu", device, host)
    )
    kind, device, host = device_for(torch.device("xla", 0))
    assert (kind, device.type) == ("tpu", "xla")
    assert type(host) is Cpu


def test_importing_the_package_imports_nothing_optional():
    # Not pynvml: torch looks for that itself.
    code = (
        "import sys, hwlit.devices.selection\n"
        "sys.exit(bool({'lightning', 'codecarbon', 'torch_xla'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
