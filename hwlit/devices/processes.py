"""Which processes belong to this one, where several processes run one job."""

from __future__ import annotations

import os

import psutil


def descendants() -> list[psutil.Process]:
    """Return the live descendants of this process, less the other processes of the job.

    Lightning's launcher starts the other processes of a node as children of the first, each with
    its own LOCAL_RANK; they measure themselves.
    """
    own = os.environ.get("LOCAL_RANK", "0")
    children = psutil.Process().children(recursive=True)
    return [child for child in children if _local_rank(child, own) == own]


def _local_rank(process: psutil.Process, default: str) -> str:
    try:
        return str(process.environ().get("LOCAL_RANK", default))
    except (psutil.Error, OSError):  # ended meanwhile, or its environment is not ours to read
        return default
