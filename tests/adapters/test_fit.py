"""Every shipped text adapter through a whole run: train, test, export, reload, record."""

import json

import pytest

from hwlit.__main__ import main
from hwlit.adapters.base import Adapter
from tests.adapters.test_contract import CASES, SMALLER, read_adapter

NAMES = [path.stem for path in CASES]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_runs_from_data_to_checked_export(name, tiny_fit, tmp_path):
    changes = ["--trainer.max_epochs=1", "--trainer.logger=false"]
    changes += [f"--model.adapter.{key}={value}" for key, value in SMALLER.get(name, {}).items()]
    assert main([*tiny_fit, "--model.adapter", name, *changes]) == 0
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    adapter: Adapter = read_adapter(next(path for path in CASES if path.stem == name))
    if not adapter.rounds:  # what a format became depends on the device
        assert record["adapter"]["name"] == adapter.title
    assert record["check"]["max_abs_difference"] < 1e-4
    assert record["check"]["rows"] == record["check"]["same_predictions"]
    assert ("adapter/merge_difference" in record["readings"]) == adapter.wraps
    peft = (tmp_path / "run" / "adapter" / "adapter_config.json").exists()
    assert peft == (adapter.wraps and name != "bitfit_lora" and not adapter.converts)


@pytest.mark.slow
def test_biases_learn_in_half_precision(tiny_fit, tmp_path):
    """Norms then have a shift that learns beside a scale that does not."""
    options = ["--model.adapter=bitfit_lora", "--trainer.precision=bf16-true"]
    assert main([*tiny_fit, *options, "--trainer.logger=false"]) == 0
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["check"]["max_abs_difference"] <= record["check"]["tolerance"]


SEVEN = [f"*.{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down")]
LLAMA = {
    "frozen": ["--model.adapter", "frozen", "--model.adapter.layers", "1"],
    "lora": ["--model.adapter", "lora", "--model.adapter.targets", json.dumps(SEVEN)],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "precision"), [("qlora_4bit", "bf16-true"), ("qlora_8bit", "bf16-mixed")]
)
def test_a_quantised_llama_learns_in_half_precision(
    name, precision, tiny_fit, tiny_models, tmp_path
):
    options = ["--model.pretrained", tiny_models["llama"], "--model.adapter", name]
    assert main([*tiny_fit, *options, "--trainer.precision", precision]) == 0
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    pytest.importorskip("bitsandbytes", reason='pip install "hwlit[qlora]"')
    merged = "bfloat16" if precision == "bf16-true" else "float32"
    assert record["adapter"]["quantisation"]["merged_dtype"] == merged
    assert record["check"]["max_abs_difference"] <= record["check"]["tolerance"]
    assert record["readings"]["adapter/merge_difference"]["value"] < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["32-true", "bf16-true", "bf16-mixed"])
@pytest.mark.parametrize("name", LLAMA)
def test_a_llama_classifier_runs_end_to_end(name, precision, tiny_fit, tiny_models, tmp_path):
    options = [
        "--model.pretrained", tiny_models["llama"], *LLAMA[name], "--trainer.precision", precision,
        "--model.gradient_checkpointing", "true", "--trainer.logger=false",
    ]  # fmt: skip
    assert main([*tiny_fit, *options]) == 0
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    assert record["model"]["architecture"] == "LlamaForSequenceClassification"
    assert record["model"]["gradient_checkpointing"]
    assert record["model"]["dtype"] == ("bfloat16" if precision == "bf16-true" else "float32")
    assert record["adapter"]["heads"] == ["score"]
    assert record["precision"] == precision
    assert record["check"]["max_abs_difference"] <= record["check"]["tolerance"]
    assert record["check"]["same_predictions"] >= record["check"]["rows"] - 1
    attention, mlp = 4 * 32 * 32 - 2 * 32 * 16, 3 * 32 * 64
    layer = attention + mlp + 2 * 32
    # rank 8 over the two sides of each matrix: four of attention, three of the feed-forward part
    update = 2 * 8 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 64))
    expected = {"frozen": layer + 32 + 2 * 32, "lora": update + 2 * 32}[name]
    assert record["readings"]["params/trainable"]["value"] == expected
