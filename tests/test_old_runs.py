"""Runs of schema 1 go through every command that reads a run, with the numbers that they had."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoModelForSequenceClassification

from hwlit.__main__ import main
from hwlit.exports.stock_classifier import encode
from hwlit.inference import load
from hwlit.records import read_record
from tests.conftest import speed_up

KEPT = Path(__file__).parent / "runs_of_schema_1"
MADE_IN = "/home/ada/work"  # what the records name
TEXT = {".json", ".yaml", ".csv", ".md", ".log"}
CELLS = [f"study/runs/{method}-seed{seed}" for method in ("lora", "bitfit") for seed in (1, 2)]
CLASSIFIERS = ["runs/lora", "runs/full", "runs/lora-int8", *CELLS]
FINISHED = [*CLASSIFIERS, "runs/svdiff"]
ENDED = [*FINISHED, "runs/stopped", "runs/diverged"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder in which the runs were made, moved to another one."""
    home = shutil.copytree(KEPT, tmp_path / "work")
    for path in home.rglob("*"):
        if path.suffix in TEXT and MADE_IN in (text := path.read_text(encoding="utf-8")):
            path.write_text(text.replace(MADE_IN, str(home)), encoding="utf-8")
    monkeypatch.chdir(home)
    speed_up(monkeypatch)
    return home


def kept(run):
    """Return a record as it was written."""
    return json.loads((KEPT / run / "record.json").read_text(encoding="utf-8"))


def rows(path):
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def ids(path):
    return [row["row_id"] for row in rows(path)]


def shares(found):
    """Return the probabilities of predictions, (texts, classes)."""
    return np.array([[float(row[name]) for name in row if name[:2] == "p("] for row in found])


def values(readings):
    """Return of each reading what a converted one keeps."""
    names = ("value", "unit", "low", "high", "n")
    return {name: tuple(one.get(key) for key in names) for name, one in readings.items()}


def test_the_kept_runs_can_tell_a_wrong_division_of_the_data():
    """No seed is 0, and two seeds divided the data differently, so that the wrong one shows."""
    assert all(kept(run)["schema"] == 1 for run in ENDED)
    assert all(kept(run)["seed"] != 0 for run in ENDED)
    tested = [set(ids(KEPT / run / "predictions.csv")) for run in CELLS]
    assert tested[0] == tested[2] != tested[1] == tested[3]


def test_the_kept_runs_are_small_and_tell_of_no_other_folder():
    files = [path for path in KEPT.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1_000_000
    told = b"".join(path.read_bytes() for path in files)
    assert not any(word in told for word in (b"/tmp/", b"/root", b"/usr/"))


@pytest.mark.parametrize("run", ENDED)
def test_show_prints_what_was_measured(run, home, capsys):
    assert main(["show", run]) == 0
    shown, record = capsys.readouterr().out, kept(run)
    assert f"status {record['status']}" in shown
    assert record["adapter"]["name"] in shown
    assert record.get("error", "") in shown
    for name in ("test/accuracy", "test/f1_macro", "test/clip_i"):
        if name in record["readings"]:
            line = next(line for line in shown.splitlines() if line.startswith(f"{name} "))
            assert f"{record['readings'][name]['value']:.4g}" in line.split()
    for name, reason in record["absent"].items():
        assert f"{name}: {reason}" in shown
    for one in record.get("per_class", ()):
        assert one["label"] in shown
    for one in record.get("phases", ()):
        assert one["name"] in shown


@pytest.mark.parametrize("run", ENDED)
def test_a_converted_record_has_the_figures_that_were_stored(run, home, capsys):
    assert main(["show", run, "--json"]) == 0
    found, record = json.loads(capsys.readouterr().out), kept(run)
    assert values(found["readings"]) == values(record["readings"])
    for name in ("status", "seed", "absent", "config_sha256", "started", "versions", "name"):
        assert found[name] == record[name], name
    for name in ("step_times", "per_class", "phases", "comparability", "remarks", "error"):
        if name in record:
            assert holds(found.get(name), record[name]), name
    if "confusion_matrix" in record:
        assert json.dumps(record["confusion_matrix"]["counts"]) in json.dumps(found)


def holds(found, stored):
    """Return whether all that was stored is there; what is empty may be left out."""
    if not stored:
        return not found
    if isinstance(stored, dict):
        return all(holds(found.get(name), value) for name, value in stored.items())
    if isinstance(stored, list):
        return len(found) == len(stored) and all(map(holds, found, stored))
    return found == stored


@pytest.mark.parametrize("run", CLASSIFIERS)
def test_predict_tells_what_the_test_told(run, home):
    """Labels and probabilities are those of the test, on the texts of the test rows."""
    told = f"{run}/predictions.csv"
    words = ["predict", run, "--file", told, "--column", "text", "--output", "out.csv"]
    assert main(words) == 0
    found, tested = rows("out.csv"), rows(told)
    assert [row["text"] for row in found] == [row["text"] for row in tested]
    assert [row["prediction"] for row in found] == [row["prediction"] for row in tested]
    np.testing.assert_allclose(shares(found), shares(tested), atol=1e-3)


@pytest.mark.parametrize("run", ["runs/stopped", "runs/diverged"])
def test_predict_refuses_a_run_without_a_model(run, home, capsys):
    assert main(["predict", run, "--text", "storm"]) == 5
    assert f"its status is {kept(run)['status']}" in capsys.readouterr().err


def test_a_run_whose_base_was_left_behind_says_so(home, capsys):
    shutil.rmtree("model")
    assert main(["predict", "runs/lora", "--text", "storm"]) in (2, 5)
    assert str(home / "model") in capsys.readouterr().err


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_resume_ends_as_the_hwlit_that_began_it_would_have(killed, home):
    if killed:  # by SIGKILL: it wrote no record
        Path("runs/stopped/record.json").unlink()
    assert main(["fit", "--resume", "runs/stopped"]) == 0
    found, expected = rows("runs/stopped/predictions.csv"), rows("expected/resumed/predictions.csv")
    assert [row["row_id"] for row in found] == ids(KEPT / "runs/lora/predictions.csv")
    assert [row["prediction"] for row in found] == [row["prediction"] for row in expected]
    np.testing.assert_allclose(shares(found), shares(expected), atol=1e-3)
    record = json.loads(Path("runs/stopped/record.json").read_text())
    assert record["status"] == "ok"
    assert record["seed"] == 1
    assert record["resumed_from"]["step"] == newest_step("runs/stopped")
    assert not any("seed" in why for why in record["resumed_from"]["not_bit_exact"])
    fingerprint = kept("runs/lora")["comparability"]["data"]
    assert record["comparability"]["data"] == fingerprint


def newest_step(run):
    manifests = (KEPT / run / "checkpoints").glob("*.json")
    return max(json.loads(path.read_text())["step"] for path in manifests)


@pytest.mark.parametrize("run", ["runs/lora", "runs/svdiff"])
def test_a_finished_run_is_not_resumed(run, home, capsys):
    assert main(["fit", "--resume", run]) == 2
    assert "is finished" in capsys.readouterr().err


def test_a_diverged_run_diverges_again(home, capsys):
    assert main(["fit", "--resume", "runs/diverged"]) == 4
    assert kept("runs/diverged")["error"] in capsys.readouterr().err


def test_a_quantised_run_is_not_resumed(home, capsys):
    assert main(["fit", "--resume", "runs/lora-int8"]) == 2
    assert "hwlit quantize" in capsys.readouterr().err


def test_the_config_of_a_run_trains_it_again_on_the_same_rows(home):
    config = ["--config", "runs/lora/config.yaml", "--trainer.logger", "false"]
    assert main(["fit", *config, "--output", "again"]) == 0
    found, expected = rows("again/predictions.csv"), rows("runs/lora/predictions.csv")
    assert [row["row_id"] for row in found] == [row["row_id"] for row in expected]
    np.testing.assert_allclose(shares(found), shares(expected), atol=1e-3)


def test_a_checkpoint_is_tested_on_the_same_rows(home, capsys):
    best = kept("runs/lora")["best_checkpoint"]["path"]
    config = ["--config", "runs/lora/config.yaml", "--output", "tested"]
    assert main(["test", *config, "--ckpt_path", f"runs/lora/{best}"]) == 0
    told, readings = capsys.readouterr().out, kept("runs/lora")["readings"]
    assert f"{readings['test/accuracy']['value']:.4g}" in told
    assert f"{readings['test/loss']['value']:.4g}" in told


@pytest.mark.parametrize("run", ["runs/lora", "runs/full"])
def test_quantize_tests_on_the_rows_of_the_run(run, home):
    assert main(["quantize", run, "--format", "int8", "--output", "int8"]) == 0
    assert ids("int8/predictions.csv") == ids(KEPT / run / "predictions.csv")
    record = json.loads(Path("int8/record.json").read_text())
    source = kept(run)
    assert record["source"]["config_sha256"] == source["config_sha256"]
    assert record["source"]["adapter"] == source["adapter"]["name"]
    accuracy = source["readings"]["test/accuracy"]["value"]
    readings = record["readings"]
    assert readings["test/accuracy_difference"]["value"] == pytest.approx(
        readings["test/accuracy"]["value"] - accuracy
    )
    if run == "runs/lora":  # it was quantised by the hwlit that wrote schema 1 too
        before = rows(KEPT / "runs/lora-int8/predictions.csv")
        np.testing.assert_allclose(shares(rows("int8/predictions.csv")), shares(before), atol=0.02)


@pytest.mark.parametrize(
    ("run", "told"), [("runs/lora-int8", "quantised already"), ("runs/stopped", "interrupted"),
                      ("runs/diverged", "failed"), ("runs/svdiff", "draws pictures")],
)  # fmt: skip
def test_quantize_refuses_what_it_refused(run, told, home, capsys):
    assert main(["quantize", run, "--format", "int8"]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("run", CLASSIFIERS)
def test_the_merged_export_is_the_model_that_was_tested(run, home):
    assert main(["export", run, "--merged", "merged"]) == 0
    network = AutoModelForSequenceClassification.from_pretrained("merged").eval()
    _, tokenizer = load(Path(run), read_record(Path(run)))
    tested = rows(f"{run}/predictions.csv")
    with torch.inference_mode():
        logits = network(**encode(tokenizer, [row["text"] for row in tested], 32)).logits
    atol = 0.02 if run.endswith("int8") else 1e-3  # its inputs are no longer rounded
    np.testing.assert_allclose(logits.softmax(-1).numpy(), shares(tested), atol=atol)


@pytest.mark.parametrize("run", FINISHED)
def test_every_export_can_be_uploaded(run, home):
    assert main(["export", run, "--for-hub", "hub", "--base-id", "ada/base"]) == 0
    told = "".join(path.read_text() for path in Path("hub").rglob("*") if path.suffix in TEXT)
    assert str(home) not in told
    assert "ada/base" in told


def test_what_svdiff_learned_becomes_a_lora(home):
    assert main(["export", "runs/svdiff", "--lora", "lora", "--rank", "2"]) == 0
    assert any(Path("lora").glob("*.safetensors"))


def test_generate_draws_the_same_pictures(home):
    prompt = ["--prompt", "photo of sks dog", "--num_images", "1"]
    assert main(["generate", "runs/svdiff", *prompt, "--out", "drawn"]) == 0
    before, after = sorted(Path("expected/svdiff").iterdir()), sorted(Path("drawn").iterdir())
    assert [path.name for path in after] == [path.name for path in before]
    for old, new in zip(before, after, strict=True):
        levels = [np.asarray(Image.open(path).convert("RGB"), dtype=int) for path in (old, new)]
        assert np.abs(levels[0] - levels[1]).max() <= 4  # of 255


def mean_accuracy(method):
    runs = [run for run in CELLS if f"/{method}-" in run]
    return np.mean([kept(run)["readings"]["test/accuracy"]["value"] for run in runs])


def test_compare_sets_a_study_side_by_side(home, capsys):
    assert main(["compare", "study", "--format", "csv"]) == 0
    told = capsys.readouterr()
    assert "left out" not in told.err
    found = {row["method"]: row for row in csv.DictReader(told.out.splitlines())}
    assert len(found) == 2
    for method, row in found.items():
        assert float(row["test/accuracy"]) == pytest.approx(mean_accuracy(method.lower()))
        assert row["runs"] == "2"


def test_compare_names_each_run_or_why_it_has_no_row(home, capsys):
    assert main(["compare", "runs"]) == 0
    told = capsys.readouterr()
    for name in ("Lora", "Full", "int8", "diverged", "stopped"):
        assert name in told.out, name
    assert "left out" not in told.err


def test_a_report_has_every_method_and_its_figures(home):
    assert main(["report", "study", "runs", "-o", "page.html"]) == 0
    assert main(["report", "study", "-o", "page.md"]) == 0
    page, text = Path("page.html").read_text(), Path("page.md").read_text()
    for method in ("lora", "bitfit"):
        assert method in text.lower()
        assert method in page.lower()
        assert f"{mean_accuracy(method):.3g}" in text
    assert str(home) not in page


def test_advise_takes_one_of_the_methods(home, capsys):
    assert main(["advise", "study", "--max-time", "1h"]) == 0
    told = capsys.readouterr().out
    assert f"lora: accuracy {mean_accuracy('lora'):.4f}" in told
    assert "bitfit: accuracy" in told
    assert "take: lora" in told


def test_a_finished_study_is_not_run_again(home, capsys):
    before = {path.name: path.read_bytes() for path in Path("study/rows").iterdir()}
    assert main(["study", "run", "study.yaml", "--output", "study"]) == 0
    assert "4 of 4 done" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in Path("study/rows").iterdir()} == before
    assert not Path("study/replaced").exists()


def test_the_status_of_a_study_is_known(home, capsys):
    assert main(["study", "status", "study"]) == 0
    told = capsys.readouterr().out
    for cell in CELLS:
        line = next(line for line in told.splitlines() if line.startswith(Path(cell).name))
        value = kept(cell)["readings"]["test/accuracy"]["value"]
        assert line.split()[1] == "ok"
        assert f"{value:.4g}" in line.split()
