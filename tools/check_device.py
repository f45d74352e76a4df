"""Run one short fit on an accelerator and check that the row holds what that device must give.

Usage: python tools/check_device.py --accelerator gpu [--devices 2] [--precision bf16-mixed]
       [--output DIR]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from hwlit.records import Record, read_record

# Readings that every run has, and those that only the device can give.
ALWAYS = (
    "test/accuracy",
    "fit/step_time",
    "fit/peak_memory",
    "latency/base/batch_1/p50",
    "latency/unmerged/batch_1/over_base",
    "latency/merged/batch_1/over_base",
    "adapter/file_size",
)
MEASURED = {
    "cpu": {"fit/peak_memory/resident": "measured"},
    "gpu": {
        "fit/peak_memory/allocated": "measured",
        "fit/peak_memory/reserved": "measured",
        "fit/energy/gpu": "measured: NVML",
        "idle/power/gpu": "measured: NVML",
        "fit/step_time": "measured: CUDA events",
    },
    "tpu": {"fit/peak_memory": "measured"},
    "mps": {"fit/step_time": "measured"},
}
KINDS = {"cpu": "cpu", "gpu": "cuda", "tpu": "tpu", "mps": "mps"}


def main(arguments: list[str]) -> int:
    """Run the fit and print what is missing; 0 where nothing is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--accelerator", choices=sorted(MEASURED), default="gpu")
    parser.add_argument("--devices", type=int, default=1, help="two or more train together, by ddp")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args(arguments)
    output = asked.output or Path(tempfile.mkdtemp()) / "run"
    fit = ["fit", "--config", "quickstart", "--trainer.max_epochs", "1", "--output", str(output)]
    fit += ["--trainer.accelerator", asked.accelerator, "--trainer.precision", asked.precision]
    fit += ["--trainer.devices", str(asked.devices)]
    if asked.devices > 1:
        fit += ["--trainer.strategy", "ddp"]
    # Of its own, for the launcher starts this program's other processes by its arguments.
    if code := subprocess.run([sys.executable, "-P", "-m", "hwlit", *fit], check=False).returncode:
        return code
    wrong = problems(read_record(output), asked.accelerator, asked.devices)
    what = f"{asked.devices} x {asked.accelerator}"
    print("\n".join(wrong) or f"{what}: the row is whole")
    return 1 if wrong else 0


def problems(record: Record, accelerator: str, devices: int) -> list[str]:
    """Return what the record of a fit on so many of these devices lacks, a line each."""
    readings, absent = record.readings, record.absent
    wrong = [f"missing: {name} ({absent.get(name)})" for name in ALWAYS if name not in readings]
    if (kind := record.device.kind) != KINDS[accelerator]:
        wrong.append(f"measured as {kind}, not as {KINDS[accelerator]}")
    if (tested := readings["test/accuracy"].n) != record.data.rest["rows"]["test"]:
        wrong.append(f"{tested} rows were tested")
    if devices > 1:
        wrong += problems_of_many(record, accelerator, devices)
    for name, method in MEASURED[accelerator].items():
        if name not in readings:
            wrong.append(f"missing: {name} ({absent.get(name)})")
        elif not (how := str(readings[name].how)).startswith(method):
            wrong.append(f"{name} is {how!r}, not {method!r}")
    shares = sum(phase.share for phase in record.phases)
    if abs(shares - 1) > 0.01:
        wrong.append(f"the phases add up to {shares:.3f} of the run")
    return wrong


def problems_of_many(record: Record, accelerator: str, devices: int) -> list[str]:
    """Return what the record lacks of several processes, a line each."""
    readings, wrong = record.readings, []
    if (found := record.parallel["world_size"]) != devices:
        wrong.append(f"{found} processes, not {devices}")
    names = [f"fit/peak_memory/rank_{rank}" for rank in range(devices)]
    peaks = [readings[name].value for name in names if name in readings]
    if len(peaks) != devices or sum(peaks) != record.value("fit/peak_memory"):
        wrong.append(f"fit/peak_memory is not the sum of the {devices} processes'")
    energy = readings.get("fit/energy/gpu")
    how = "" if energy is None else str(energy.how)
    if accelerator == "gpu" and f"sum of {devices}" not in how:
        wrong.append(f"fit/energy/gpu is not that of {devices} GPUs: {how!r}")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
