"""Check on a real GPU what NVML tells of its load: alone, beside another process, and in a run.

Prints what was found, a line each, and what is wrong; 0 where nothing is. It takes about a minute.

Usage: python tools/check_gpu_contention.py [--seconds 4] [--fit]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from hwlit.devices.contention import HostCounters, JobProcesses
from hwlit.devices.gpu_load import GpuWatch, mean
from hwlit.devices.load import Load, disturbances
from hwlit.devices.peaks import peaks_of
from hwlit.devices.selection import device_for

SIDE = 8192
OTHER = f"""
import torch
a = torch.randn({SIDE}, {SIDE}, device="cuda", dtype=torch.float16)
print("ready", flush=True)
while True:
    a @ a
    torch.cuda.synchronize()
"""


def main(arguments: list[str]) -> int:
    """Load the GPU alone and beside another process, and print what is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="of work for each look")
    parser.add_argument("--fit", action="store_true", help="run quickstart on the GPU as well")
    asked = parser.parse_args(arguments)
    device = device_for(torch.device("cuda", 0))
    name = str(device.describe()["name"])
    peaks = peaks_of(name)
    print(f"{name}: {peaks or 'no published peak is known'}")
    sample = device.sampled()
    assert sample is not None
    start = time.perf_counter()
    print(f"one look: {sample.sample({os.getpid()})}")
    print(f"a look takes {1e3 * (time.perf_counter() - start):.2f} ms")
    alone = look("alone", asked.seconds)
    with subprocess.Popen([sys.executable, "-c", OTHER], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        shared = look("beside another process", asked.seconds, {os.getpid()})
        other.kill()
    wrong = problems(alone, shared)
    if asked.fit:
        wrong += problems_of_fit(peaks is not None)
    print("\n".join(wrong) or "what NVML tells is right")
    return 1 if wrong else 0


def look(what: str, seconds: float, own: set[int] | None = None) -> dict[str, Any]:
    """Multiply matrices for some seconds; return what was found meanwhile.

    Args:
        what: What to call it.
        seconds: How long.
        own: Process ids that are no others; None takes those of this process's tree.
    """
    device = device_for(torch.device("cuda", 0))
    gpu = device.sampled()
    assert gpu is not None
    host = HostCounters(JobProcesses())
    watch = GpuWatch(gpu, own or JobProcesses())
    matrix = torch.randn(SIDE, SIDE, device="cuda", dtype=torch.float16)
    before = host.read() | watch.read()
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        matrix @ matrix
        torch.cuda.synchronize()
        count += 1
    flops = 2 * SIDE**3 * count / (time.perf_counter() - start)
    after = host.read() | watch.read()
    load = Load({n: v - before.get(n, 0.0) for n, v in after.items()}, host.processors.count)
    names = ("utilisation", "clock", "busy_clock", "slowed", "others", "shared")
    found: dict[str, Any] = {name: mean(load.counts, f"gpu/{name}") for name in names}
    found |= {"samples": load.counts["gpu/samples"], "flops": flops, "lost": watch.lost}
    found["sampling"] = load.counts["gpu/seconds"] / load.wall
    found["causes"] = [f"{one.cause} {one.value:.2f}" for one in disturbances("fit", load, 1)]
    print(f"{what}: {found}")
    return found


def problems(alone: dict[str, Any], shared: dict[str, Any]) -> list[str]:
    """Return what is not as it must be, a line each."""
    wrong = []
    if alone["lost"]:
        return [f"NVML tells nothing: {alone['lost']}"]
    if (alone["utilisation"] or 0.0) < 0.5:
        wrong.append(f"alone: a GPU that was busy all the time shows {alone['utilisation']}")
    if any("other" in cause or "shared" in cause for cause in alone["causes"]):
        wrong.append(f"alone: others are told, {alone['causes']}; is nobody else on this GPU?")
    if not any("other" in cause or "shared" in cause for cause in shared["causes"]):
        wrong.append(
            f"shared: no other is told, with others={shared['others']}, shared={shared['shared']}"
        )
    if alone["sampling"] > 0.01:
        wrong.append(f"sampling takes {100 * alone['sampling']:.2f} % of the time")
    peaks = peaks_of(torch.cuda.get_device_name(0))
    if peaks is not None and alone["flops"] > peaks.by_kind["float16"]:
        wrong.append(f"{alone['flops']:.3g} FLOP/s are more than the peak {peaks}")
    return wrong


def problems_of_fit(known: bool) -> list[str]:
    """Run quickstart on the GPU, and return what its record lacks, a line each."""
    output = Path(tempfile.mkdtemp()) / "run"
    words = ["fit", "--config", "quickstart", "--trainer.accelerator", "gpu"]
    words += ["--trainer.precision", "bf16-mixed", "--output", str(output)]
    words += ["--trainer.max_epochs", "1", "--trainer.enable_progress_bar", "false"]
    if code := subprocess.run(
        [sys.executable, "-P", "-m", "hwlit", *words], check=False
    ).returncode:
        return [f"the run ended with {code}"]
    record = json.loads((output / "record.json").read_text())
    readings, absent = record["readings"], record["absent"]
    names = ["gpu_utilisation", "gpu_clock_share", "gpu_slowed", "model_flops", "flops_per_second"]
    names += ["processor_time", "processor_utilisation", "monitor_overhead"]
    names += ["share_of_peak"] if known else []
    for name in (f"fit/{name}" for name in names):
        print(f"{name}: {readings.get(name, absent.get(name))}")
    print(f"disturbed: {record['disturbed']}")
    wrong = [
        f"missing: fit/{n} ({absent.get(f'fit/{n}')})" for n in names if f"fit/{n}" not in readings
    ]
    if not wrong and not 0 < readings.get("fit/share_of_peak", {"value": 0.5})["value"] < 1:
        wrong.append(f"the share of the peak is {readings['fit/share_of_peak']['value']}")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
