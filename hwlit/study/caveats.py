"""What is to be kept in mind of a row: what it fell back to, and what disturbed it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from hwlit.paths import without_folders
from hwlit.study.collect import Run
from hwlit.study.methods import Method


def caveats(method: Method) -> list[str]:
    """Return in words what a reader of a method's row is to know, each once."""
    return list(dict.fromkeys(caveat for run in method.runs for caveat in _of(run)))


def _of(run: Run) -> Iterator[str]:
    base = run.record.get("adapter", {}).get("quantisation")
    if isinstance(base, Mapping) and base.get("got") != (asked := base.get("asked")):
        why = f": {base['why']}" if base.get("why") else ""
        if why or asked != "auto":  # which means the first that works, and that one needs no word
            what = f"its base is in {base.get('got')}, where {asked} was asked for{why}"
            yield without_folders(what)
    yield from run.remarks
    yield from map(str, run.record.get("remarks", ()))
