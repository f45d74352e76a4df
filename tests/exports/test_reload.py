"""Round trips through the stock loaders, in a process without hwlit."""

import json
from itertools import product

import pytest
import torch
from safetensors.torch import load_file, save_file

from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.errors import IntegrityError
from hwlit.exports import reload, stock_classifier
from hwlit.exports.reload import check_reload
from hwlit.tasks.text_classification import TextClassification
from tests.conftest import moved

TEXTS = ["storm near town", "a sunny picnic", "", "the the the the fire"]


def exported(adapter, pretrained, folder, tokenizer):
    """A task whose learned weights were moved, its export, and its logits of the texts."""
    labels = ("a", "b", "c")
    task = moved(TextClassification(adapter=adapter, pretrained=pretrained, labels=labels))
    task.export(folder)
    with torch.no_grad():
        rows = [task.network(**tokenizer(t, return_tensors="pt")).logits[0] for t in TEXTS]
    return torch.stack(rows)


@pytest.mark.parametrize(
    "kind", [pytest.param("bert", marks=pytest.mark.slow), "distilbert", "roberta", "llama"]
)
def test_a_lora_export_reloads_in_stock_peft(
    kind, tiny_models, tiny_tokenizer, tmp_path, monkeypatch
):
    if kind != "bert":  # one fresh process shows that a stranger's can; the loaders are the same
        monkeypatch.setattr(reload, "_run", lambda job, *rest: stock_classifier.logits(**job))
    logits = exported(Lora(rank=4), tiny_models[kind], tmp_path, tiny_tokenizer)
    report = check_reload(tmp_path, tiny_models[kind], TEXTS, logits, 32, torch.float32)
    assert report["rows"] == report["same_predictions"] == len(TEXTS)
    assert report["max_abs_difference"] < 1e-4


@pytest.mark.parametrize("switches", [*product([False, True], repeat=3)], ids=str)
def test_every_variant_of_lora_reloads_on_the_original_weights(
    switches, tiny_models, tiny_tokenizer, tmp_path, monkeypatch
):
    monkeypatch.setattr(reload, "_run", lambda job, folder, timeout: stock_classifier.logits(**job))
    variant = dict(zip(("dora", "rslora", "pissa"), switches, strict=True))
    adapter = Lora(rank=4, alpha=6, **variant)
    logits = exported(adapter, tiny_models["distilbert"], tmp_path, tiny_tokenizer)
    report = check_reload(tmp_path, tiny_models["distilbert"], TEXTS, logits, 32, torch.float32)
    assert report["max_abs_difference"] < 1e-5
    saved = json.loads((tmp_path / "adapter_config.json").read_text())
    assert saved["r"] == (8 if variant["pissa"] else 4)
    assert saved["init_lora_weights"] is True  # nothing is done to the weights that it is put on


def test_the_order_of_targets_in_the_export_is_their_own(tiny_models, tiny_tokenizer, tmp_path):
    exported(Lora(rank=4), tiny_models["bert"], tmp_path, tiny_tokenizer)
    targets = json.loads((tmp_path / "adapter_config.json").read_text())["target_modules"]
    assert len(targets) > 2
    assert targets == sorted(targets), "a set has another order in each process"


def test_a_full_export_needs_no_base(tiny_models, tiny_tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(reload, "_run", lambda job, *rest: stock_classifier.logits(**job))
    logits = exported(Full(), tiny_models["bert"], tmp_path, tiny_tokenizer)
    report = check_reload(tmp_path, "/nowhere", TEXTS, logits, 32, torch.float32)
    assert report["max_abs_difference"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda head: {}, "does not reload in a fresh process.*classifier.weight"),
        (lambda head: {name: 2 * tensor for name, tensor in head.items()}, "its logits differ"),
    ],
    ids=["left out", "changed"],
)
def test_a_spoiled_head_is_found(spoil, told, tiny_models, tiny_tokenizer, tmp_path, monkeypatch):
    if told == "its logits differ":
        monkeypatch.setattr(reload, "_run", lambda job, *rest: stock_classifier.logits(**job))
    logits = exported(Lora(rank=4), tiny_models["bert"], tmp_path, tiny_tokenizer)
    settings = json.loads((tmp_path / "adapter_config.json").read_text())
    assert settings["modules_to_save"] == ["classifier", "bert.pooler.dense"]
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    head = {name: tensor for name, tensor in tensors.items() if ".classifier." in name}
    assert len(head) == 2
    rest = {name: tensor for name, tensor in tensors.items() if name not in head}
    save_file({**rest, **spoil(head)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(IntegrityError, match=told):
        check_reload(tmp_path, tiny_models["bert"], TEXTS, logits, 32, torch.float32)


def test_half_precision_allows_more(tiny_models, tmp_path, monkeypatch):
    monkeypatch.setattr("hwlit.exports.reload._run", lambda *a: [[[0.05, 0.0]]] * 2)
    zeros = torch.zeros(1, 2)
    assert check_reload(tmp_path, "", [""], zeros, 8, torch.bfloat16)["tolerance"] == 0.1
    with pytest.raises(IntegrityError):
        check_reload(tmp_path, "", [""], zeros, 8, torch.float32)


def test_no_more_is_asked_than_the_run_itself_keeps_to(tmp_path, monkeypatch):
    monkeypatch.setattr("hwlit.exports.reload._run", lambda *a: [[[0.25, 0.0]], [[0.0, 0.0]]])
    ours = torch.tensor([[[0.1, 0.0]], [[0.0, 0.0]]])  # one by one, and padded
    report = check_reload(tmp_path, "", [""], ours, 8, torch.bfloat16, spread=0.1)
    assert report["max_abs_difference"] == pytest.approx(0.15)
    assert report["tolerance"] == 0.2
    with pytest.raises(IntegrityError, match=r"differ by 0\.15"):
        check_reload(tmp_path, "", [""], ours, 8, torch.bfloat16, spread=0.01)


def test_nan_is_a_mismatch(tmp_path, monkeypatch):
    monkeypatch.setattr("hwlit.exports.reload._run", lambda *a: [[[float("nan"), 0.0]]] * 2)
    with pytest.raises(IntegrityError):
        check_reload(tmp_path, "", [""], torch.zeros(1, 2), 8, torch.float32)
