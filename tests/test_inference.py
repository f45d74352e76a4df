"""What a finished run of QLoRA is used for: its base is quantised again, and merged it is not."""

import csv
import json

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BitsAndBytesConfig

from hwlit.__main__ import main
from hwlit.errors import IntegrityError, UsageError
from hwlit.exports.stock_classifier import encode
from hwlit.inference import load, read_quantization
from hwlit.networks.text import load_classifier, load_tokenizer
from hwlit.records import read_record

pytest.importorskip("bitsandbytes", reason='pip install "hwlit[qlora]"')


@pytest.mark.slow
def test_a_run_of_qlora_is_used_as_it_was_tested(tiny_fit, tiny_models, tmp_path, capsys):
    options = ["--model.adapter", "qlora_4bit", "--model.pretrained", tiny_models["llama"]]
    assert main([*tiny_fit, *options, "--trainer.logger=false"]) == 0
    run, shown = tmp_path / "run", capsys.readouterr().out
    record = json.loads((run / "record.json").read_text())
    readings, phases = record["readings"], {row["name"] for row in record["phases"]}
    assert record["adapter"]["quantisation"]["got"] == "nf4"
    assert "base in nf4" in shown
    assert {"quantise", "requantise"} <= phases
    assert readings["quantise/peak_memory"]["value"] > 0
    assert -1 <= readings["adapter/requantised_accuracy_difference"]["value"] <= 1
    assert "latency/reference/batch_1/p50" in readings
    with (run / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:8]
    texts = [row["text"] for row in rows]
    network, tokenizer = load(run, read_record(run))
    with torch.inference_mode():
        shares = network(**encode(tokenizer, texts, 32)).logits.softmax(-1)
    assert main(["export", str(run), "--merged", str(tmp_path / "merged")]) == 0
    merged = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged").eval()
    with torch.inference_mode():
        plain = merged(**encode(tokenizer, texts, 32)).logits.softmax(-1)
    assert "quantization_config" not in vars(merged.config)
    torch.testing.assert_close(plain, shares, atol=1e-5, rtol=1e-5)
    tested = torch.tensor([float(row["p(disaster)"]) for row in rows])
    torch.testing.assert_close(shares[:, 1], tested, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"quant_method": "bitsandbytes", "load_in_4bit": 3}',
                '{"quant_method": "abacus"}'],
)  # fmt: skip
def test_a_damaged_quantisation_of_a_base_is_named(content, tmp_path):
    path = tmp_path / "quantization_config.json"
    path.write_text(content)
    with pytest.raises(IntegrityError, match=r"quantization_config\.json is damaged"):
        read_quantization(path)


def test_weights_that_are_quantised_already_are_refused(tiny_models, tmp_path):
    """What they were is lost, and nothing tells how well they were quantised."""
    network = load_classifier(
        tiny_models["llama"], ("a", "b"),
        quantization=BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=["score"]),
    ).network  # fmt: skip
    network.save_pretrained(tmp_path)
    load_tokenizer(tiny_models["llama"]).save_pretrained(tmp_path)
    with pytest.raises(
        UsageError, match=r"are quantised already; give the model in full precision"
    ):
        load_classifier(str(tmp_path), ("a", "b"))
