"""Kill a study and its runs by SIGKILL at random instants, and compare its table's end.

The runs are stand-ins that take a moment (tools/faults/stub.py). A study is started, it or one of
its runs is killed, and the same command is given again until every cell has its row. Says where the
kills fell, and exits with 1 where a finished row was lost, changed or run again, where two
processes were at work on one cell, or where the table differs from that of a study that nobody
disturbed.

    python -m tools.faults.study --kills 40
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hwlit.study.left_behind import left_behind
from tools.faults import stub

STUB = (sys.executable, str(Path(stub.__file__)))
STUDY = """\
base: quickstart
axes:
  data: [ok, nan]
  seed: [0, 1, 2]
"""
STEPS = 40
UNFINISHED = ("killed", "interrupted")


def start(study: Path, output: Path, workers: int) -> subprocess.Popen[bytes]:
    """Start a study whose runs are stand-ins."""
    words = ["run", str(study), "--output", str(output), "--workers", str(workers)]
    code = f"import sys; from hwlit.study import command; sys.exit(command.main({words}, {STUB}))"
    with output.with_suffix(".log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-P", "-c", code], stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "STUB_STEPS": str(STEPS)},
        )  # fmt: skip


def rows(output: Path) -> dict[str, dict[str, Any]]:
    """Return the rows of a study that are finished."""
    found = [json.loads(path.read_text()) for path in (output / "rows").glob("*.json")]
    return {row["name"]: row for row in found if row["status"] not in UNFINISHED}


def calls(output: Path) -> dict[str, list[str]]:
    """Return how each cell was called, by name."""
    return {path.name: path.read_text().splitlines() for path in (output / "calls").glob("*")}


def table(output: Path) -> dict[str, Any]:
    """Return what must be equal of two studies: what was asked, what came out."""
    kept = {}
    for name, row in rows(output).items():
        record = output / "runs" / name / "record.json"
        readings = json.loads(record.read_text())["readings"] if record.is_file() else None
        kept[name] = (row["values"], row["config_hash"], row["status"], row["reason"], readings)
    return kept


def kill_one(process: subprocess.Popen[bytes], output: Path, rng: random.Random) -> str:
    """Kill the study or one of its runs; return which, and what it was doing."""
    if rng.random() < 0.5:
        for path in sorted((output / "started").glob("*.json"), key=lambda path: rng.random()):
            run = output.absolute() / "runs" / path.stem
            if (left := left_behind(path, run, Path(STUB[-1]).name)) is not None:
                left.kill()
                begun = (output / "runs" / path.stem / "config.yaml").exists()
                return f"run, {'working' if begun else 'starting'}"
    process.kill()
    process.wait()
    done, running = len(rows(output)), sum(1 for _ in (output / "started").glob("*.json"))
    return "study, " + (
        "before the first run" if not running else f"{min(done, running)} rows done"
    )


def disturb(
    study: Path, output: Path, rng: random.Random, longest: float, hits: Counter[str]
) -> list[str]:
    """Run a study to its end through kills; return what was wrong."""
    wrong: list[str] = []
    while True:
        before, called = rows(output), calls(output)
        process = start(study, output, rng.choice((1, 2)))
        end = time.monotonic() + rng.uniform(0.05, longest)
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        if process.poll() is None:
            hits[kill_one(process, output, rng)] += 1
            process.wait()
        after, then = rows(output), calls(output)
        wrong += [
            f"{name} was lost or changed" for name in before if after.get(name) != before[name]
        ]
        wrong += [f"{name} was run again" for name in before if then[name] != called[name]]
        wrong += [f"{name} ran twice at once" for name, c in then.items() if "twice at once" in c]
        if len(after) == 6 and process.returncode == 1:
            return wrong


def campaign(kills: int, seed: int, scratch: Path) -> int:
    """Run until so many kills have fallen; print the count and return how much was wrong."""
    study = scratch / "grid.yaml"
    study.write_text(STUDY)
    whole = scratch / "whole"
    began = time.monotonic()
    start(study, whole, 1).wait()
    longest = time.monotonic() - began
    wanted, rng, hits, wrong, studies = table(whole), random.Random(seed), Counter[str](), 0, 0
    while hits.total() < kills:
        output = scratch / f"study-{studies}"
        studies += 1
        problems = disturb(study, output, rng, longest, hits)
        found = table(output)
        problems += [
            f"{name} is {found.get(name)}, undisturbed {wanted[name]}"
            for name in wanted
            if found.get(name) != wanted[name]
        ]
        wrong += len(problems)
        for problem in problems:
            print(f"{output.name}: {problem}", flush=True)
    print(f"{hits.total()} kills over {studies} studies: {wrong} things wrong")
    for who in ("study", "run"):
        if not any(where.startswith(who) for where in hits):
            wrong += 1
            print(f"no kill hit a {who}")
    print("where they fell: " + "; ".join(f"{where} {n}" for where, n in hits.most_common()))
    return wrong


def main(words: list[str] | None = None) -> int:
    """Read the command line and return the exit code."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--kills", type=int, default=40)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args(words)
    with tempfile.TemporaryDirectory() as scratch:
        return 1 if campaign(asked.kills, asked.seed, Path(scratch)) else 0


if __name__ == "__main__":
    sys.exit(main())
