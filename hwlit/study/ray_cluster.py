"""Runs of a study on an existing Ray cluster; by the extra `ray` and `--launcher ray`.

Ray places and queues them. All machines see the study's directory under the same path, and hwlit is
installed on each; where a worker dies, its run is a failed row.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hwlit.errors import ResourceError, UsageError
from hwlit.storage import write_text
from hwlit.study.processes import Ending, Job, attend
from hwlit.study.quantities import size

STOP = ".stop"


@dataclass(frozen=True)
class StopFile:
    """A flag that every machine sees.

    Args:
        path: The file; where it is, the runs are to stop.
    """

    path: Path

    def is_set(self) -> bool:
        """Return whether they are."""
        return self.path.exists()

    def set(self) -> None:
        """Tell them."""
        write_text(self.path, "")


def connect(
    folder: Path, resources: Mapping[str, Any]
) -> tuple[Callable[[Job], Future[Ending]], StopFile]:
    """Connect to the cluster, `$RAY_ADDRESS` or the one of this machine.

    Args:
        folder: The study's directory.
        resources: What a run needs: cpus, gpus, memory.

    Returns:
        What submits a job, and the flag that stops all.

    Raises:
        UsageError: Ray is not installed.
        ResourceError: There is no cluster.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise UsageError('--launcher ray needs ray; run: pip install "hwlit[ray]"') from error
    if not ray.is_initialized():
        try:
            # Its workers look for packages in the directory that this begins in, before all others.
            with contextlib.chdir(Path(sys.executable).parent):
                ray.init(address="auto", log_to_driver=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise ResourceError(
                f"no Ray cluster is reached ({reason}); begin one by `ray start --head`, or set "
                "RAY_ADDRESS"
            ) from error
    stop = StopFile(folder / STOP)
    stop.path.unlink(missing_ok=True)
    asked = {"num_cpus": resources.get("cpus", 1), "num_gpus": resources.get("gpus", 0)}
    if "memory" in resources:
        asked["memory"] = size("resources.memory", resources["memory"])
    remote = ray.remote(attend).options(max_retries=0, **asked)
    threads = {"OMP_NUM_THREADS": str(max(int(asked["num_cpus"]), 1))}

    def submit(job: Job) -> Future[Ending]:
        job = replace(job, attached=True, environment={**threads, **job.environment})
        future: Future[Ending] = remote.remote(job, stop).future()
        return future

    return submit, stop
