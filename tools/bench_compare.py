"""Times `hwlit compare` on many records: copies of one run's, 200 methods of 5 seeds by default.

python tools/bench_compare.py RUN
"""

from __future__ import annotations

import argparse
import dataclasses
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from hwlit.records import read_record, write_record

SEEDS = 5


def write(run: Path, folder: Path, count: int, with_rows: bool) -> int:
    """Write copies of a run that differ in rank and seed; returns the bytes of their records."""
    record = read_record(run)
    config = (run / "config.yaml").read_text()
    size = 0
    for i in range(count):
        rank, seed = divmod(i, SEEDS)
        copy = folder / f"rank{rank}-seed{seed}"
        copy.mkdir(parents=True)
        settings = {**record.adapter.rest, "rank": rank}
        adapter = dataclasses.replace(record.adapter, rest=settings)
        write_record(dataclasses.replace(record, seed=seed, adapter=adapter), copy / "record.json")
        size += (copy / "record.json").stat().st_size
        lines = [line for line in config.splitlines() if not line.startswith("seed_everything")]
        text = "\n".join([*lines, f"seed_everything: {seed}", f"rank: {rank}", ""])
        (copy / "config.yaml").write_text(text)
        if with_rows:
            for path in run.glob("*.csv"):
                shutil.copy(path, copy)
    return size


def main() -> None:
    """Print the seconds of a fresh process, with and without the test rows."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("run", type=Path, help="a finished run to copy")
    options.add_argument("--count", type=int, default=1000)
    asked = options.parse_args()
    for with_rows in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            size = write(asked.run, Path(folder), asked.count, with_rows)
            command = [sys.executable, "-P", "-m", "hwlit", "compare", folder]
            times = []
            for _ in range(3):
                start = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                times.append(time.perf_counter() - start)
        print(
            f"{asked.count} records, {size / 1e6:.0f} MB, test rows "
            f"{'read' if with_rows else 'absent'}: {min(times):.2f} s, the quickest of 3"
        )


if __name__ == "__main__":
    main()
