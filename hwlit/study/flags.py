"""What makes two rows unequal: the parts of the comparability key that differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hwlit.records import Reading
from hwlit.study.collect import Run
from hwlit.study.methods import Method

HASHES = ("model", "data")
OF_TRAINING = ("steps", "batch", "resumed")  # mean nothing where nothing learns
SOURCES = {"fit/peak_memory": "memory", "fit/energy": "energy", "fit/step_time": "step time"}


def flags(method: Method, baseline: Method) -> list[str]:
    """Return in words what differs between a method's runs and the baseline's.

    Runs are held against the baseline's run of the same seeds, where there is one, for another
    data.seed divides the data in another way.
    """
    found: dict[str, None] = {}
    if method is not baseline:
        by_seed = {run.seeds: run for run in baseline.runs}
        for run in method.runs:
            found |= dict.fromkeys(_between(run, by_seed.get(run.seeds, baseline.runs[0])))
        found |= dict.fromkeys(_sources(method.runs[0], baseline.runs[0]))
    first, *others = (_key(run) for run in method.runs)
    for name in first:
        if name not in (*HASHES, "rows", "rows_tested", "data_seed") and any(
            other.get(name) != first[name] for other in others
        ):
            found[f"{name} differs between its seeds"] = None
    return list(found)


def _between(run: Run, other: Run) -> list[str]:
    mine, theirs = _key(run), _key(other)
    trained = _learns(run) and _learns(other)
    names = [n for n in dict.fromkeys([*mine, *theirs]) if mine.get(n) != theirs.get(n)]
    told = []
    for name in names:
        if name in HASHES:
            told.append(f"other {name}")
        elif trained or name not in OF_TRAINING:
            told.append(f"{name} {_word(mine.get(name))}, baseline {_word(theirs.get(name))}")
    return told


def _sources(run: Run, other: Run) -> list[str]:
    """Return which costs were read off in another way."""
    mine, theirs = run.record.readings, other.record.readings
    return [
        f"{what} {_source(mine[name])}, baseline {_source(theirs[name])}"
        for name, what in SOURCES.items()
        if name in mine and name in theirs and _source(mine[name]) != _source(theirs[name])
    ]


def _source(reading: Reading) -> str:
    """Return how a reading was obtained, without what is of the run, such as a step count."""
    return str(reading.how).partition(",")[0]


def _key(run: Run) -> Mapping[str, Any]:
    key = run.record.comparability
    # Older records have it elsewhere.
    return key if run.data_seed is None else {**key, "data_seed": run.data_seed}


def _learns(run: Run) -> bool:
    return run.record.value("params/trainable") != 0


def _word(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name} {part}" for name, part in value.items())
    return "none" if value is None else str(value)
