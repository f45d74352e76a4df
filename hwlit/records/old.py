"""Records of schema 1, as hwlit 0.1 wrote them, in the layout of today.

What is of another type than it was stays as it is: decoding then names it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from hwlit.records.decoding import Unfit, encoded
from hwlit.records.readings import COST, TAGS, Combination, Measure, Rows
from hwlit.records.schema import SCHEMA, Record
from hwlit.records.table import general

SHARE = Measure("quality", "max", (0.0, 1.0), margin=0.01)
LOSS = Measure("quality", "min", (0.0, None), margin=0.02)
ERROR = Measure("quality", "min", (0.0, 1.0), margin=0.01)
COSINE = Measure("quality", "max", (-1.0, 1.0), margin=0.01)
# What the readings of schema 1 mean, by name; `base/...` means what `test/...` does.
MEASURES = {
    "accuracy": dataclasses.replace(SHARE, primary=True),
    **dict.fromkeys(
        (
            "f1_macro", "f1_weighted", "f1_positive", "precision_macro", "precision_positive",
            "recall_macro", "recall_positive", "average_precision",
        ),
        SHARE,
    ),
    "calibration_error": ERROR,
    "brier_score": Measure("quality", "min", (0.0, 2.0), margin=0.01),
    "loss": LOSS,
    "clip_i": dataclasses.replace(COSINE, primary=True),
    "clip_t": dataclasses.replace(COSINE, margin=0.005),
    "dino": dataclasses.replace(COSINE, margin=0.02),
    "diversity": Measure("quality", "max", (0.0, 2.0), margin=0.01),
    "memorising": Measure("quality", "min", (-1.0, 1.0), margin=0.01),
    "drift": Measure("quality", "min", (0.0, 2.0), margin=0.01),
    "clip_kid": Measure("quality", "min", (None, None), margin=0.01),
}  # fmt: skip
COST_UNITS = ("s", "B", "J")
PAIRED = ("label", "prediction")
BY_CLASS: tuple[Combination, ...] = (
    "accuracy", "f1_macro", "f1_weighted", "f1_positive", "precision_macro", "precision_positive",
    "recall_macro", "recall_positive",
)  # fmt: skip
KEPT = {one.name.rstrip("_") for one in dataclasses.fields(Record)}


def upgraded(old: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain data of a record of schema 1 as that of the present schema.

    Raises:
        Unfit: A part that is converted has not the form that it had.
    """
    new = {name: value for name, value in old.items() if name in KEPT and value is not None}
    new["schema"] = SCHEMA
    readings = old.get("readings")
    if isinstance(readings, dict):
        new["readings"] = {name: _reading(name, value) for name, value in readings.items()}
    if (task := _task(old)) is not None:
        new["task"] = task
    exhibits = list(_exhibits(old))
    if exhibits:
        new["exhibits"] = exhibits
    if isinstance(new.get("data"), dict):
        # One seed divided the data and set all else; pictures of a concept were never divided.
        new["data"] = {"seed": new.get("seed")} | new["data"]
        if "instance_prompt" in new["data"]:
            del new["data"]["seed"]
    return _with_rows(new)


def _task(old: Mapping[str, Any]) -> str | None:
    model, data = old.get("model"), old.get("data")
    if isinstance(model, dict) and "labels" in model:
        return "text_classification"
    return "personalization" if isinstance(data, dict) and "instance_prompt" in data else None


def _reading(name: str, old: Any) -> Any:
    """Return a reading whose `method` is taken apart, with what it means."""
    if not isinstance(old, dict) or not isinstance(old.get("method"), str):
        what = "is no object" if not isinstance(old, dict) else "is no text"
        what = "is missing" if isinstance(old, dict) and "method" not in old else what
        error = Unfit(what) if not isinstance(old, dict) else Unfit(what).below("method")
        raise error.below(name).below("readings")
    new = {key: value for key, value in old.items() if key != "method" and value is not None}
    tag, _, text = old["method"].partition(":")
    if tag not in TAGS:
        raise (
            Unfit(f"begins with none of {', '.join(TAGS)}")
            .below("method")
            .below(name)
            .below("readings")
        )
    new["how"] = {"tag": tag, "text": text.strip()}
    unit = old.get("unit")
    if measure := _measure(name, unit if isinstance(unit, str) else ""):
        new["measure"] = measure
    return new


@functools.lru_cache(maxsize=4096)
def _measure(name: str, unit: str) -> dict[str, Any]:
    """Return what a reading means, as plain data; nothing of one that only describes the run."""
    phase, _, quantity = name.partition("/")
    if phase in ("test", "base") and quantity in MEASURES:
        measure = MEASURES[quantity]
        primary = measure.primary and phase == "test"
        return dict(encoded(dataclasses.replace(measure, primary=primary)))
    is_cost = unit in COST_UNITS or name.endswith("/over_base") or name == "params/trainable"
    is_cost = is_cost and phase != "baseline" and name != "weights/memory/source"
    return dict(encoded(COST)) if is_cost else {}


def _exhibits(old: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    matrix, curves = old.get("confusion_matrix"), old.get("curves")
    if isinstance(matrix, dict):
        yield {
            "name": "confusion_matrix", "kind": "matrix", "title": "confusion matrix",
            "labels": matrix.get("labels"), "counts": matrix.get("counts"),
        }  # fmt: skip
    if not isinstance(curves, dict):
        return
    for name in ("learning_rate", "validation"):
        if name in curves:
            title = name.replace("_", " ")
            columns = curves[name]
            if isinstance(columns, dict) and "step" in columns:  # the x axis is the first
                columns = {"step": columns["step"], **columns}
            yield {"name": name, "kind": "curve", "title": title, "columns": columns}
    bins = curves.get("reliability")
    if isinstance(bins, list) and bins and all(isinstance(one, dict) for one in bins):
        columns = {name: [one.get(name) for one in bins] for name in bins[0]}
        yield {
            "name": "reliability", "kind": "curve", "title": "accuracy by confidence",
            "columns": columns,
        }  # fmt: skip
    for one in curves.get("precision_recall") or ():
        if isinstance(one, dict):
            columns = {n: v for n, v in one.items() if isinstance(v, list)}
            yield {
                "name": "precision_recall", "kind": "curve",
                "title": f"precision over recall, {one.get('label')}", "columns": columns,
                "facts": {n: v for n, v in one.items() if n not in columns},
            }  # fmt: skip


def _with_rows(new: dict[str, Any]) -> dict[str, Any]:
    """Add where the test rows are, and which readings follow from them."""
    readings, prompts = new.get("readings"), new.get("per_prompt")
    if not isinstance(readings, dict):
        return new
    accuracy = readings.get("test/accuracy")
    if accuracy is not None and "n" in accuracy:
        kinds = dict.fromkeys(PAIRED, "class")
        new["test_rows"] = {
            "file": "predictions.csv", "columns": kinds, "n": accuracy["n"], "truth": PAIRED[0],
        }  # fmt: skip
        for name in BY_CLASS:
            if (reading := readings.get(f"test/{name}")) is not None:
                reading["rows"] = encoded(Rows(name, PAIRED))
    elif isinstance(prompts, list):
        new |= _prompts(new, [one for one in prompts if isinstance(one, dict)])
    return new


def _prompts(new: Mapping[str, Any], prompts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means by prompt as test rows, for schema 1 kept no row for each picture."""
    rows = [one for one in prompts if one.get("kind") == "concept"]
    names = [n for n in ("clip_i", "clip_t", "dino") if rows and all(n in one for one in rows)]
    if not names:
        return {}
    data = new.get("data")
    identifier = data.get("identifier") if isinstance(data, dict) else ""
    identifier = identifier if isinstance(identifier, str) else ""
    readings = {**new["readings"]}
    for name in names:
        if (reading := readings.get(f"test/{name}")) is not None:
            readings[f"test/{name}"] = reading | {"rows": encoded(Rows("mean", (name,)))}
    values: dict[str, list[Any]] = {name: [one[name] for one in rows] for name in names}
    values["group"] = [general(str(one.get("prompt")), identifier) for one in rows]
    columns = dict.fromkeys(names, "real")
    facts = {"columns": columns, "n": len(rows), "truth": "group", "values": values}
    return {"readings": readings, "test_rows": facts}
