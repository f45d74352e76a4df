"""A script of ours in a fresh, isolated interpreter: it sees what a stranger's process sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hwlit.errors import IntegrityError


def run_fresh(
    script: Path, job: dict[str, Any], folder: Path, timeout: float, device: str = "cpu"
) -> Any:
    """Run a script that reads a job (JSON) from standard input and prints its result at the end.

    Args:
        script: The script; it must not need hwlit.
        job: What it is to do.
        folder: The exported folder that it reloads, to be named in an error.
        timeout: Seconds after which it is given up.
        device: Device of torch that it uses; on `cpu` it sees no GPU.

    Returns:
        The last line that it printed, as plain data.

    Raises:
        IntegrityError: It failed or did not end in time.
    """
    # Isolated: neither the working directory nor PYTHONPATH can bring hwlit in.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["TOKENIZERS_PARALLELISM"] = "false"
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    try:
        done = subprocess.run(
            [sys.executable, "-I", str(script)],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            env=environment,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise IntegrityError(f"{folder} did not reload within {timeout:.0f} s") from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise IntegrityError(f"{folder} does not reload in a fresh process: {reason}")
    return json.loads(done.stdout.strip().splitlines()[-1])
