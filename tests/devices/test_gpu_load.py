import os

import pytest

from hwlit.devices.gpu_load import GpuSample, GpuWatch, mean
from hwlit.devices.nvml import Unmanaged, open_nvml
from hwlit.errors import ResourceError

OWN = {os.getpid()}


@pytest.fixture
def gpu(nvml):
    return open_nvml("bbbb")  # on which process 1 is as well


def test_a_sample_holds_what_nvml_tells(nvml, gpu):
    nvml.reasons, nvml.used = 4 | 0x20 | 0x40, ((os.getpid(), 5, 60), (1, 5, 10), (1, 6, 30))
    assert gpu.sample(OWN) == GpuSample(
        utilisation=0.8,
        clock=0.75,
        slowed=("heat",),
        power_capped=True,
        others=0.2,
        other_processes=1,
    )
    nvml.used = ()
    assert gpu.sample(OWN).others == 0.0
    assert nvml.since == 6  # only what is new


def test_what_is_not_told_is_none(nvml, gpu):
    nvml.reasons = nvml.clock = nvml.used = None
    found = gpu.sample(OWN)
    assert (found.slowed, found.clock, found.others) == (None, None, None)
    assert (found.utilisation, found.other_processes) == (0.8, 1)


def test_a_gpu_that_tells_nothing_is_a_reason(nvml, gpu):
    nvml.utilisation = None
    with pytest.raises(ResourceError, match="does not tell the utilisation"):
        gpu.sample(OWN)


@pytest.mark.parametrize(("pids", "others"), [([901], 0), ([901, 902], 1), ([], 0)])
def test_in_a_container_one_of_the_processes_is_ours(nvml, gpu, pids, others):
    nvml.processes["bbbb"] = []
    for pid in pids:  # of another PID namespace
        nvml.hold("bbbb", pid, 5)
    nvml.used = tuple((pid, 1, 50) for pid in pids)
    found = gpu.sample(OWN)
    assert found.other_processes == others
    assert found.others == (None if pids else 0.0)  # whose 50 % it is cannot be told


def test_the_samples_of_a_window_are_averaged(nvml, gpu):
    watch = GpuWatch(gpu, OWN, pause=1000.0)
    before = watch.read()
    for nvml.utilisation, nvml.reasons in ((40, 0), (60, 8)):
        watch.look()
    after = watch.read()
    window = {name: value - before.get(name, 0.0) for name, value in after.items()}
    assert window["gpu/samples"] == 2
    assert mean(window, "gpu/utilisation") == pytest.approx(0.5)
    assert mean(window, "gpu/slowed") == 0.5
    assert window["gpu/why/hardware slowdown"] == 1
    assert mean(window, "gpu/busy_clock") == 0.75  # the one sample at which it was busy
    assert mean(window, "gpu/nothing") is None


def test_a_window_without_a_sample_takes_one(gpu):
    watch = GpuWatch(gpu, OWN, pause=1000.0)
    assert [watch.read()["gpu/samples"] for _ in range(3)] == [1, 2, 3]


def test_a_power_limit_explains_a_low_clock(nvml, gpu):
    nvml.reasons, nvml.clock = 4, 400
    watch = GpuWatch(gpu, OWN, pause=1000.0)
    assert mean(watch.read(), "gpu/busy_clock") is None


def test_a_gpu_that_goes_away_ends_no_run():
    watch = GpuWatch(Unmanaged("no driver"), OWN, pause=1000.0)
    assert watch.read() == {}
    assert watch.lost == "no driver"
