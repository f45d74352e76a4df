"""Stands in for `hwlit` in tests of studies: takes milliseconds, and goes wrong as it is told.

    python tools/faults/stub.py fit --config FILE --data.path BEHAVIOUR --output RUN
    python tools/faults/stub.py fit --resume RUN
    python tools/faults/stub.py quantize SOURCE --format FORMAT --output RUN

It counts steps, keeps the count as a checkpoint, and writes a record that follows from its
arguments alone, and notes in calls/ beside runs/ that it was called. Two at once in one directory
are an error. $STUB_STEPS is the number of steps, $STUB_LARGEST the largest batch that fits,
$STUB_BEHAVIOUR goes before what is asked for.
"""

import ctypes
import fcntl
import hashlib
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

STEP = 0.01


def write(path, text):
    """Write a file whole or not at all."""
    temporary = path.with_name(f".tmp-{path.name}")
    temporary.write_text(text)
    os.replace(temporary, path)


def end(code, sentence):
    """Say a sentence and exit."""
    print(f"hwlit: {sentence}", file=sys.stderr, flush=True)
    sys.exit(code)


def fail(behaviour):
    """Go wrong in the way that is asked for; do nothing for `ok`."""
    if behaviour == "nan":
        end(4, "the loss is nan at step 1; lower --model.adapter.learning_rate")
    if behaviour == "oom":
        end(6, "out of memory; lower --data.batch_size")
    if behaviour == "disk":
        end(6, "cannot write: no space left on device")
    if behaviour == "config":
        end(2, "--model.adapter.rank is 0")
    if behaviour == "data":
        end(3, "line 7 has no label")
    if behaviour == "crash":
        raise RuntimeError("a bug")
    if behaviour == "early":
        sys.exit(0)
    if behaviour == "segfault":
        ctypes.string_at(0)
    if behaviour == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "orphan":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    if behaviour == "hang":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    if behaviour == "greedy":
        child = os.fork()  # memory is that of the tree
        held = bytearray(300 * 2**20) if not child else None
        time.sleep(600)
        del held


def main(words):
    """Run, or go on."""
    if words[0] == "quantize":
        source = Path(words[1])
        if json.loads((source / "record.json").read_text())["status"] != "ok":
            end(2, f"{source} is not finished")
        words = ["quantize", "--source", source.name, *words[2:]]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    resumed = "--resume" in options
    run = Path(options["--resume"] if resumed else options["--output"])
    if resumed:
        options = json.loads((run / "config.yaml").read_text())
    elif run.exists() and any(not entry.name.startswith(".") for entry in run.iterdir()):
        end(2, f"--output {run} holds other files")
    behaviour = os.environ.get("STUB_BEHAVIOUR", options.get("--data.path", "ok"))
    run.mkdir(parents=True, exist_ok=True)
    calls_file = run.parents[1] / "calls" / run.name
    calls_file.parent.mkdir(exist_ok=True)
    with calls_file.open("a") as calls:
        try:
            fcntl.flock(hold := (run / ".hold").open("w"), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            calls.write("twice at once\n")
            raise
        calls.write(f"{os.getpid()} {'resume' if resumed else 'new'}\n")
    fail(behaviour)
    if (largest := os.environ.get("STUB_LARGEST")) and int(options["--data.batch_size"]) > int(
        largest
    ):
        fail("oom")
    if not resumed:
        options.pop("--output")
        write(run / "config.yaml", json.dumps(options))
    asked = []
    signal.signal(signal.SIGTERM, lambda number, frame: asked.append(number))
    checkpoint = run / "step"
    step = int(checkpoint.read_text()) if checkpoint.exists() else 0
    while step < int(os.environ.get("STUB_STEPS", "2")):
        step += 1
        time.sleep(STEP)
        write(checkpoint, str(step))
        write(run / "metrics.csv", f"step,epoch,val/accuracy\n{step},0,0.5\n")
        if asked:
            end(143, "stopped by SIGTERM")
    digest = hashlib.sha256(json.dumps(sorted(options.items())).encode()).hexdigest()
    accuracy = int(digest[:6], 16) / 16**6
    record = {
        "schema": 1, "status": "ok", "name": "stub",
        "started": datetime.now(UTC).isoformat(timespec="microseconds"),
        "seed": int(options.get("--seed_everything", 0)),
        "data": {"seed": int(options.get("--data.seed", 0))},
        "adapter": {"name": "LoRA", "rank": 8}, "device": {"name": "CPU"},
        "best_checkpoint": {"path": "step", "monitor": "val/accuracy", "score": 1 - accuracy},
        "readings": {"test/accuracy": {"value": accuracy, "unit": "1", "method": "measured: stub"}},
        "absent": {}, "steps": step,
    }  # fmt: skip
    write(run / "record.json", json.dumps(record))
    hold.close()


if __name__ == "__main__":
    main(sys.argv[1:])
