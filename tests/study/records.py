"""Hand-made runs, whose figures a test knows."""

import csv
import dataclasses
import json

from hwlit.records import (
    COST,
    FACT,
    How,
    Reading,
    Rows,
    record_of,
    write_record,
)
from hwlit.records.decoding import encoded
from hwlit.records.old import COST_UNITS, MEASURES

LABELS = ["no", "yes"]
PAIRED = ("label", "prediction")
KEY = {"model": "m1", "data": "d1", "steps": 100, "batch": 8, "precision": "32-true",
       "torch": "2.13.0", "threads": 2, "device": "A CPU", "rows_tested": 100}  # fmt: skip


def write_run(
    folder, adapter="Lora", seed=0, *, status="ok", right=None, readings=None, key=None,
    settings=None, config="rank: 8\n", validation=(0.5, 0.7), step_time=0.5, **more,
):  # fmt: skip
    """Write a run's directory: a record, a config and, where `right` is given, its predictions.

    Args:
        folder: Where; also names the run.
        adapter: Name of the adapter's class.
        seed: Seed of the run.
        status: As in the record.
        right: For each test row, whether it is predicted as it is labelled; gives the accuracy.
        readings: Values of further readings, by name, or (value, unit, "tag: text").
        key: What differs in the comparability key.
        settings: Settings of the adapter.
        config: The resolved config, less the seed.
        validation: Accuracy after each half of the steps.
        step_time: Seconds of each of the 100 steps.
        more: Further parts of the record, as plain data.
    """
    folder.mkdir(parents=True, exist_ok=True)
    given = {"params/trainable": 10, "fit/wall_time": (50.0, "s"), **(readings or {})}
    found = {name: reading(name, value) for name, value in given.items()}
    if right is not None:
        share = sum(right) / len(right)
        found["test/accuracy"] = dataclasses.replace(
            reading("test/accuracy", (share, "1", "measured: Wilson")),
            low=share - 0.1, high=share + 0.1, n=len(right), rows=Rows("accuracy", PAIRED),
        )  # fmt: skip
        kinds = dict.fromkeys(PAIRED, "class")
        rows = {"file": "predictions.csv", "columns": kinds, "n": len(right), "truth": "label"}
        more = {"test_rows": rows, **more}
        _write_predictions(folder / "predictions.csv", right)
    description = {
        "schema": 2, "status": status, "absent": {}, "task": "text_classification",
        "readings": encoded(found), "name": "quickstart", "seed": seed,
        "adapter": {"name": adapter, **(settings or {})},
        "model": {"hub_id": "mini"}, "data": {"source": ["bundled"]},
        "device": {"name": "A CPU"}, "comparability": KEY | (key or {}),
    }  # fmt: skip
    steps = [100 * (i + 1) // len(validation) for i in range(len(validation))]
    if status != "ok":
        description["error"] = "it broke"
    if validation:
        columns = {"step": steps, "val/accuracy": list(validation)}
        curve = {"name": "validation", "kind": "curve", "title": "validation", "columns": columns}
        more["exhibits"] = [*more.get("exhibits", ()), curve]
        description["step_times"] = [step_time] * 100
    path = folder / "record.json"
    write_record(record_of(description | more, path), path)
    text = f"# hwlit fit --config {folder}\nseed_everything: {seed}\n{config}"
    (folder / "config.yaml").write_text(text)
    return folder


def write_study(folder, cells, remarks=(), **more):
    """Write a study's file and rows; `cells` maps names to (values, status or None)."""
    study = {"schema": 1, "name": "my study", "cells": list(cells), "metric": "test/accuracy",
             "mode": "max", "baseline": None, **more}  # fmt: skip
    (folder / "rows").mkdir(parents=True)
    (folder / "study.json").write_text(json.dumps(study))
    for name, (values, status) in cells.items():
        if status is None:
            continue
        row = {"schema": 1, "name": name, "values": values, "status": status, "attempts": 1,
               "reason": None if status == "ok" else f"it was {status}", "exit_code": 0,
               "run": f"runs/{name}" if status == "ok" else None, "wall_time": 1.0,
               "remarks": remarks}  # fmt: skip
        (folder / "rows" / f"{name}.json").write_text(json.dumps(row))


def pattern(*parts):
    """Return rows: `pattern((3, True), (2, False))` are three right ones, then two wrong ones."""
    return [value for n, value in parts for _ in range(n)]


def matrix(labels, counts):
    """Return a confusion matrix as plain data."""
    return {"name": "confusion_matrix", "kind": "matrix", "title": "confusion matrix",
            "labels": labels, "counts": counts}  # fmt: skip


def rewrite(run, change):
    """Change the plain data of a run's record by a function, and check it."""
    path = run / "record.json"
    write_record(record_of(change(json.loads(path.read_text())), path), path)


def reading(name, value):
    """Return a reading by the name of its quantity, from a value or (value, unit, "tag: text")."""
    number, unit, *how = value if isinstance(value, tuple) else (value, "1")
    tag, _, text = (how[0] if how else "measured: by hand").partition(": ")
    measure = MEASURES.get(name.removeprefix("test/"), COST if unit in COST_UNITS else FACT)
    return Reading(number, unit, How(tag, text), measure=measure)


def _write_predictions(path, right):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["row_id", "text", "label", "prediction"])
        for row, good in enumerate(right):
            label = LABELS[row % 2]
            guess = label if good else LABELS[1 - row % 2]
            writer.writerow([row, 'a "text",\nof two lines', label, guess])
