"""A script of ours in a fresh interpreter: it sees what a stranger's process sees."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hwlit.errors import IntegrityError

# Not all packages lie in the environment: some people install them with --user or --target.
WHERE_PACKAGES_LIE = ("PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE")


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
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") or name in WHERE_PACKAGES_LIE
    }
    environment |= {"PYTHONPATH": _python_path(), "PYTHONSAFEPATH": "1"}
    environment["TOKENIZERS_PARALLELISM"] = "false"
    if device == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(script)],
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


def _python_path() -> str:
    """Return PYTHONPATH less the working directory, which could bring a checkout of hwlit in."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(path for path in given if Path(path).resolve() != Path.cwd())
