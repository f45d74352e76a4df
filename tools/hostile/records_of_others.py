"""Records of strangers: of other shapes, other sizes, and files that never end."""

from __future__ import annotations

import copy
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
# By schema.
READINGS: dict[int, dict[str, Any]] = {
    1: {"value": 1.0, "unit": "s", "method": "measured: by hand"},
    2: {"value": 1.0, "unit": "s", "how": {"tag": "measured", "text": "by hand"}},
}
# As hwlit 0.1 wrote it; `show` needs no more.
OLD: dict[str, Any] = {
    "schema": 1, "status": "ok", "name": "mine", "seed": 0,
    "adapter": {"name": "LoRA", "class": "hwlit.adapters.lora.Lora", "rank": 8},
    "model": {"hub_id": "a/b", "pretrained": "a/b", "sha256": "0", "labels": ["calm", "storm"]},
    "data": {"source": ["a.csv"], "majority_class_accuracy": 0.5},
    "device": {"kind": "cpu", "name": "A CPU"}, "comparability": {"steps": 4},
    "readings": {"run/wall_time": READINGS[1], "test/accuracy": READINGS[1] | {"unit": "1"}},
    "absent": {"fit/energy/dram": "no counter"}, "phases": [PHASE],
    "per_class": [LABEL | {"label": "storm"}],
}  # fmt: skip


def cases() -> list[Hostile]:
    """Return the cases."""
    return [*_shown(1), *_shown(2), *_new(), *_used(), *_beside(), *_files()]


def _change(record: dict[str, Any], fields: dict[str, Any]) -> None:
    """Change fields of a record; `a__b` is b within a, and `...` removes it."""
    for name, value in fields.items():
        *above, last = name.split("__")
        inner = record
        for part in above:
            inner = inner[part]
        if value is ...:
            inner.pop(last)
        else:
            inner[last] = value


def _changed(**fields: Any) -> Prepare:
    """Return what copies a finished run and changes fields of its record."""

    def prepare(here: Path, stock: Stock) -> None:
        path = stock.copy("finished", here / "evil") / "record.json"
        record = json.loads(path.read_text())
        _change(record, fields)
        path.write_text(json.dumps(record))

    return prepare


def _old(**fields: Any) -> Prepare:
    """Return what writes a record of schema 1 with changed fields."""

    def prepare(here: Path, stock: Stock) -> None:
        (here / "evil").mkdir()
        record = copy.deepcopy(OLD)
        _change(record, fields)
        (here / "evil" / "record.json").write_text(json.dumps(record))

    return prepare


def _nested(depth: int) -> Any:
    return {"a": _nested(depth - 1)} if depth else 1


def _shown(schema: int) -> list[Hostile]:
    """Return records that `show` prints: each part of another type than it has."""
    reading = READINGS[schema]
    how = {key: value for key, value in reading.items() if key not in ("value", "unit")}
    fields: dict[str, dict[str, Any]] = {
        "a number for status": {"status": 3},
        "no status that there is": {"status": "fine"},
        "no name of a schema": {"schema": "1"},
        "true for a schema": {"schema": True},
        "readings as a list": {"readings": [reading]},
        "a reading that is a number": {"readings__run/wall_time": 3.0},
        "a reading without unit": {"readings__run/wall_time": {"value": 1.0, **how}},
        "a reading that nobody obtained": {"readings__run/wall_time": {"value": 1.0, "unit": "s"}},
        "a text for a value": {"readings__run/wall_time__value": "fast"},
        "true for a value": {"readings__run/wall_time__value": True},
        "a value beyond all": {"readings__run/wall_time__value": 10**4000},
        "a value beyond all that is measured": {"readings__run/wall_time__value": 1e101},
        "a low end without a high one": {"readings__test/accuracy": reading | {"low": 0.1}},
        "ends the other way round": {"readings__test/accuracy": reading | {"low": 1, "high": 0}},
        "fewer rows than none": {"readings__test/accuracy": reading | {"n": -1}},
        "a latency of no known name": {"readings__latency/sideways/1/p50": reading},
        "a latency without an input": {"readings__latency/p50": reading},
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
        "a text for a time": {"phases": [PHASE | {"wall_time": "long"}]},
        "energy as a list": {"phases": [PHASE | {"energy": [1.0]}]},
        "a text for energy": {"phases": [PHASE | {"energy": {"cpu": "much"}}]},
        "a text for a step": {"step_times": [1.0, "long"]},
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
        "settings nested 900 deep": {"adapter__rank": _nested(900)},
        "a quantisation that is a text": {"adapter__quantisation": "nf4"},
        "a quantisation of nothing": {"adapter__quantisation": {"got": "nf4"}},
        "a quantisation without layers": {"adapter__quantisation": {"got": "a", "asked": "a"}},
        "a device that is a text": {"device": "cpu"},
        "a version that is a number": {"versions": {"torch": 2}},
        "an error that is a list": {"error": ["a"]},
        "a resumption without a step": {"resumed_from": {"a": 1}},
        "a source that is a text": {"source": "runs/a"},
        "a checkpoint without a path": {"best_checkpoint": {"monitor": "val/loss"}},
    }
    write, kind = (_old, "an old record") if schema == 1 else (_changed, "a record")
    return [
        Hostile(f"{kind} with {name}", "answer", SHOW, (5,), _told(values), write(**values))
        for name, values in fields.items()
    ]


def _told(fields: dict[str, Any]) -> str:
    return "not a record of schema" if "schema" in fields else "damaged"


def _new() -> list[Hostile]:
    """Return records with parts that schema 1 did not have, or as it had them."""
    reading, rows = READINGS[2], {"file": "test_rows.csv", "n": 1}
    accuracy = "readings__test/accuracy"
    matrix = {"name": "confusion_matrix", "kind": "matrix", "title": "x", "labels": ["a"]}
    curve = {"name": "validation", "kind": "curve", "title": "x"}
    fields: dict[str, dict[str, Any]] = {
        "a field of a later version": {"later": 1},
        "a matrix where schema 1 had it": {"confusion_matrix": {"labels": [], "counts": []}},
        "a reading as schema 1 had it": {accuracy: READINGS[1]},
        "a how that is a text": {accuracy: reading | {"how": "measured"}},
        "a how nested 900 deep": {accuracy: reading | {"how": _nested(900)}},
        "a tag that there is not": {accuracy: reading | {"how": {"tag": "felt", "text": ""}}},
        "a role that there is not": {accuracy: reading | {"measure": {"role": "best"}}},
        "a direction of nowhere": {accuracy: reading | {"measure": {"direction": "up"}}},
        "a bound that is alone": {accuracy: reading | {"measure": {"bounds": [0.0]}}},
        "a text for a margin": {accuracy: reading | {"measure": {"margin": "small"}}},
        "rows by no formula": {accuracy: reading | {"rows": {"combination": "x", "columns": []}}},
        "test rows of no kind": {"test_rows": rows | {"columns": {"label": "text"}}},
        "test rows without columns": {"test_rows": rows},
        "an exhibit of no kind": {"exhibits": [curve | {"kind": "song"}]},
        "an exhibit without a name": {"exhibits": [{"kind": "curve", "title": "x"}]},
        "exhibits by name": {"exhibits": {"validation": curve}},
        "texts in a matrix": {"exhibits": [matrix | {"counts": [["a"]]}]},
        "texts in a curve": {"exhibits": [curve | {"columns": {"step": ["a"]}}]},
        "a disturbance without a limit": {"disturbed": [{"phase": "train", "cause": "x"}]},
        "a seed that is half a number": {"data__seed": 0.5},
        "an encoder that is a text": {"encoders": {"clip": "a/b"}},
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
                "quantise by a checkpoint elsewhere",
                QUANTIZE,
                {"best_checkpoint__path": "../../x.ckpt"},
            ),
        )
    ]


def _beside() -> list[Hostile]:
    """Return records that are read among others, or hold what no table has room for."""
    beside = ("compare", "{stock}/finished", "evil")
    early = {"validation": {"step": [-1e99, 2], "val/accuracy": [0.5, 0.5]}}
    report = ("report", "evil", "-o", "out.html")
    uneven = {"labels": ["a", "b"], "counts": [[1], [2, 3, 4]]}
    check = {
        "pictures": 1, "ways": {"[/a]": 1}, "mean_pixel_difference": 1.0,
        "max_pixel_difference": 1, "mean_difference_from_base": 1.0, "tolerance": {"mean": 1.0},
    }  # fmt: skip
    markup = {
        "phases": [PHASE | {"name": "[/bold]"}], "absent": {"[/z]": "[/bold]"}, "check": check,
        "remarks": ["[/bold]"], "error": "[/red]", "name": "[/bold]",
    }  # fmt: skip
    return [
        *(
            Hostile(
                f"a record of markup, schema {schema}", "screen", SHOW, (0,), "",
                write(**markup, readings={"fit/wall_time": READINGS[schema] | {"unit": "[/x]"}}),
            )
            for schema, write in ((1, _old), (2, _changed))
        ),
        Hostile(
            "compare beside a damaged record", "answer", beside, (0,), "", _changed(readings=[])
        ),
        Hostile(
            "compare beside a damaged old record", "answer", beside, (0,), "", _old(phases="x")
        ),
        Hostile(
            "advise from a damaged record alone", "answer", ("advise", "evil", "--max-time", "1h"),
            (5,), "", _changed(phases="x"),
        ),
        Hostile(
            "a curve that begins before the first step", "answer", report, (0,), "",
            _old(curves=early, step_times=[0.5] * 4),
        ),
        Hostile(
            "a matrix that is not square", "answer", report, (5,), "exhibits.0.counts",
            _old(confusion_matrix=uneven),
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
