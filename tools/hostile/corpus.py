"""All cases, found by module."""

from __future__ import annotations

import importlib
import pkgutil

import tools.hostile
from tools.hostile.case import Hostile

NO_CASES = ("__main__", "case", "corpus")
QUICK = 40  # cases of a subject that the tests try


def corpus() -> list[Hostile]:
    """Return the cases of every module of this folder."""
    return [case for subject in _subjects() for case in subject]


def quick_corpus() -> list[Hostile]:
    """Return some of each module, evenly spread: what every run of the tests has the time for."""
    return [
        case
        for subject in _subjects()
        for number, case in enumerate(subject)
        # As many as QUICK steps of the line from 0 to the subject's length.
        if len(subject) <= QUICK or (number * QUICK) % len(subject) < QUICK
    ]


def _subjects() -> list[list[Hostile]]:
    return [
        importlib.import_module(f"tools.hostile.{module.name}").cases()
        for module in pkgutil.iter_modules(tools.hostile.__path__)
        if module.name not in NO_CASES
    ]
