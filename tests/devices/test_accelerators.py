"""That `--trainer.accelerator` reaches the class that measures it, without the hardware."""

import pytest
import torch
from lightning.fabric.accelerators import xla as lightning_xla
from lightning.fabric.accelerators.mps import MPSAccelerator

from hwlit import cli
from hwlit.__main__ import main
from hwlit.devices.cuda import Cuda
from hwlit.devices.generic import Generic
from hwlit.devices.tpu import Tpu


@pytest.fixture
def reach(tiny_fit, monkeypatch):
    """Return trainer, device and phases of a run, for arguments of fit."""
    given = []

    def stop(*arguments):
        given.extend(arguments)
        raise RuntimeError("here the run would begin")

    kind_of_run = staticmethod(lambda model, data: stop)
    monkeypatch.setattr(cli.HwlitCLI, "kind_of_run", kind_of_run)

    def with_arguments(*arguments):
        assert main([*tiny_fit, *arguments]) == 1
        trainer, _, _, device, phases = given[:5]
        return trainer, device, phases

    return with_arguments


@pytest.fixture
def two_gpus(gpus, nvml, monkeypatch):
    monkeypatch.setattr("hwlit.callbacks.phases.idle_power", lambda counters, seconds: {})
    return nvml


@pytest.mark.parametrize("asked", ["gpu", "cuda", "auto"])
def test_a_gpu_is_measured_by_cuda(asked, reach, two_gpus):
    trainer, device, _ = reach("--trainer.accelerator", asked)
    assert type(device) is Cuda
    assert trainer.strategy.root_device == torch.device("cuda", 0)
    assert device.energy_counters()[0].read() == two_gpus.millijoules["cccc"] / 1000


def test_the_energy_of_two_gpus_is_that_of_both(reach, two_gpus):
    two_gpus.millijoules |= {"cccc": 7000, "bbbb": 5000, "aaaa": 10**9}
    options = ["--trainer.devices", "[1,0]", "--trainer.strategy", "ddp"]
    _, device, phases = reach("--trainer.accelerator", "gpu", *options)
    assert phases.place.world_size == 2
    assert device.energy_counters()[0].read() == 12.0


def test_a_tpu_is_measured_by_tpu(reach, xla, monkeypatch):
    for requirement in (lightning_xla._XLA_AVAILABLE, lightning_xla._XLA_GREATER_EQUAL_2_5):
        bool(requirement)  # it remembers its answer
        monkeypatch.setattr(requirement, "available", True)
    for name, answer in (("auto_device_count", 1), ("is_available", True)):
        told = staticmethod(lambda answer=answer: answer)
        monkeypatch.setattr(lightning_xla.XLAAccelerator, name, told)
    trainer, device, _ = reach("--trainer.accelerator", "tpu")
    assert type(device) is Tpu
    assert trainer.strategy.root_device.type == "xla"


def test_an_apple_gpu_is_measured_by_what_torch_tells(reach, monkeypatch):
    monkeypatch.setattr(MPSAccelerator, "is_available", lambda: True)
    _, device, _ = reach("--trainer.accelerator", "mps")
    assert type(device) is Generic
    assert device.kind == "mps"
