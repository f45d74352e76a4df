import os
import subprocess
import sys

import pytest

from hwlit.devices.nvml import open_nvml
from hwlit.errors import ResourceError


def test_counter_is_in_joules_of_the_gpu_with_this_uuid(nvml):
    (counter,) = open_nvml("bbbb").energy.counters
    assert counter.read() == 5.0
    nvml.millijoules["bbbb"] = 6500
    nvml.millijoules["aaaa"] = 0
    assert counter.read() == 6.5
    assert counter.measured
    assert "whole GPU" in counter.how.text
    assert counter.update_period > 0


def test_process_memory_is_ours_on_this_gpu_only(nvml):
    reading = open_nvml("bbbb").process_memory()
    assert (reading.value, reading.unit) == (700, "B")
    assert reading.how.tag == "sampled"


def test_process_memory_counts_children(nvml):
    script = [sys.executable, "-c", "input()"]
    with subprocess.Popen(script, stdin=subprocess.PIPE, text=True) as child:
        nvml.hold("bbbb", child.pid, 50)
        assert open_nvml("bbbb").process_memory().value == 750
        child.communicate("\n")


def test_other_pid_namespace_is_refused_with_a_reason(nvml):
    nvml.processes["bbbb"] = [p for p in nvml.processes["bbbb"] if p.pid != os.getpid()]
    with pytest.raises(ResourceError, match="another PID namespace"):
        open_nvml("bbbb").process_memory()


def test_driver_without_process_memory_is_refused_with_a_reason(nvml):
    nvml.processes["bbbb"] = []
    nvml.hold("bbbb", os.getpid(), None)
    with pytest.raises(ResourceError, match="does not tell the memory"):
        open_nvml("bbbb").process_memory()


def test_gpu_without_a_counter_is_absent_with_a_reason(nvml):
    nvml.millijoules["bbbb"] = None
    gpu = open_nvml("bbbb")
    assert not gpu.energy.counters
    assert "Not Supported" in gpu.energy.absent["energy/gpu"]
    assert gpu.facts == {"driver": "570.1"}


def test_counter_that_goes_away_raises_one_error(nvml):
    (counter,) = open_nvml("bbbb").energy.counters
    nvml.millijoules["bbbb"] = None
    with pytest.raises(ResourceError, match="Not Supported"):
        counter.read()


def test_unknown_gpu_missing_driver_and_missing_package_are_reasons(nvml, monkeypatch):
    reasons = [open_nvml("dddd")]
    nvml.loadable = False
    reasons.append(open_nvml("bbbb"))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    reasons.append(open_nvml("bbbb"))
    for gpu, words in zip(reasons, ("Not Found", "Driver Not Loaded", "nvidia-ml-py"), strict=True):
        assert not gpu.energy.counters
        assert words in gpu.energy.absent["energy/gpu"]
        with pytest.raises(ResourceError, match=words):
            gpu.process_memory()


def test_the_real_library_without_a_driver_is_a_reason():
    pytest.importorskip("pynvml")
    assert "energy/gpu" in open_nvml("00000000-0000-0000-0000-000000000000").energy.absent
