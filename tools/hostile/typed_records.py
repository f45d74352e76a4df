"""Records with one field that is of another type, missing, without end or at odds with another.

Each field is damaged before `show`, in one of the ways; before the commands that read many runs all
damaged records of a schema lie beside a whole one, and each is to be left out by name.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hwlit.records import SCHEMA
from tools.hostile.case import Hostile, Stock

Place = tuple[str | int, ...]
Body = dict[str, Any]
KEPT = Path(__file__).parents[2] / "tests" / "runs_of_schema_1" / "runs" / "lora" / "record.json"
MISSING = object()
DEEP = "DEEP"  # stands for lists within lists, more than a reader may follow
# What a field of each kind is not.
WRONG: Mapping[str, tuple[Any, ...]] = {
    "text": (3, True, ["a"], {"a": "b"}),
    "word": (3, True, ["a"], {"a": "b"}, "sideways", "OK", ""),
    "number": ("3", True, [1.0], {"a": 1}, 1e101, -1e300),
    "whole": ("3", True, [1], {"a": 1}, 0.5, 2**63),
    "flag": (1, "true", []),
    "object": (3, "a", ["a"]),
    "objects": (3, "a", {"a": 1}, [3], ["a"], [[]]),
    "texts": (3, "a", {"a": "b"}, [3], [None], [["a"]]),
    "matrix": (3, "a", {"a": 1}, [3], ["a"], [None], [["a"]], [[None]], [[True]], [[[1.0]]]),
    "numbers": (3, "a", {"a": 1}, ["a"], [None], [[1.0]], [True], [1e101]),
}
# Fields of schema 1 by kind. What stands behind `!` may not be missing or null either.
FIELDS_1: Mapping[Place, str] = {
    ("status",): "text!",
    ("readings",): "object!",
    ("readings", "test/accuracy"): "object",
    ("readings", "test/accuracy", "value"): "number!",
    ("readings", "test/accuracy", "unit"): "text!",
    ("readings", "test/accuracy", "method"): "text!",
    ("readings", "test/accuracy", "low"): "number",
    ("readings", "test/accuracy", "high"): "number",
    ("absent",): "object!",
    ("absent", "fit/energy"): "text",
    ("adapter",): "object",
    ("adapter", "name"): "text",
    ("adapter", "class"): "text",
    ("model",): "object",
    ("model", "pretrained"): "text",
    ("model", "hub_id"): "text",
    ("model", "sha256"): "text",
    ("model", "labels"): "texts",
    ("model", "dtype"): "word",
    ("data",): "object",
    ("data", "max_length"): "whole",
    ("data", "majority_class_accuracy"): "number",
    ("device",): "object",
    ("device", "name"): "text",
    ("versions",): "object",
    ("versions", "torch"): "text",
    ("comparability",): "object",
    ("seed",): "number",
    ("error",): "text",
    ("name",): "text",
    ("config_sha256",): "text",
    ("best_checkpoint",): "object",
    ("best_checkpoint", "path"): "text",
    ("phases",): "objects",
    ("phases", 0, "name"): "text!",
    ("phases", 0, "wall_time"): "number!",
    ("phases", 0, "share"): "number",
    ("phases", 0, "peak_memory"): "object",
    ("phases", 0, "peak_memory", "resident"): "number",
    ("phases", 0, "energy"): "object",
    ("per_class",): "objects",
    ("per_class", 0, "label"): "text!",
    ("per_class", 0, "precision"): "number",
    ("per_class", 0, "recall"): "number",
    ("per_class", 0, "f1"): "number",
    ("per_class", 0, "support"): "number",
    ("step_times",): "numbers",
    ("remarks",): "texts",
    ("check",): "object",
}
ACCURACY: Place = ("readings", "test/accuracy")
FIELDS_2: Mapping[Place, str] = {
    ("status",): "word!",
    ("error",): "text",
    ("task",): "text",
    ("name",): "text",
    ("started",): "text",
    ("seed",): "whole",
    ("precision",): "text",
    ("config_sha256",): "text",
    ("device",): "object",
    ("device", "kind"): "text",
    ("device", "name"): "text",
    ("platform",): "text",
    ("threads",): "whole",
    ("versions",): "object",
    ("versions", "torch"): "text",
    ("code",): "object",
    ("code", "commit"): "text",
    ("code", "dirty"): "flag",
    ("parallel",): "object",
    ("ranks",): "objects",
    ("adapter",): "object",
    ("adapter", "name"): "text",
    ("adapter", "class"): "text",
    ("adapter", "quantisation"): "object",
    ("model",): "object",
    ("model", "pretrained"): "text",
    ("model", "hub_id"): "text",
    ("model", "sha256"): "text",
    ("model", "labels"): "texts",
    ("model", "dtype"): "word",
    ("data",): "object",
    ("data", "fingerprint"): "text",
    ("data", "seed"): "whole",
    ("data", "max_length"): "whole",
    ("data", "majority_class_accuracy"): "number",
    ("data", "text_column"): "text",
    ("data", "before"): "texts",
    ("data", "identifier"): "text",
    ("comparability",): "object",
    ("best_checkpoint",): "object",
    ("best_checkpoint", "path"): "text!",
    ("best_checkpoint", "monitor"): "text",
    ("best_checkpoint", "score"): "number",
    ("resumed_from",): "object",
    ("source",): "object",
    ("check",): "object",
    ("encoders",): "object",
    ("readings",): "object!",
    ACCURACY: "object",
    (*ACCURACY, "value"): "number!",
    (*ACCURACY, "unit"): "text!",
    (*ACCURACY, "how"): "object!",
    (*ACCURACY, "how", "tag"): "word!",
    (*ACCURACY, "how", "text"): "text!",
    (*ACCURACY, "low"): "number",
    (*ACCURACY, "high"): "number",
    (*ACCURACY, "n"): "whole",
    (*ACCURACY, "interval"): "text",
    (*ACCURACY, "measure"): "object",
    (*ACCURACY, "measure", "role"): "word",
    (*ACCURACY, "measure", "direction"): "word",
    (*ACCURACY, "measure", "bounds"): "numbers",
    (*ACCURACY, "measure", "margin"): "number",
    (*ACCURACY, "measure", "primary"): "flag",
    (*ACCURACY, "rows"): "object",
    (*ACCURACY, "rows", "combination"): "word!",
    (*ACCURACY, "rows", "columns"): "texts",
    (*ACCURACY, "variance"): "number",
    ("absent",): "object!",
    ("absent", "fit/energy"): "text",
    ("remarks",): "texts",
    ("disturbed",): "objects",
    ("disturbed", 0, "phase"): "text!",
    ("disturbed", 0, "value"): "number!",
    ("test_rows",): "object",
    ("test_rows", "columns"): "object!",
    ("test_rows", "columns", "label"): "word",
    ("test_rows", "n"): "whole!",
    ("test_rows", "file"): "text",
    ("test_rows", "truth"): "text",
    ("exhibits",): "objects",
    ("exhibits", 0, "name"): "text!",
    ("exhibits", 0, "kind"): "word!",
    ("exhibits", 0, "title"): "text!",
    ("exhibits", 0, "labels"): "texts",
    ("exhibits", 0, "counts"): "matrix",
    ("exhibits", 1, "columns"): "object",
    ("exhibits", 1, "columns", "rate"): "numbers",
    ("phases",): "objects",
    ("phases", 0, "name"): "text!",
    ("phases", 0, "wall_time"): "number!",
    ("phases", 0, "share"): "number",
    ("phases", 0, "peak_memory"): "object",
    ("phases", 0, "peak_memory", "resident"): "number",
    ("phases", 0, "energy"): "object",
    ("step_times",): "numbers",
    ("per_class",): "objects",
    ("per_class", 0, "label"): "text!",
    ("per_class", 0, "precision"): "number!",
    ("per_class", 0, "support"): "whole!",
    ("per_prompt",): "objects",
    ("cut_for_clip",): "texts",
}
# Values that are each of the right type, and cannot be.
AT_ODDS_2: Mapping[str, Mapping[Place, Any]] = {
    "an interval whose ends are crossed": {(*ACCURACY, "low"): 0.6, (*ACCURACY, "high"): 0.4},
    "a negative number of observations": {(*ACCURACY, "n"): -1},
    "a length of nothing": {("data", "max_length"): 0},
    "one bound": {(*ACCURACY, "measure", "bounds"): [0.0]},
    "three bounds": {(*ACCURACY, "measure", "bounds"): [0.0, 0.5, 1.0]},
    "a field of the future": {("mood",): "good"},
    "a reading with a field of the future": {(*ACCURACY, "mood"): "good"},
    "a method as schema 1 has it": {(*ACCURACY, "method"): "measured"},
}
# What no run of ours says either. A reader may take it, and then goes on without a word of its own.
STRANGE_2: Mapping[str, Mapping[Place, Any]] = {
    "an interval above its value": {(*ACCURACY, "low"): 0.55},
    "an interval below its value": {(*ACCURACY, "high"): 0.45},
    "an interval without a high end": {(*ACCURACY, "high"): MISSING},
    "quality without a direction": {(*ACCURACY, "measure", "direction"): MISSING},
    "crossed bounds": {(*ACCURACY, "measure", "bounds"): [1.0, 0.0]},
    "a value out of its bounds": {(*ACCURACY, "value"): 3.0, (*ACCURACY, "high"): 4.0},
    "a negative margin": {(*ACCURACY, "measure", "margin"): -0.1},
    "a negative variance": {(*ACCURACY, "variance"): -1.0},
    "fewer test rows than none": {("test_rows", "n"): -1},
    "a count that no test row has": {(*ACCURACY, "rows", "columns"): ["mood", "prediction"]},
    "one count where two are due": {(*ACCURACY, "rows", "combination"): "ratio_of_sums"},
    "a truth that no test row has": {("test_rows", "truth"): "mood"},
    "counts and no test rows": {("test_rows",): MISSING},
    "test rows of another run": {("test_rows", "file"): "../twin/predictions.csv"},
    "test rows of another program": {("test_rows", "file"): "/etc/passwd"},
    "test rows of unequal length": {
        ("test_rows", "file"): MISSING,
        ("test_rows", "values"): {"label": ["no"], "prediction": ["no", "yes"]},
    },
    "a picture of another program": {("exhibits", 0, "file"): "../../thesis.png"},
    "a curve of unequal columns": {("exhibits", 1, "columns", "rate"): [0.0]},
    "a matrix of unequal rows": {("exhibits", 0, "counts"): [[1, 2], [3]]},
    "a matrix of other labels": {("exhibits", 0, "labels"): ["no"]},
    "negative times": {("phases", 0, "wall_time"): -1.0, ("step_times",): [-1.0]},
    "a share of seven": {("phases", 0, "share"): 7.0},
    "a class of fewer rows than none": {("per_class", 0, "support"): -1},
    "a unit of stars": {(*ACCURACY, "unit"): "parsec"},
    "no unit at all": {(*ACCURACY, "unit"): ""},
    "a task of strangers": {("task",): "cooking"},
    "a value that is absent too": {("absent", "test/accuracy"): "not measured"},
}
SCHEMAS: tuple[Any, ...] = (
    0,
    -1,
    3,
    10**30,
    "1",
    "2",
    True,
    None,
    1.0,
    2.0,
    [2],
    {"a": 2},
    MISSING,
)
HOW = {"tag": "measured", "text": "test rows"}
BODY_2: Body = {
    "schema": 2,
    "status": "ok",
    "task": "text_classification",
    "name": "tweets",
    "seed": 0,
    "device": {"kind": "cpu", "name": "A CPU", "cores": 2},
    "versions": {"torch": "2.13.0"},
    "code": {"commit": "0" * 40, "dirty": False},
    "adapter": {"name": "Lora", "class": "hwlit.adapters.lora.Lora", "rank": 2},
    "model": {"hub_id": "model", "sha256": "0" * 64, "labels": ["no", "yes"], "dtype": "float32"},
    "data": {"seed": 0, "max_length": 32, "majority_class_accuracy": 0.5},
    "comparability": {"model": "0" * 64, "steps": 2},
    "best_checkpoint": {"path": "checkpoints/a.ckpt", "monitor": "val/accuracy", "score": 0.5},
    "readings": {
        "test/accuracy": {
            "value": 0.5, "unit": "1", "how": HOW, "low": 0.4, "high": 0.6, "n": 20,
            "interval": "Wilson interval",
            "measure": {
                "role": "quality", "direction": "max", "bounds": [0.0, 1.0], "margin": 0.01,
                "primary": True,
            },
            "rows": {"combination": "accuracy", "columns": ["label", "prediction"]},
            "variance": 0.25,
        },
        "run/wall_time": {
            "value": 3.0, "unit": "s", "how": HOW,
            "measure": {"role": "cost", "direction": "min", "bounds": [0.0, None]},
        },
    },
    "absent": {"fit/energy": "no counter"},
    "remarks": ["the test rows are few"],
    "disturbed": [{"phase": "train", "cause": "run-queue wait", "value": 0.2, "limit": 0.05}],
    "test_rows": {
        "columns": {"label": "class", "prediction": "class"}, "n": 20, "file": "predictions.csv",
        "truth": "label",
    },
    "exhibits": [
        {
            "name": "confusion_matrix", "kind": "matrix", "title": "confusion matrix",
            "labels": ["no", "yes"], "counts": [[5, 5], [5, 5]],
        },
        {
            "name": "learning_rate", "kind": "curve", "title": "learning rate",
            "columns": {"step": [0, 1], "rate": [0.0, 0.1]},
        },
    ],
    "phases": [
        {
            "name": "train", "wall_time": 3.0, "share": 1.0, "peak_memory": {"resident": 1.0},
            "energy": {},
        },
    ],
    "step_times": [0.1, 0.1],
    "per_class": [{"label": "no", "precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 10}],
}  # fmt: skip


def cases() -> list[Hostile]:
    """Return the cases."""
    found = [*_shown(1), *_many(1), *_used(), *_schemas(), *_texts()]
    return (
        found if SCHEMA < 2 else [*found, *_whole(), *_shown(2), *_many(2), *_mixed(), *_strange()]
    )


def _body(schema: int) -> Body:
    """Return a whole record of a schema; of schema 1 with few readings, for it is written often."""
    if schema == 2:
        return copy.deepcopy(BODY_2)
    body: Body = json.loads(KEPT.read_text(encoding="utf-8"))
    names = ("test/accuracy", "run/wall_time", "latency/base/batch_1/p50")
    body["readings"] = {name: body["readings"][name] for name in names}
    return body


def _damages(schema: int) -> Iterator[tuple[Place, Any]]:
    """Yield each field with each value that it cannot have."""
    for place, kind in (FIELDS_1 if schema == 1 else FIELDS_2).items():
        needed = kind.endswith("!")
        for value in (*WRONG[kind.removesuffix("!")], *((MISSING, None) if needed else ())):
            yield place, value


def _put(body: Body, place: Place, value: Any) -> Body:
    """Return a record with one value changed."""
    inner: Any = body
    for name in place[:-1]:
        inner = inner.setdefault(name, {}) if isinstance(inner, dict) else inner[name]
    if value is MISSING:
        inner.pop(place[-1], None)
    else:
        inner[place[-1]] = value
    return body


def _written(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "record.json").write_text(text, encoding="utf-8")


def _alone(body: Callable[[], Body]) -> Callable[[Path, Stock], None]:
    """Return what writes a record and nothing else into `evil`."""
    return lambda here, stock: _written(here / "evil", json.dumps(body()))


def _name(place: Place) -> str:
    return ".".join(map(str, place))


def _shown(schema: int) -> list[Hostile]:
    """Return each field with the first of the values that it cannot have."""
    first: dict[tuple[Place, bool], Any] = {}
    for place, value in _damages(schema):
        first.setdefault((place, value is MISSING), value)
    found = []
    for (place, missing), value in first.items():
        state = "no" if missing else "another"
        # Without these it is no record at all, which the sentence then says.
        told = "record.json" if missing and len(place) == 1 else _name(place)
        found.append(
            Hostile(
                f"show a record of schema {schema} with {state} {_name(place)}", "answer",
                ("show", "evil"), (5,), told,
                _alone(lambda p=place, v=value: _put(_body(schema), p, v)),
            )
        )  # fmt: skip
    return found


def _many(schema: int) -> list[Hostile]:
    """Return the commands that read many runs, beside every damaged record there is."""
    damages = list(_damages(schema))
    typed = len(damages)
    if schema == 2:
        damages += [next(iter(odd.items())) for odd in AT_ODDS_2.values() if len(odd) == 1]

    def prepare(here: Path, stock: Stock) -> None:
        stock.copy("finished", here / "whole")
        for number, (place, value) in enumerate(damages):
            text = json.dumps(_put(_body(schema), place, value))
            _written(here / "evil" / f"{number:03}", text)

    def named(here: Path, printed: str) -> None:
        lines = [line for line in printed.splitlines() if "left out" in line]
        for number, (place, value) in enumerate(damages):
            what = f"{_name(place)} = {'nothing' if value is MISSING else json.dumps(value)}"
            own = [line for line in lines if f"evil/{number:03}/record.json" in line]
            assert own, f"{what} was taken for right"
            short = value is MISSING and len(place) == 1
            # A class names its own fields, without the way to it, where values are at odds.
            field = _name(place) if number < typed else str(place[-1])
            assert short or field in own[0], f"{what} is told as: {own[0]}"

    commands = {
        "compare": ("compare", "whole", "evil"),
        "report": ("report", "whole", "evil", "-o", "page.html"),
        "advise": ("advise", "whole", "evil", "--max-time", "10h"),
    }
    return [
        Hostile(
            f"{name} beside every damaged record of schema {schema}", "answer", words, (0,), "",
            prepare, named,
        )
        for name, words in commands.items()
    ]  # fmt: skip


def _used() -> list[Hostile]:
    """Return what uses a run, with the run whole but for a field of its record."""
    predict, merge = ("predict", "evil", "--text", "storm"), ("export", "evil", "--merged", "out")
    commands = {
        "predict": predict,
        "merge": merge,
        "upload": ("export", "evil", "--for-hub", "out"),
        "quantise": ("quantize", "evil", "--format", "int8"),
    }
    damages: Mapping[str, tuple[Place, Any]] = {
        "readings that are a list": (("readings",), []),
        "a status that is a number": (("status",), 3),
        "labels that are numbers": (("model", "labels"), [1, 2]),
        "a value that is a text": (("readings", "run/wall_time", "value"), "fast"),
        "a number type that nobody knows": (("model", "dtype"), "float8"),
    }

    def changed(place: Place, value: Any) -> Callable[[Path, Stock], None]:
        def prepare(here: Path, stock: Stock) -> None:
            path = stock.copy("finished", here / "evil") / "record.json"
            path.write_text(json.dumps(_put(json.loads(path.read_text()), place, value)))

        return prepare

    def unwritten(here: Path, printed: str) -> None:
        assert not (here / "out").exists(), "something was written"
        assert not (here / "evil-int8").exists(), "a row was begun"

    return [
        Hostile(
            f"{command} by a record with {name}", "answer", words, (5,), _name(place),
            changed(place, value), unwritten,
        )
        for command, words in commands.items()
        for name, (place, value) in damages.items()
    ]  # fmt: skip


def _schemas() -> list[Hostile]:
    """Return records that say of themselves what they are not."""
    return [
        Hostile(
            f"a record whose schema is {'missing' if value is MISSING else json.dumps(value)}",
            "answer", ("show", "evil"), (5,), "record.json",
            _alone(lambda v=value: _put(_body(1), ("schema",), v)),
        )
        for value in SCHEMAS
        if SCHEMA > 1 or value != 1  # true and 1.0, which the reader of schema 1 took for 1
    ]  # fmt: skip


def _texts() -> list[Hostile]:
    """Return records that are no JSON of ours, though some readers take them."""

    def written(old: str, new: str) -> Callable[[Path, Stock], None]:
        def prepare(here: Path, stock: Stock) -> None:
            body = _body(1)
            body["readings"]["test/accuracy"]["value"] = 0.125
            text = json.dumps(body)
            assert old in text
            _written(here / "evil", text.replace(old, new, 1))

        return prepare

    value = '"value": 0.125'
    tried = {
        "NaN for a value": (value, '"value": NaN'),
        "infinity for a value": (value, '"value": -Infinity'),
        "a value beyond a double": (value, '"value": 1e999'),
        "a value of 5,000 digits": (value, f'"value": {"9" * 5000}'),
        "a value nested 100,000 deep": (value, f'"value": {"[" * 100_000}{"]" * 100_000}'),
        "half a surrogate for a status": ('"status": "ok"', '"status": ["\\ud800"]'),
        "a comment": (value, f"{value} /* right */"),
        "a comma too many": (value, f"{value},"),
        "its end cut off": ('"step_times"', "\0"),
    }
    return [
        Hostile(
            f"a record with {name}", "answer", ("show", "evil"), (5,), "record.json",
            written(*texts),
        )
        for name, texts in tried.items()
    ]  # fmt: skip


def _whole() -> list[Hostile]:
    """Return the record that the others damage, which is a right one."""
    show = ("show", "evil")
    return [
        Hostile("a record of schema 2 by hand", "answer", show, (0,), "", _alone(lambda: _body(2))),
        Hostile("a record of schema 1 by hand", "answer", show, (0,), "", _alone(lambda: _body(1))),
    ]


def _mixed() -> list[Hostile]:
    """Return records at odds with themselves, and bodies of the other schema."""

    def odd(changes: Mapping[Place, Any]) -> Body:
        body = _body(2)
        for place, value in changes.items():
            _put(body, place, value)
        return body

    found = [
        Hostile(
            f"a record with {name}", "answer", ("show", "evil"), (5,), "record.json",
            _alone(lambda c=changes: odd(c)),
        )
        for name, changes in AT_ODDS_2.items()
    ]  # fmt: skip
    return found + [
        Hostile(
            f"a record of schema {schema} with the body of schema {3 - schema}", "answer",
            ("show", "evil"), (5,), "readings.",
            _alone(lambda s=schema: _put(_body(3 - s), ("schema",), s)),
        )
        for schema in (1, 2)
    ]  # fmt: skip


def _strange() -> list[Hostile]:
    """Return records that may be taken for right beside another one, each with its test rows."""
    line = '{row},"no","{label}"'
    rows = [line.format(row=row, label=("no", "yes")[row % 2]) for row in range(20)]
    table = "\n".join(['"row_id","label","prediction"', *rows, ""])

    def written(changes: Mapping[Place, Any]) -> Callable[[Path, Stock], None]:
        def prepare(here: Path, stock: Stock) -> None:
            evil, twin = _body(2), _put(_body(2), ("adapter", "name"), "Full")
            for place, value in changes.items():
                _put(evil, place, value)
            for name, body in (("evil", evil), ("twin", twin)):
                _written(here / name, json.dumps(body))
                (here / name / "predictions.csv").write_text(table)

        return prepare

    commands = {
        "show": ("show", "evil"),
        "compare": ("compare", "evil", "twin"),
        "report": ("report", "evil", "twin", "-o", "page.html"),
    }
    return [
        Hostile(f"{command} a record with {name}", "answer", words, (0, 5), "", written(changes))
        for name, changes in STRANGE_2.items()
        for command, words in commands.items()
    ]
