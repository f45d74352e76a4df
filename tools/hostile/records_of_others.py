"""Records of strangers: of other shapes, other sizes, and files that never end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.hostile.case import Hostile, Stock

Prepare = Callable[[Path, Stock], None]
SHOW, PREDICT = ("show", "evil"), ("predict", "evil", "--text", "storm")
QUANTIZE, MERGE = ("quantize", "evil", "--format", "int8"), ("export", "evil", "--merged", "out")
LABEL = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 1}
PHASE = {"name": "train", "wall_time": 1.0, "share": 0.5, "peak_memory": {}, "energy": {}}
READING = {"value": 1.0, "unit": "s", "method": "measured"}


def cases() -> list[Hostile]:
    """Return the cases."""
    return [*_shown(), *_used(), *_files()]


def _changed(**fields: Any) -> Prepare:
    """Return what copies a finished run and changes fields of its record; `a__b` is b within a."""

    def prepare(here: Path, stock: Stock) -> None:
        path = stock.copy("finished", here / "evil") / "record.json"
        record = json.loads(path.read_text())
        for name, value in fields.items():
            *above, last = name.split("__")
            inner = record
            for part in above:
                inner = inner[part]
            if value is ...:
                inner.pop(last)
            else:
                inner[last] = value
        path.write_text(json.dumps(record))

    return prepare


def _shown() -> list[Hostile]:
    """Return records that `show` prints: each part of another type than it has."""
    fields: dict[str, dict[str, Any]] = {
        "a number for status": {"status": 3},
        "readings as a list": {"readings": [READING]},
        "a reading that is a number": {"readings__run/wall_time": 3.0},
        "a reading without unit": {"readings__run/wall_time": {"value": 1.0, "method": "measured"}},
        "a text for a value": {"readings__run/wall_time__value": "fast"},
        "true for a value": {"readings__run/wall_time__value": True},
        "a value beyond all": {"readings__run/wall_time__value": 10**4000},
        "a low end without a high one": {"readings__test/accuracy": READING | {"low": 0.1}},
        "a latency of no known name": {"readings__latency/sideways/1/p50": READING},
        "a latency without an input": {"readings__latency/p50": READING},
        "absent as a list": {"absent": ["fit/energy"]},
        "a reason that is a number": {"absent__fit/energy/dram": 3},
        "classes as an object": {"per_class": {"storm": LABEL}},
        "a class that is a text": {"per_class": ["storm"]},
        "a class without a label": {"per_class": [LABEL]},
        "a class without its recall": {"per_class": [{"label": "storm", "precision": 0.5}]},
        "a list for a precision": {"per_class": [LABEL | {"label": "storm", "precision": [1]}]},
        "no accuracy of the commonest class": {"data__majority_class_accuracy": ...},
        "data as a list": {"data": []},
        "phases as a text": {"phases": "train"},
        "a phase without a name": {"phases": [{k: v for k, v in PHASE.items() if k != "name"}]},
        "a phase without a share": {"phases": [{k: v for k, v in PHASE.items() if k != "share"}]},
        "a text for a time": {"phases": [PHASE | {"wall_time": "long"}]},
        "energy as a list": {"phases": [PHASE | {"energy": [1.0]}]},
        "a text for energy": {"phases": [PHASE | {"energy": {"cpu": "much"}}]},
        "remarks as a number": {"remarks": 3},
        "a remark that is an object": {"remarks": [{"a": 1}]},
        "disturbances as a text": {"disturbed": "fit"},
        "a disturbance that is a text": {"disturbed": ["fit"]},
        "a disturbance without a phase": {"disturbed": [{"cause": "a", "value": 1, "limit": 1}]},
        "a text for a disturbance": {
            "disturbed": [{"phase": "fit", "cause": "a", "value": "much", "limit": 1}]
        },
        "a check that is a text": {"check": "passed"},
        "a check without rows": {"check": {"loaded_with": "transformers", "tolerance": 1.0}},
        "a check of pictures without any": {"check": {"pictures": 3}},
        "an adapter that is a list": {"adapter": ["Lora"]},
        "an adapter of a numeric name": {"adapter__name": 3},
        "a quantisation that is a text": {"adapter__quantisation": "nf4"},
        "a quantisation of nothing": {"adapter__quantisation": {"got": "nf4"}},
        "a device that is a text": {"device": "cpu"},
        "an error that is a list": {"error": ["a"]},
        "a resumption without a step": {"resumed_from": {"a": 1}},
    }
    return [
        Hostile(f"a record with {name}", "answer", SHOW, (5,), "damaged", _changed(**values))
        for name, values in fields.items()
    ]


def _used() -> list[Hostile]:
    """Return records that lack what a run is used by."""
    return [
        Hostile(name, "answer", arguments, (5,), "", _changed(**fields))
        for name, arguments, fields in (
            ("predict by a record without a model", PREDICT, {"model": ...}),
            ("predict by a record whose model is a text", PREDICT, {"model": "bert"}),
            ("predict by labels that are a text", PREDICT, {"model__labels": "ab"}),
            ("predict by labels that are numbers", PREDICT, {"model__labels": [1, 2]}),
            ("predict by one label too many", PREDICT, {"model__labels": ["a", "b", "c"]}),
            ("predict by no base", PREDICT, {"model__pretrained": ...}),
            ("predict by a base that is a list", PREDICT, {"model__pretrained": ["a"]}),
            ("predict by no hash", PREDICT, {"model__sha256": ...}),
            ("predict by a length that is a text", PREDICT, {"data__max_length": "long"}),
            ("predict by a length below nothing", PREDICT, {"data__max_length": -5}),
            ("predict by no length", PREDICT, {"data__max_length": ...}),
            ("export by a record without a model", MERGE, {"model": ...}),
            ("quantise by a record without comparability", QUANTIZE, {"comparability": ...}),
            ("quantise by an adapter that is null", QUANTIZE, {"adapter": None}),
            ("quantise by a checkpoint that is a list", QUANTIZE, {"best_checkpoint": ["a"]}),
            (
                "quantise by a checkpoint elsewhere", QUANTIZE,
                {"best_checkpoint__path": "../../x.ckpt"},
            ),
        )
    ] + [
        Hostile(
            "compare beside a damaged record", "answer", ("compare", "{stock}/finished", "evil"),
            (0,), "", _changed(readings=[]),
        ),
        Hostile(
            "a record of markup", "screen", SHOW, (0,), "",
            _changed(
                phases=[PHASE | {"name": "[/bold]"}],
                readings={"fit/wall_time": {"value": 1.0, "unit": "[/x]", "method": "[/y]"}},
                absent={"[/z]": "[/bold]"}, remarks=["[/bold]"], error="[/red]", name="[/bold]",
                check={"pictures": 1, "ways": {"[/a]": 1}, "mean_pixel_difference": 1.0,
                       "max_pixel_difference": 1, "mean_difference_from_base": 1.0,
                       "tolerance": {"mean": 1.0}},
            ),
        ),
        Hostile(
            "advise from a damaged record alone", "answer", ("advise", "evil", "--max-time", "1h"),
            (5,), "", _changed(phases="x"),
        ),
    ]  # fmt: skip


def _files() -> list[Hostile]:
    """Return what is no file of a record."""

    def written(write: Callable[[Path], Any]) -> Prepare:
        def prepare(here: Path, stock: Stock) -> None:
            (here / "evil").mkdir()
            write(here / "evil" / "record.json")

        return prepare

    def holes(path: Path) -> None:
        path.touch()
        os.truncate(path, 200 << 20)

    contents = {
        "nested 100,000 deep": '{"schema": 1, "status": ' + "[" * 100_000,
        "that is a list": "[]",
        "with NaN": '{"schema": 1, "status": "ok", "readings": {}, "absent": {}, "x": NaN}',
        "with a control character": '{"schema": "\x1b[31m"',
        "of another schema": '{"schema": 99, "status": "ok", "readings": {}, "absent": {}}',
        "that is empty": "",
    }
    found = [
        Hostile(
            f"a record {name}",
            "answer",
            SHOW,
            (5,),
            "",
            written(lambda path, t=text: path.write_text(t)),
        )
        for name, text in contents.items()
    ]
    return [
        *found,
        Hostile("a record of 200 MB", "answer", SHOW, (5,), "bytes", written(holes)),
        Hostile("a record that is a pipe", "answer", SHOW, (5,), "neither", written(os.mkfifo)),
        Hostile("a record that is a folder", "answer", SHOW, (5,), "", written(Path.mkdir)),
        Hostile(
            "a record that links to the terminal",
            "answer",
            SHOW,
            (5,),
            "is a link",
            written(lambda path: path.symlink_to("/dev/zero")),
        ),
        Hostile(
            "compare beside a record that is a pipe",
            "answer",
            ("compare", "{stock}/finished", "evil"),
            (0,),
            "",
            written(os.mkfifo),
        ),
    ]
