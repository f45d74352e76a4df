"""What is to be kept in mind of a row: what it fell back to, and what disturbed it."""

from __future__ import annotations

from collections.abc import Iterator

from hwlit.paths import without_folders
from hwlit.study.collect import Run
from hwlit.study.disturbed import repeated
from hwlit.study.methods import Method


def caveats(method: Method) -> list[str]:
    """Return in words what a reader of a method's row is to know, each once."""
    told = [caveat for run in method.runs for caveat in _of(run)]
    if again := repeated(method.runs):
        told.append(
            f"{len(again)} of its runs repeat both seeds of another one, and its quality counts "
            "each pair of seeds once"
        )
    return list(dict.fromkeys(told))


def _of(run: Run) -> Iterator[str]:
    base = run.record.adapter.quantisation
    if base is not None and base.got != base.asked:
        why = f": {base.why}" if base.why else ""
        if why or base.asked != "auto":  # which means the first that works: that needs no word
            yield without_folders(
                f"its base is in {base.got}, where {base.asked} was asked for{why}"
            )
    yield from run.remarks
    yield from run.record.remarks
