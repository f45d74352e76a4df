"""`hwlit compare` and `hwlit report -o F.md` as a user meets them."""

import csv
import io
import itertools
import json
import subprocess
import sys

import pytest

from hwlit.__main__ import main
from tests.study.records import LABELS, matrix, pattern, rewrite, write_run, write_study

HOSTILE = "<img src=x onerror=alert(1)></script>|`*[a](http://e.org)"


@pytest.fixture
def runs(tmp_path):
    counts = [[40, 10], [5, 45]]
    figures = {"precision": 0.8, "recall": 0.7, "f1": 0.75, "support": 50}
    classes = [{"label": n, **figures} for n in LABELS]
    for seed in (0, 1):
        write_run(tmp_path / f"lora-{seed}", seed=seed, right=pattern((85, True), (15, False)),
                  exhibits=[matrix(LABELS, counts)], per_class=classes)  # fmt: skip
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
    assert next(line for line in lines if line[:3] == ["Lora", "*", "2"])
    row = next(line for line in lines if line[:2] == ["Lora", "+0.0500"])
    assert row[-1] == "better"
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
    assert float(rows[1]["fit/wall_time/over_least"]) == 1
    assert (rows[1]["verdict"], rows[1]["best/verdict"]) == ("better", "")
    assert float(rows[1]["p"]) < 0.05 < float(rows[1]["difference/low"]) + 0.05
    assert rows[2]["reason"] == "it broke"


def test_json(runs, capsys):
    assert main(["compare", str(runs), "--format", "json", "--baseline", "lora"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["baseline"], found["metric"]) == ("Lora", "test/accuracy")
    lora, full = found["rows"]
    assert lora["seeds"] == [0, 1]
    assert lora["confusion_matrix"] == [LABELS, [[80, 20], [10, 90]]]  # both seeds
    assert full["verdict"]["difference"] == pytest.approx(-0.05)
    assert found["best"] == "Lora"
    (pair,) = found["pairs"]
    assert pair["p"] == full["verdict"]["p"] == full["against_best"]["p"]
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


def test_a_wide_table_comes_in_parts_that_a_terminal_holds(tmp_path, capsys):
    readings = {f"test/measure_{i}": 0.5 for i in range(12)}
    measure = {"role": "quality", "direction": "max", "bounds": [0, 1], "margin": 0.01}
    for name in ("Full", "A method of which the name is rather long"):
        run = write_run(tmp_path / name[:4], name, config=name, right=[True, False] * 50,
                        readings=readings)  # fmt: skip

        def ranked(record):
            for measured in readings:
                record["readings"][measured] |= {"low": 0.4, "high": 0.6, "measure": measure}
            return record

        rewrite(run, ranked)
    assert main(["compare", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert sum("measure_" in line for line in out.splitlines()) > 1


@pytest.mark.parametrize(
    ("margin", "message"),
    [
        ("1%", "'1%' is no number; give one in the metric's unit"),
        ("nan", "is no number"),
        ("-0.01", "give a number from 0 and below 1, for it is 0 to 1; its own is 0.01"),
        ("2", "--margin 2 is no margin of test/accuracy"),
    ],
)
def test_a_margin_that_is_none(runs, capsys, margin, message):
    assert main(["compare", str(runs), f"--margin={margin}"]) == 2
    assert message in capsys.readouterr().err


def test_a_margin_of_ones_own(runs, capsys):
    assert main(["compare", str(runs), "--margin", "0.4"]) == 0
    assert "equal: the whole interval lies within 0.4" in capsys.readouterr().out
