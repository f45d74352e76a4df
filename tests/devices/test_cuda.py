import json

import pytest
import torch

from hwlit.devices.cpu import Cpu
from hwlit.devices.cuda import Cuda

from .fake_nvml import UUIDS


@pytest.fixture
def cuda(gpus, nvml, zone, powercap) -> Cuda:
    zone("intel-rapl:0", "package-0", 0)
    return Cuda(torch.device("cuda", 1), Cpu(powercap=powercap))


def test_energy_is_read_from_the_chosen_visible_gpu_and_the_host(cuda, nvml):
    counters = cuda.energy_counters()
    assert [counter.component for counter in counters] == ["gpu", "cpu"]
    assert counters[0].read() == nvml.millijoules["bbbb"] / 1000
    assert UUIDS.index("bbbb") == 1
    assert cuda.energy_counters() == counters


def test_device_without_an_index_is_the_current_one(gpus, nvml, powercap):
    described = Cuda(torch.device("cuda"), Cpu(powercap=powercap)).describe()
    assert (described["index"], described["uuid"]) == (1, "bbbb")


def test_first_visible_gpu_is_the_one_that_cuda_made_first(gpus, nvml, powercap):
    cuda = Cuda(torch.device("cuda", 0), Cpu(powercap=powercap))
    assert cuda.energy_counters()[0].read() == nvml.millijoules["cccc"] / 1000


def test_gpu_without_a_counter_does_not_pass_the_host_for_the_run(cuda, nvml):
    nvml.millijoules["bbbb"] = None
    assert cuda.energy_counters() == ()
    assert "Not Supported" in cuda.absent()["energy"]


def test_peaks_come_in_order_and_fall_at_a_reset(cuda, gpus):
    peaks = cuda.peak_memory()
    assert list(peaks) == ["allocated", "reserved", "process", "resident"]
    assert cuda.main_memory == next(iter(peaks))
    assert [peaks[key].value for key in ("allocated", "reserved", "process")] == [300, 400, 700]
    cuda.reset_peak_memory()
    assert ("reset", 1) in gpus.calls
    assert cuda.peak_memory()["allocated"].value == 100


def test_current_memory_has_the_same_keys(cuda):
    current = cuda.current_memory()
    assert list(current) == list(cuda.peak_memory())
    assert (current["allocated"].value, current["reserved"].value) == (100, 200)


def test_process_memory_that_cannot_be_read_is_absent_with_a_reason(cuda, nvml):
    assert "peak_memory/process" not in cuda.absent()
    nvml.processes["bbbb"] = []
    assert "process" not in cuda.peak_memory()
    assert "PID namespace" in cuda.absent()["peak_memory/process"]


def test_marks_are_events_on_this_gpus_stream(cuda, gpus):
    start = cuda.mark()
    gpus.now_ms = 1500.0
    end = cuda.mark()
    assert gpus.calls == [("record", ("stream", 1))] * 2, "a mark neither waits nor does more"
    assert cuda.elapsed(start, end) == 1.5
    assert "CUDA events" in cuda.clock.how.text


def test_synchronize_waits_for_this_gpu(cuda, gpus):
    cuda.synchronize()
    assert gpus.calls == [("synchronize", 1)]


def test_describe_is_plain_json_with_driver_and_host(cuda):
    described = cuda.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["kind"] == "cuda"
    assert described["name"] == "Fake 100"
    assert described["driver"] == "570.1"
    assert described["host"]["kind"] == "cpu"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_real_gpu_sees_an_allocation_and_its_own_time():
    device = Cuda(torch.device("cuda", 0), Cpu())
    device.reset_peak_memory()
    before = device.peak_memory()["allocated"].value
    start = device.mark()
    tensor = torch.ones(50_000_000, device="cuda")
    end = device.mark()
    assert device.peak_memory()["allocated"].value - before >= tensor.nbytes
    assert device.elapsed(start, end) > 0
    assert json.dumps(device.describe())


def test_energy_of_the_node_is_that_of_each_gpu_once(gpus, nvml, powercap):
    node = [torch.device("cuda", index) for index in (0, 1, 1)]
    nvml.millijoules["cccc"] = 2000
    counter = Cuda(node[1], Cpu(powercap=powercap), node).energy_counters()[0]
    assert counter.read() == 2.0 + 5.0
    assert counter.how.text.endswith("sum of 2")
    assert (counter.measured, counter.whole_node, counter.component) == (True, True, "gpu")


def test_a_node_with_a_gpu_that_has_no_counter_has_no_energy(gpus, nvml, powercap):
    node = [torch.device("cuda", index) for index in (0, 1)]
    nvml.millijoules["cccc"] = None
    cuda = Cuda(node[1], Cpu(powercap=powercap), node)
    assert cuda.energy_counters() == ()
    assert "Not Supported" in cuda.absent()["energy"]
