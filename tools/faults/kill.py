"""Kill `hwlit fit` by SIGKILL at random instants, resume it, and compare the ends bit by bit.

Each run is started in a forked process, killed, and resumed by `hwlit fit --resume` until it is
done; then its adapter, predictions, curves and test metrics are compared with those of a run that
nobody killed. Says where the kills fell, and exits with 1 where a run could not be resumed, ended
differently, left a temporary file behind, or a stage of the run was never hit.

The probe is shortened and the export reloaded in the same process, for the speed of the campaign.

    python -m tools.faults.kill --kills 100
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch

import hwlit.cli  # noqa: F401 - imported once, before the processes are forked
from hwlit import quiet
from hwlit.__main__ import main as hwlit_main
from hwlit.exports import reload, stock_classifier
from hwlit.records import read_record
from hwlit.run_directory import run_status
from hwlit.runs import base
from hwlit.storage import sha256
from hwlit.temporaries import PREFIX
from tools.faults.workload import write_model, write_tweets

ROWS = 70


def arguments(inputs: Path, output: Path) -> list[str]:
    """Return the command line of the run: dropout, accumulation, a checkpoint every 3 steps."""
    return [
        "fit", "--config", "text/tweets", "--model.pretrained", str(inputs / "model"),
        "--data.path", str(inputs / "tweets.csv"), "--data.max_length", "32",
        "--data.batch_size", "4", "--model.adapter.rank", "2", "--model.adapter.dropout", "0.1",
        "--trainer.max_epochs", "3", "--trainer.accumulate_grad_batches", "2",
        "--trainer.accelerator", "cpu", "--trainer.log_every_n_steps", "1",
        "--trainer.enable_progress_bar", "false", "--checkpoint.every_n_steps", "3",
        "--output", str(output),
    ]  # fmt: skip


def start(words: list[str], log: Path) -> int:
    """Start hwlit in a forked process of its own group and return its id."""
    pid = os.fork()
    if pid:
        os.setpgid(pid, pid)  # here too: a kill may come before the child has run at all
        return pid
    os.setpgid(0, 0)
    sys.stdout = sys.stderr = log.open("a", buffering=1)
    code = 1
    try:
        code = hwlit_main(words)
    finally:
        os._exit(code)


def wait(pid: int, seconds: float) -> int | None:
    """Return the exit code, negative for a signal; None where the process outlives the time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def stage(output: Path) -> str:
    """Return how far a run has come, by what lies in its directory."""
    if any(output.rglob(PREFIX + "*")):
        return "writing"
    if (output / "predictions.csv").exists():
        return "finishing"
    if any(output.glob("checkpoints/*.ckpt")):
        return "training"
    return "before the first checkpoint" if (output / "config.yaml").exists() else "starting"


def outcome(output: Path) -> dict[str, Any]:
    """Return what must be equal of two runs."""
    record = read_record(output)
    files = ("adapter/adapter_model.safetensors", "predictions.csv", "metrics.csv")
    test = {n: r.value for n, r in record.readings.items() if r.measure.role == "quality"}
    return {name: sha256(output / name) for name in files} | {"test": test}


def run_until_done(
    words: list[str], output: Path, rng: random.Random, longest: float, hits: Counter[str]
) -> str | None:
    """Kill and resume a run until it is done; return what was wrong, or None."""
    log = output.with_suffix(".log")
    while True:
        resumed = (output / "config.yaml").exists()
        pid = start(["fit", "--resume", str(output)] if resumed else words, log)
        code = wait(pid, rng.uniform(0.05, longest))
        if code is None:
            hits[stage(output)] += 1
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            if run_status(output) != "ok":  # the record is the last thing that a run owes
                continue
        elif code != 0:
            return f"exit code {code}: {log.read_text()[-500:]}"
        left = [path.name for path in output.rglob(PREFIX + "*")]
        return f"left {left}" if left else None


def campaign(kills: int, seed: int, scratch: Path) -> int:
    """Run until so many kills have fallen; print the count and return how much was wrong."""
    write_model(scratch / "model")
    write_tweets(scratch / "tweets.csv", ROWS)
    whole, began = scratch / "whole", time.monotonic()
    if (code := wait(start(arguments(scratch, whole), scratch / "whole.log"), 600)) != 0:
        raise RuntimeError(f"exit code {code}: {(scratch / 'whole.log').read_text()}")
    longest, wanted = time.monotonic() - began, outcome(whole)
    rng, hits, wrong, runs = random.Random(seed), Counter[str](), 0, 0
    while hits.total() < kills:
        output = scratch / f"run-{runs}"
        runs += 1
        problem = run_until_done(arguments(scratch, output), output, rng, longest, hits)
        if problem is None and (found := outcome(output)) != wanted:
            problem = f"differs in {[name for name in wanted if found[name] != wanted[name]]}"
        if problem is not None:
            wrong += 1
            print(f"{output.name}: {problem}", flush=True)
    print(f"{hits.total()} kills over {runs} runs: {runs - wrong} ended bit-identical")
    missed = {"starting", "training", "finishing"} - set(hits)
    wrong += len(missed)
    print("".join(f"no kill fell while {name}\n" for name in sorted(missed)), end="")
    print("where they fell: " + ", ".join(f"{name} {n}" for name, n in hits.most_common()))
    return wrong


def main(words: list[str] | None = None) -> int:
    """Read the command line and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the instants")
    asked = parser.parse_args(words)
    quiet.silence()
    torch.set_num_threads(1)
    base.LATENCY_SECONDS = 0.0
    reload._run = lambda job, folder, timeout: stock_classifier.logits(**job)
    with tempfile.TemporaryDirectory() as scratch:
        return int(campaign(asked.kills, asked.seed, Path(scratch)) > 0)


if __name__ == "__main__":
    sys.exit(main())
