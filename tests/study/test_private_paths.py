"""What is compared and reported is shown to others: it tells of no folder, user or host."""

import json
import re

import pytest

from hwlit.__main__ import main
from tests.study.records import pattern, write_run, write_study

SECRET = "zorbax"
BASE = f"/home/{SECRET}/models/bert"
WHY = f"cannot load /home/{SECRET}/lib/x.so"


@pytest.fixture
def runs(tmp_path):
    """Two runs on two bases of one name, a failed one, a damaged one; all lie in a user's home."""
    folder = tmp_path / SECRET / "runs"
    for name, place, right in (("a", "models", 60), ("b", "others", 80)):
        rows = pattern((right, True), (100 - right, False))
        base = BASE.replace("models", place)
        run = write_run(
            folder / name, right=rows, config=f"model: {{pretrained: {base}}}\n",
            model={"hub_id": base, "pretrained": base},
            data={"source": [f"/home/{SECRET}/rows.csv"]},
            remarks=[f"1 picture is left out: /home/{SECRET}/dog/3.jpg"],
        )  # fmt: skip
        record = json.loads((run / "record.json").read_text())
        record["adapter"]["quantisation"] = {"asked": "nf4", "got": "bf16", "why": WHY}
        record["absent"] = {"fit/energy": f"/home/{SECRET}/rapl is not there"}
        (run / "record.json").write_text(json.dumps(record))
    broken = write_run(folder / "c", status="failed")
    record = json.loads((broken / "record.json").read_text())
    record["error"] = f"model folder {BASE} does not exist"
    (broken / "record.json").write_text(json.dumps(record))
    (folder / "d").mkdir()
    (folder / "d" / "record.json").write_text("{")
    return folder


@pytest.mark.parametrize("form", ["table", "md", "csv", "json"])
def test_a_comparison_tells_of_no_folder(form, runs, capsys):
    assert main(["compare", str(runs), "--format", form]) == 0
    told = capsys.readouterr().out
    assert "Lora" in told
    assert SECRET not in told
    if form != "csv":
        assert "d/record.json" in told
    if form == "json":
        found = json.loads(told)
        assert found["name"] == "runs"
        assert sorted(row["runs"] for row in found["rows"]) == [["a"], ["b"]]
        assert {row["settings"]["model"] for row in found["rows"]} == {"bert"}
        assert len({row["method"] for row in found["rows"]}) == 2


@pytest.mark.parametrize("ending", ["md", "html"])
def test_a_report_tells_of_no_folder(ending, runs, tmp_path):
    path = tmp_path / f"report.{ending}"
    assert main(["report", str(runs), "-o", str(path)]) == 0
    told = path.read_text()
    assert "picture is left out: 3.jpg" in told
    assert re.search("model folder .{0,9}bert does not exist", told)
    assert SECRET not in told


def test_a_study_s_runs_are_named_as_they_lie_in_it(tmp_path, capsys):
    folder = tmp_path / SECRET / "mine"
    write_study(folder, {"x": ({"adapter": "lora"}, "ok"), "y": ({"adapter": "full"}, "ok")})
    for name in ("x", "y"):
        write_run(folder / "runs" / name, right=pattern((60, True), (40, False)))
    assert main(["compare", str(folder), "--format", "json"]) == 0
    told = capsys.readouterr().out
    assert SECRET not in told
    assert {run for row in json.loads(told)["rows"] for run in row["runs"]} == {"runs/x", "runs/y"}
