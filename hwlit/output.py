"""Where a run writes, and what it is called."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hwlit.errors import UsageError
from hwlit.run_directory import read_owner


def run_name(configs: Sequence[object], resume: str | None) -> str:
    """Return the name of the first config, without folder and ending; a resumed run keeps its own.

    Args:
        configs: The paths of the configs.
        resume: The directory of the run that goes on.
    """
    name = Path(str(configs[0])).stem if configs else "run"
    if resume is not None:
        name = str(read_owner(Path(resume)).get("name", "run"))
    return re.sub(r"[^A-Za-z0-9._-]", "-", name)[:64] or "run"


def is_first_process() -> bool:
    """Return whether this is the first process of its job, as far as the environment tells."""
    names = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in names)


def find_output(output: str | None, resume: str | None, name: str, adapter: str) -> Path:
    """Return the run's directory; processes that this one starts write to the same.

    Args:
        output: The directory that was asked for.
        resume: The directory of the run that goes on.
        name: What the run is called.
        adapter: The class path of the adapter.

    Raises:
        UsageError: The directory asked for is an empty text.
    """
    if resume is not None:
        return Path(resume).absolute()
    if output is not None:
        if not output.strip():
            raise UsageError("--output is empty; give a directory that is new or empty")
        return Path(output).absolute()
    if os.environ.get("LOCAL_RANK", "0") != "0" and "HWLIT_OUTPUT" in os.environ:
        return Path(os.environ["HWLIT_OUTPUT"])
    launched = [os.environ.get(name, "1") for name in ("WORLD_SIZE", "SLURM_NTASKS")]
    if any(count != "1" for count in launched):
        raise UsageError(
            "several processes were started from outside (torchrun, SLURM), and each would choose "
            "a directory of its own; give --output"
        )
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    kind = adapter.rpartition(".")[2].lower()
    path = Path("runs").absolute() / f"{name}-{kind}-{stamp}"
    while path.exists():  # another run began in the same second
        path = path.with_name(f"{path.name}-2")
    return path
