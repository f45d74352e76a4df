"""All cases, found by module."""

from __future__ import annotations

import importlib
import pkgutil

import tools.hostile
from tools.hostile.case import Hostile

NO_CASES = ("__main__", "case", "corpus")


def corpus() -> list[Hostile]:
    """Return the cases of every module of this folder."""
    found: list[Hostile] = []
    for module in pkgutil.iter_modules(tools.hostile.__path__):
        if module.name not in NO_CASES:
            found += importlib.import_module(f"tools.hostile.{module.name}").cases()
    return found
