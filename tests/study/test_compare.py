"""`hwlit compare` and `hwlit report -o F.md` as a user meets them."""

import csv
import io
import itertools
import json
import subprocess
import sys

import pytest

from hwlit.__main__ import main
from tests.study.records import LABELS, pattern, write_run, write_study

HOSTILE = "<img src=x onerror=alert(1)></script>|`*[a](http://e.org)"


@pytest.fixture
def runs(tmp_path):
    matrix = {"labels": LABELS, "counts": [[40, 10], [5, 45]]}
    classes = [{"label": n, "precision": 0.8, "recall": 0.7, "f1": 0.75} for n in LABELS]
    for seed in (0, 1):
        write_run(tmp_path / f"lora-{seed}", seed=seed, right=pattern((85, True), (15, False)),
                  confusion_matrix=matrix, per_class=classes)  # fmt: skip
        write_run(tmp_path / f"full-{seed}", "Full", seed, config="f",
                  right=pattern((80, True), (20, False)))  # fmt: skip
    write_run(tmp_path / "dead", status="oom")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "record.json").write_text("{")
    return tmp_path


def test_the_table(runs, capsys):
    assert main(["compare", str(runs)]) == 0
    out, err = capsys.readouterr()
    lines = [line.split() for line in out.splitlines()]
    row = next(line for line in lines if line[:2] == ["Lora", "2"])
    assert "+0.0500" in row
    assert ["dead", "oom", "it", "broke"] in lines
    assert ["no", "yes", "20", "(20", "%)"] in [line[:2] + line[-3:] for line in lines]
    assert "bad/record.json" in out
    assert "left out" in err


def test_csv(runs, capsys):
    assert main(["compare", str(runs), "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["method"] for row in rows] == ["Full", "Lora", "dead"]
    assert float(rows[1]["test/accuracy"]) == 0.85
    assert float(rows[1]["difference"]) == pytest.approx(0.05)
    assert float(rows[1]["fit/wall_time/over_baseline"]) == 1
    assert rows[2]["reason"] == "it broke"


def test_json(runs, capsys):
    assert main(["compare", str(runs), "--format", "json", "--baseline", "lora"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["baseline"], found["metric"]) == ("Lora", "test/accuracy")
    lora, full = found["rows"]
    assert lora["seeds"] == [0, 1]
    assert lora["confusion_matrix"] == [LABELS, [[80, 20], [10, 90]]]  # both seeds
    assert full["verdict"]["difference"]["mean"] == pytest.approx(-0.05)
    assert found["failed"] == [{"run": "dead", "status": "oom", "reason": "it broke"}]


def test_markdown_shows_names_as_they_stand(tmp_path, capsys):
    write_study(tmp_path, {n: ({"adapter": n + HOSTILE}, "ok") for n in "ab"}, name=HOSTILE)
    for name in "ab":
        write_run(tmp_path / "runs" / name)
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "r.md")]) == 0
    text = (tmp_path / "r.md").read_text()
    assert "<" not in text
    assert r"\|\`\*\[a\](http" in text
    groups = itertools.groupby(text.splitlines(), lambda line: line.startswith("|"))
    tables = [list(lines) for is_table, lines in groups if is_table]
    for lines in tables:  # a bar in a name is no column
        assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1
    assert len(tables) >= 4


def test_nothing_finished(tmp_path, capsys):
    write_study(tmp_path, {"a": ({"adapter": "x"}, "oom"), "b": ({"adapter": "y"}, None)})
    for kind in ("table", "md", "csv", "json"):
        assert main(["compare", str(tmp_path), "--format", kind]) == 0
    assert main(["advise", str(tmp_path), "--max-time", "1h"]) == 0
    assert main(["report", str(tmp_path), "-o", str(tmp_path / "r.html")]) == 0
    assert "it was oom" in (tmp_path / "r.html").read_text()


def test_no_torch_is_imported(runs):
    output = str(runs / "r.html")
    for words in (["compare"], ["report", "-o", output], ["advise", "--max-time", "1h"]):
        code = (
            "import sys, hwlit.__main__ as m; m.main(sys.argv[1:]);"
            "sys.exit(bool({'torch', 'lightning'} & set(sys.modules)))"
        )
        command = [sys.executable, "-c", code, words[0], str(runs), *words[1:]]
        subprocess.run(command, check=True, capture_output=True)


def test_seeds_that_only_one_method_has_are_told_of(tmp_path, capsys):
    for name, seeds in (("Full", (0,)), ("Lora", (0, 1))):
        for seed in seeds:
            write_run(tmp_path / f"{name}{seed}", name, seed, config=name, right=[True, False])
    note = "differences are over the seeds in common"
    assert main(["compare", str(tmp_path)]) == 0
    assert note in capsys.readouterr().out
    assert main(["compare", str(tmp_path / "Full0"), str(tmp_path / "Lora0")]) == 0
    assert note not in capsys.readouterr().out
