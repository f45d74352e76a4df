import csv
import json
import os
import shutil
import sys

import pytest
import torch
from scipy import stats
from transformers import AutoModelForSequenceClassification

from hwlit.__main__ import main
from hwlit.adapters.bitsandbytes_linear import NF4
from hwlit.errors import IntegrityError, UsageError
from hwlit.quantization import QuantizedRun, held_bytes, paired_difference, take_again
from hwlit.saved_configs import QUANTIZED

FORMATS = {"int8": "onednn-int8", "int4": "onednn-int4", "nf4": "nf4"}


@pytest.fixture
def run(tiny_fit, tmp_path):
    assert main([*tiny_fit, "--trainer.max_epochs=1", "--trainer.logger=false"]) == 0
    return tmp_path / "run"


def quantized(run, name):
    assert main(["quantize", str(run), "--format", name]) == 0
    folder = run.with_name(f"run-{name}")
    return folder, json.loads((folder / "record.json").read_text())


def row_ids(folder):
    lines = (folder / "predictions.csv").read_text().splitlines()
    return [line["row_id"] for line in csv.DictReader(lines)]


def predictions(folder, capsys):
    capsys.readouterr()
    assert main(["predict", str(folder), "--text", "storm near town", "--text", "sunny"]) == 0
    lines = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    return torch.tensor([[float(v) for k, v in line.items() if k[:2] == "p("] for line in lines])


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_a_run_is_quantised_into_a_row_of_its_own(name, run, capsys):
    if reason := NF4().unsupported(torch.device("cpu")):
        pytest.skip(reason)
    before = (run / "record.json").read_bytes()
    folder, record = quantized(run, name)
    source = json.loads(before)
    assert (run / "record.json").read_bytes() == before
    assert record["status"] == "ok"
    assert record["source"]["config_sha256"] == source["config_sha256"] != record["config_sha256"]
    converted = record["adapter"]["converts_to"]
    assert converted["format"] == FORMATS[name]
    rows = {choice["rows"] for choice in converted.get("kernels", [])}
    assert len(rows) > 1 or name == "nf4"  # of the test's batches, and of single rows after it
    assert record["comparability"] == source["comparability"]
    readings = record["readings"]
    difference = readings["test/accuracy"]["value"] - source["readings"]["test/accuracy"]["value"]
    assert readings["test/accuracy_difference"]["value"] == pytest.approx(difference)
    assert readings["weights/memory"]["value"] < readings["weights/memory/source"]["value"]
    assert {"latency/base/batch_1/p50", "latency/merged/batch_1/over_base"} <= readings.keys()
    assert "latency/unmerged/batch_1/p50" not in readings
    file = folder / "adapter" / "quantized.safetensors"
    assert readings["adapter/file_size"]["value"] == file.stat().st_size
    assert row_ids(folder) == row_ids(run)
    torch.testing.assert_close(
        predictions(folder, capsys), predictions(run, capsys), atol=0.1, rtol=0
    )


@pytest.mark.slow
def test_a_quantised_row_is_whole_or_refused(run, tmp_path, capsys):
    folder, _ = quantized(run, "int4")
    assert main(["export", str(folder), "--merged", str(tmp_path / "plain")]) == 0
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "plain")
    assert main(["quantize", str(folder), "--format", "int8"]) == 2
    assert "quantised already" in capsys.readouterr().err
    file = folder / "adapter" / "quantized.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert main(["predict", str(folder), "--text", "storm"]) == 5
    told = capsys.readouterr().err
    assert "quantized.safetensors" in told
    assert "damaged" in told


@pytest.mark.slow
def test_what_cannot_be_quantised_is_refused_before_anything_is_written(run, monkeypatch, capsys):
    monkeypatch.setattr(NF4, "unsupported", lambda self, device: "it is not installed")
    assert main(["quantize", str(run), "--format", "nf4"]) == 2
    told = capsys.readouterr().err
    assert "nf4 does not work here (it is not installed)" in told
    assert "onednn-int8, onednn-int4" in told
    assert not run.with_name("run-nf4").exists()
    best = json.loads((run / "record.json").read_text())["best_checkpoint"]["path"]
    with (run / best).open("ab") as file:
        file.write(b"?")
    assert main(["quantize", str(run), "--format", "int8"]) == 5
    assert "is damaged" in capsys.readouterr().err


def test_a_difference_has_the_interval_of_its_rows():
    after, before = [True] * 99 + [False], [False] + [True] * 99
    found = paired_difference(after, before)
    assert found.value == 0
    row = (2 / 99 / 100 * 100**2 + 1) / 102**2  # two rows of 100 differ, and one more as a guard
    assert found.high == pytest.approx(stats.t.ppf(0.975, 99) * row**0.5)
    assert found.low == -found.high
    found = paired_difference([False, True], [True, True])
    assert (found.value, found.low) == (-0.5, -1)
    assert paired_difference([True], [True]).low is None


@pytest.mark.slow
def test_what_is_quantised_by_a_member_of_a_chain_is_not_rounded_again(tiny_fit, tmp_path, capsys):
    one = ["--trainer.max_epochs=1", "--trainer.logger=false"]
    assert main([*tiny_fit, *one, "--model.adapter", "qat_lora"]) == 0
    assert main(["quantize", str(tmp_path / "run"), "--format", "int4"]) == 2
    assert "quantised already (Lora+QAT int8)" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("name", ["int8", "nf4"])
def test_a_run_in_half_precision_is_quantised(name, tiny_fit, tmp_path):
    if reason := NF4().unsupported(torch.device("cpu")):
        pytest.skip(reason)
    one = ["--trainer.max_epochs=1", "--trainer.logger=false", "--trainer.precision=bf16-true"]
    assert main([*tiny_fit, *one]) == 0
    folder, record = quantized(tmp_path / "run", name)
    assert record["status"] == "ok"
    assert main(["predict", str(folder), "--text", "storm"]) == 0


@pytest.mark.slow
def test_a_quantised_row_is_not_resumed_into_training(run, capsys):
    folder, record = quantized(run, "int8")
    (folder / "record.json").write_text(json.dumps(record | {"status": "interrupted"}))
    assert main(["fit", "--resume", str(folder)]) == 2
    assert "made by hwlit quantize" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="fork")
def test_the_same_command_begins_a_killed_row_again_and_loses_nothing(run, capsys):
    row = run.with_name("run-int8")
    if not (pid := os.fork()):
        QuantizedRun._probe = lambda self: os._exit(9)
        os._exit(main(["quantize", str(run), "--format", "int8"]))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    assert (row / "adapter" / "quantized.safetensors").exists()
    for name in ("notes.txt", "adapter/notes.txt", ".tmp-draft"):
        (row / name).write_text("mine")
    assert main(["quantize", str(run), "--format", "int4", "--output", str(row)]) == 2
    assert "holds an earlier run or other files" in capsys.readouterr().err
    folder, record = quantized(run, "int8")
    assert record["status"] == "ok"
    for name in ("notes.txt", "adapter/notes.txt", ".tmp-draft"):
        assert (row / name).read_text() == "mine"
    assert main(["predict", str(folder), "--text", "storm"]) == 0
    assert main(["quantize", str(run), "--format", "int8"]) == 2
    assert "holds a finished run" in capsys.readouterr().err


def test_what_the_same_command_did_not_begin_is_not_taken(tmp_path):
    made, other = f'{QUANTIZED}"/run" --format int8\n', f'{QUANTIZED}"/run" --format int4\n'
    (tmp_path / "config.yaml").write_text(made + "seed_everything: 0\n")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds an earlier run"):
        take_again(tmp_path, "name", other)
    held = take_again(tmp_path, "name", made)
    with pytest.raises(UsageError, match="in use"):
        take_again(tmp_path, "name", made)
    held.undo()  # as where it is refused before anything was tested
    held.release()
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "config.yaml").exists()
    (tmp_path / "adapter").symlink_to(tmp_path)
    with pytest.raises(IntegrityError, match="adapter is a link"):
        take_again(tmp_path, "name", made)


@pytest.mark.slow
def test_a_missing_package_is_named_when_a_quantised_row_is_used(run, monkeypatch, capsys):
    if reason := NF4().unsupported(torch.device("cpu")):
        pytest.skip(reason)
    folder, _ = quantized(run, "nf4")
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    assert main(["predict", str(folder), "--text", "storm"]) == 2
    assert 'pip install "hwlit[qlora]"' in capsys.readouterr().err


@pytest.mark.slow
def test_a_checkpoint_goes_on_with_the_base_that_it_was_learned_on(
    tiny_fit, tmp_path, monkeypatch, capsys
):
    if reason := NF4().unsupported(torch.device("cpu")):
        pytest.skip(reason)
    one = ["--trainer.max_epochs=1", "--trainer.logger=false"]
    assert main([*tiny_fit, *one, "--model.adapter", "qlora_4bit"]) == 0
    run = tmp_path / "run"
    again = shutil.copytree(run, tmp_path / "again")
    record = json.loads((run / "record.json").read_text())
    (again / "record.json").write_text(json.dumps(record | {"status": "interrupted"}))
    monkeypatch.setattr(NF4, "unsupported", lambda self, device: "it is not installed")
    resumed = ["fit", "--resume", str(again), "--trainer.max_epochs", "2"]
    for command in (resumed, ["quantize", str(run), "--format", "int8"]):
        assert main(command) == 5
        told = capsys.readouterr().err
        assert "learned under nf4+Lora" in told
        assert "it is not installed" in told


def test_memory_counts_the_scales_of_four_bits():
    if reason := NF4().unsupported(torch.device("cpu")):
        pytest.skip(reason)
    linear = torch.nn.Linear(256, 256, bias=False)
    held = held_bytes(NF4(double_quantization=False).quantize(linear, torch.device("cpu")))
    weights, scales = 256 * 256 // 2, 256 * 256 // 64 * 4
    assert weights + scales < held < weights + scales + 512  # the table of values beside them
