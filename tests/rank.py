"""One process of a job, as torchrun would start it: runs fits and notes the rows of every step.

Usage: RANK=... WORLD_SIZE=... python -m tests.rank JOBS.json; each job has `arguments` and `rows`,
the file to write the row ids of this process's steps to, and may `die` in the second process.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

from hwlit.__main__ import main
from hwlit.callbacks.recorder import RunRecorder
from hwlit.exports import reload, stock_classifier
from hwlit.runs import base
from hwlit.tasks.text_classification import TextClassification


@contextlib.contextmanager
def noting(path):
    """Write the rows of every training step to a file, inside the block."""
    step = TextClassification.training_step
    with Path(path).open("w") as file:

        def training_step(task, batch, index):
            print(json.dumps(batch["row_id"].tolist()), file=file, flush=True)
            return step(task, batch, index)

        TextClassification.training_step = training_step
        try:
            yield
        finally:
            TextClassification.training_step = step


def work(jobs):
    base.LATENCY_SECONDS = 0.0
    reload._run = lambda job, folder, timeout: stock_classifier.logits(**job)
    code = 0
    for job in jobs:
        if job.get("die") and os.environ["RANK"] == "1":
            RunRecorder.join = lambda *given: os._exit(9)
        with noting(f"{job['rows']}.{os.environ['RANK']}"):
            code = main(job["arguments"])
    return code


if __name__ == "__main__":
    sys.exit(work(json.loads(Path(sys.argv[1]).read_text())))
