"""The kind of run that goes with a task."""

from __future__ import annotations

from typing import Any

from hwlit.data.resuming import ResumableData
from hwlit.errors import UsageError
from hwlit.runs.base import Run
from hwlit.runs.personalization import PersonalizationRun
from hwlit.runs.text import TextRun
from hwlit.tasks.base import Task

KINDS: tuple[type[Run[Any, Any]], ...] = (TextRun, PersonalizationRun)


def run_for(model: Task, data: ResumableData) -> type[Run[Any, Any]]:
    """Return the kind of run of a task.

    Raises:
        UsageError: The data is of another kind.
    """
    kind = next(kind for kind in KINDS if isinstance(model, kind.task))
    if not isinstance(data, kind.rows):
        raise UsageError(
            f"--model {type(model).__name__} learns from {kind.learns_from}, but --data is "
            f"{type(data).__name__}; take a config whose model and data belong together"
        )
    return kind
