"""Run one short fit on an accelerator and check that the row holds what that device must give.

Usage: python tools/check_device.py --accelerator gpu [--precision bf16-mixed] [--output DIR]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from hwlit.__main__ import main as hwlit

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
}


def main(arguments: list[str]) -> int:
    """Run the fit and print what is missing; 0 where nothing is."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--accelerator", choices=sorted(MEASURED), default="gpu")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args(arguments)
    output = asked.output or Path(tempfile.mkdtemp()) / "run"
    fit = ["fit", "--config", "quickstart", "--trainer.max_epochs", "1", "--output", str(output)]
    fit += ["--trainer.accelerator", asked.accelerator, "--trainer.precision", asked.precision]
    if (code := hwlit(fit)) != 0:
        return code
    wrong = problems(json.loads((output / "record.json").read_text()), asked.accelerator)
    print("\n".join(wrong) or f"{asked.accelerator}: the row is whole")
    return 1 if wrong else 0


def problems(record: dict[str, dict[str, dict[str, str]]], accelerator: str) -> list[str]:
    """Return what the record of a fit on this accelerator lacks, a line each."""
    readings, absent = record["readings"], record["absent"]
    wrong = [f"missing: {name} ({absent.get(name)})" for name in ALWAYS if name not in readings]
    for name, method in MEASURED[accelerator].items():
        if name not in readings:
            wrong.append(f"missing: {name} ({absent.get(name)})")
        elif not readings[name]["method"].startswith(method):
            wrong.append(f"{name} is {readings[name]['method']!r}, not {method!r}")
    shares = sum(phase["share"] for phase in record["phases"])  # type: ignore[misc]
    if abs(shares - 1) > 0.01:
        wrong.append(f"the phases add up to {shares:.3f} of the run")
    return wrong


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
