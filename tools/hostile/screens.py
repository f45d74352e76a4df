"""Texts that a terminal, Markdown or a spreadsheet would obey, by every command and field."""

from __future__ import annotations

import csv
import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hwlit.plain_text import in_markdown, printable
from tools.hostile.case import Hostile, Stock

ESCAPE = "\x1b]0;pwned\x07\x1b[2J\x9b1;31m"  # sets the window's title, clears it, colours
TURNED = "\u202egnp.exe\u200b"  # shown the other way round, and with a sign that nobody sees
FORGED = "\nhwlit: ok\r| a | b |"
MARKUP = "<img src=x onerror=alert(1)> [a](http://b.c) `d` http://e.f =1+1"
EVIL = f"{ESCAPE}{TURNED}{FORGED}[/x]{MARKUP}"
FORMATS = ("table", "md", "csv", "json")


def cases() -> list[Hostile]:
    """Return every case."""
    return [
        *_records(), *_comparisons(), *_studies(), *_files(), *_names(), *_data(), *_encodings(),
    ]  # fmt: skip


def no_line_is_forged(here: Path, told: str) -> None:
    """Assert that no text of a stranger began a line, or stands as Markdown that is obeyed."""
    for line in told.splitlines():
        assert not line.lstrip(" |").startswith(("hwlit: ok", "a | b |")), line


def _screen(name: str, *words: str, codes: tuple[int, ...] = (0,), **more: Any) -> Hostile:
    more = {"check": no_line_is_forged, "terminal": True, **more}
    return Hostile(name, "screen", words, codes, **more)


def _set(record: dict[str, Any], path: str, value: Any) -> None:
    *above, last = path.split("/")
    for key in above:
        record = record.setdefault(key, {})
    record[last] = value


def finished(here: Path, stock: Stock, changes: dict[str, Any], name: str = "run") -> Path:
    """Copy the finished run and change its record: values by path."""
    run = stock.copy("finished", here / name)
    record = json.loads((run / "record.json").read_text())
    for path, value in changes.items():
        _set(record, path, value)
    (run / "record.json").write_text(json.dumps(record, ensure_ascii=False))
    return run


def _labels() -> list[dict[str, Any]]:
    shares = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1}
    return [{"label": EVIL, **shares}, {"label": "b", **shares}]


FIELDS = {
    "name": EVIL, "status": EVIL, "error": EVIL, "adapter/name": EVIL, "model/hub_id": EVIL,
    "device/name": EVIL, "absent": {EVIL: EVIL}, "remarks": [EVIL], "per_class": _labels(),
    "adapter/quantisation": {
        "got": EVIL, "asked": EVIL, "why": EVIL, "layers": 1, "bits": EVIL, "merged_dtype": EVIL,
    },
    "phases": [{"name": EVIL, "wall_time": 1.0, "share": 1.0, "peak_memory": {}, "energy": {}}],
    "check": {
        "loaded_with": EVIL, "rows": 4, "max_abs_difference": 0.0, "tolerance": 1.0,
    },
}  # fmt: skip


def _records() -> list[Hostile]:
    """Return records whose texts are obeyed, through `show`."""
    made = [
        _screen(
            f"show, escapes in {field}", "show", "run", codes=(5,) if field == "status" else (0,),
            prepare=lambda here, stock, field=field, value=value: finished(
                here, stock, {field: value}
            ) and None,
        )
        for field, value in FIELDS.items()
    ]  # fmt: skip
    whole = functools.partial(_everything, names=("run",))
    made.append(_screen("show, escapes everywhere, no terminal", "show", "run", prepare=whole,
                        terminal=False))  # fmt: skip
    made.append(_screen("show --json, escapes everywhere", "show", "run", "--json", prepare=whole))
    return made


def _everything(here: Path, stock: Stock, names: tuple[str, ...]) -> None:
    for name in names:
        changes = {field: value for field, value in FIELDS.items() if field != "status"}
        matrix = {"labels": [EVIL, "b"], "counts": [[1, 0], [0, 1]], "kind": "matrix"}
        matrix |= {"name": "confusion_matrix", "title": EVIL}
        curve = {"name": EVIL, "kind": "curve", "title": EVIL, "columns": {EVIL: [1.0]}}
        changes |= {"exhibits": [matrix, curve], "comparability/device": f"{EVIL}{name}"}
        changes |= {"versions/torch": EVIL, "platform": EVIL, "data/source": [EVIL]}
        finished(here, stock, changes, name)
    failed = finished(here, stock, {"status": "failed", "error": EVIL}, f"{ESCAPE}{TURNED}failed")
    (failed.parent / "left\x1b[2Jout").mkdir()
    (failed.parent / "left\x1b[2Jout" / "record.json").write_text(json.dumps({"schema": EVIL}))


def _plain_report(here: Path, told: str) -> None:
    no_line_is_forged(here, told)
    file = next(here.glob("out.*"))
    text = re.sub(r"<script>.*?</script>", "", file.read_text(), flags=re.DOTALL)  # plotly.js
    marked = {c for c in text if not c.isprintable() and c not in "\n\xa0"}
    assert not marked, f"control characters: {sorted(map(ascii, marked))}"
    assert "<img src=x" not in text, "a picture"
    if file.suffix == ".md":
        assert not re.search(r"(?<!\\)(`d|://|\]\(http)", text), "code or a link"
        no_line_is_forged(here, text)


def _plain_table(here: Path, told: str) -> None:
    no_line_is_forged(here, told)
    for row in csv.reader(told.splitlines()):
        assert not any(cell.startswith(("=", "+", "@")) for cell in row)


def _comparisons() -> list[Hostile]:
    """Return runs whose texts are obeyed, through compare, report and advise."""
    two = functools.partial(_everything, names=("a", "b"))
    made = [
        _screen(
            f"compare --format {form}, escapes everywhere, {where}", "compare", ".", "--format",
            form, prepare=two, terminal=where == "terminal",
            check=_plain_table if form == "csv" else no_line_is_forged,
        )
        for form in FORMATS for where in ("terminal", "pipe")
    ]  # fmt: skip
    made += [
        _screen(f"report -o out.{kind}, escapes everywhere", "report", ".", "-o", f"out.{kind}",
                prepare=two, check=_plain_report)
        for kind in ("md", "html")
    ]  # fmt: skip
    made.append(_screen("advise, escapes everywhere", "advise", ".", "--max-memory", "8GiB",
                        prepare=two))  # fmt: skip
    return made


def write_study(here: Path, **row: Any) -> Path:
    """Write a study of one cell, `a`; its row says beside what is needed what is given."""
    study = here / "study"
    (study / "rows").mkdir(parents=True)
    facts = {"schema": 1, "name": "s", "metric": "test/accuracy", "mode": "max", "cells": ["a"]}
    facts |= {key: row.pop(key) for key in ("cells", "metric", "choose", "baseline") if key in row}
    (study / "study.json").write_text(json.dumps(facts))
    whole = {"schema": 1, "name": "a", "values": {}, "config_hash": "0", "status": "failed",
             "reason": "r", "exit_code": 1, "attempts": 1, "run": None, "wall_time": 1.0,
             "remarks": []} | row  # fmt: skip
    (study / "rows" / "a.json").write_text(json.dumps(whole))
    return study


ROWS: dict[str, dict[str, Any]] = {
    "status": {"status": EVIL}, "reason": {"reason": EVIL}, "remarks": {"remarks": [EVIL]},
    "values": {"values": {EVIL: EVIL}}, "metric": {"metric": EVIL},
}  # fmt: skip


def _studies() -> list[Hostile]:
    """Return studies whose texts are obeyed, through status and compare."""
    return [
        _screen(
            f"{' '.join(command)} of a study, escapes in {field}", *command, "study",
            prepare=lambda here, stock, row=row: write_study(here, **row) and None,
        )
        for field, row in ROWS.items()
        for command in (("study", "status"), ("compare",))
        if (command, field) != (("compare",), "metric")
    ]  # fmt: skip


def _write(name: str, text: str) -> Callable[[Path, Stock], None]:
    def prepare(here: Path, stock: Stock) -> None:
        (here / name).write_text(text)

    return prepare


def _files() -> list[Hostile]:
    """Return files that are read and told of."""
    comment = f"# {EVIL}\nclass_path: hwlit.adapters.full.Full\n"
    quoted = json.dumps(EVIL)
    config = _write("evil.yaml", f"model: {{{quoted}: 1}}\n")
    prompt = _write("evil.yaml", f"wandb: {quoted}\nmodel: hwlit.tasks.text_classification."
                    "TextClassification\ndata: hwlit.data.tweets.Tweets\n")  # fmt: skip
    return [
        _screen("adapters, a card that is obeyed", "adapters", "./evil.yaml",
                prepare=_write("evil.yaml", comment.replace(FORGED, ""))),
        _screen("a key of a config that is obeyed", "fit", "--config", "quickstart", "--config",
                "evil.yaml", codes=(2,), prepare=config),
        _screen("a value of a config that is obeyed, printed", "fit", "--config", "quickstart",
                "--config", "evil.yaml", "--print_config", prepare=prompt),
        _screen("a config that is no YAML, with escapes", "fit", "--config", "evil.yaml",
                codes=(2,), prepare=_write("evil.yaml", "a: [\x9b\u202e\n b: }")),
        _screen("a key of a study that is obeyed", "study", "run", "evil.yaml", codes=(2,),
                prepare=_write("evil.yaml", f"base: quickstart\n{quoted}: 1\n")),
        _screen("a label of a study that is obeyed", "study", "run", "evil.yaml", "--dry-run",
                prepare=_write("evil.yaml", "base: quickstart\naxes: {adapter: [lora], "
                               f"{quoted[:-1]}a\": {{{quoted}: {{model.adapter.rank: 4}}}}}}\n")),
        _screen("a setting of a study that is obeyed", "study", "run", "evil.yaml", "--dry-run",
                prepare=_write("evil.yaml", f"base: quickstart\nset: {{wandb: {quoted}}}\n"),
                check=None),
        _screen("lines to label with a column that is obeyed", "predict", "{stock}/finished",
                "--file", "evil.csv", codes=(2, 3), prepare=_write("evil.csv", f"{quoted}\na\n")),
    ]  # fmt: skip


def _names() -> list[Hostile]:
    """Return names on the command line that are obeyed, as `*` of a stranger's folder gives."""
    return [
        _screen(
            f"a name that is obeyed: {' '.join(w for w in words if ESCAPE not in w)}",
            *words,
            codes=codes,
        )
        for words, codes in (
            ((EVIL,), (2,)),
            (("show", EVIL), (5,)),
            (("fit", "--config", EVIL), (2,)),
            (("fit", f"--{EVIL}"), (2,)),
            (("fit", "--config", "quickstart", "--data.path", f"{EVIL}.csv"), (2, 3)),
            (("fit", "--config", "quickstart", "--model.adapter", EVIL), (2,)),
            (("fit", "--resume", EVIL), (2,)),
            (("check", "--config", "quickstart", "--data.path", f"{EVIL}.csv"), (2, 3)),
            (("compare", EVIL), (2,)),
            (("report", ".", "-o", EVIL), (2,)),
            (("advise", ".", "--max-time", EVIL), (2,)),
            (("study", "run", EVIL), (2,)),
            (("study", "status", EVIL), (2,)),
            (("study", EVIL), (2,)),
            (("predict", "{stock}/finished", "--file", EVIL), (2, 3)),
            (("predict", "{stock}/finished", "--text", "a", "--device", EVIL), (6,)),
            (("export", EVIL, "--merged", "x"), (5,)),
            (("generate", "{stock}/finished", "--prompt", "a", "--out", EVIL), (2,)),
            (("quantize", EVIL, "--format", "int8"), (2, 5)),
            (("adapters", EVIL), (2,)),
        )
    ]


def _table_of_labels(here: Path, stock: Stock) -> None:
    with (here / "evil.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows([[f"storm {i}", EVIL if i % 2 else "calm"] for i in range(160)])


def _card_is_plain(here: Path, told: str) -> None:
    no_line_is_forged(here, told)
    card = (here / "run/adapter/README.md").read_text()
    assert in_markdown(EVIL) in card
    assert "<img" not in card.replace("&lt;img", "")
    assert printable(card.replace("\n", "")) == card.replace("\n", "")


def _label_of_the_run(here: Path, stock: Stock) -> None:
    labels = [EVIL, f"{EVIL}b"]
    finished(here, stock, {"model/labels": labels})
    path = here / "run/adapter/classifier/config.json"
    names = {"id2label": dict(enumerate(labels)), "label2id": {n: i for i, n in enumerate(labels)}}
    path.write_text(json.dumps(json.loads(path.read_text()) | names))


def _data() -> list[Hostile]:
    """Return data whose labels are obeyed."""
    fit = ("fit", "--config", "text/files", "--data.path", "evil.csv", "--data.text_column", "text",
           "--data.label_column", "label", "--model.pretrained", "{stock}/model",
           "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--data.max_length", "32",
           "--trainer.enable_progress_bar", "false", "--output", "run")  # fmt: skip
    predict = ("predict", "run", "--text", f"a{EVIL}", "--text", "b")
    return [
        _screen("labels of a data set that are obeyed", *fit, prepare=_table_of_labels,
                check=_card_is_plain),
        _screen("labels of a run that are obeyed, on the terminal", *predict,
                prepare=_label_of_the_run),
        _screen("labels of a run that are obeyed, to a file", *predict, "--output", "out.csv",
                prepare=_label_of_the_run),
    ]  # fmt: skip


def _named_in_another_encoding(here: Path, stock: Stock) -> None:
    finished(here, stock, {"name": "caf\xe9 \u4e2d", "remarks": ["\u00b1 \U0001f600"]})


def _encodings() -> list[Hostile]:
    """Return names that are not UTF-8, and a terminal that knows ASCII alone."""
    ascii_only = (("PYTHONIOENCODING", "ascii"), ("LC_ALL", "C"), ("PYTHONUTF8", "0"))
    told = "is not UTF-8"
    return [
        _screen("an output that is not UTF-8", "fit", "SMALL", "--output", "run\udcff",
                codes=(2,), told=told),
        _screen("data whose name is not UTF-8", "fit", "--config", "quickstart", "--data.path",
                "\udcff.csv", codes=(2,), told=told),
        _screen("a run whose name is not UTF-8", "show", "\udcff", codes=(2,), told=told),
        _screen("a study whose name is not UTF-8", "study", "run", "\udcff", codes=(2,), told=told),
        Hostile("a record in other letters than the terminal's", "answer", ("show", "run"), (0,),
                prepare=_named_in_another_encoding, environment=ascii_only, process=True),
    ]  # fmt: skip
