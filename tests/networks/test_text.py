import json
from pathlib import Path

import pytest
import torch

from hwlit.errors import UsageError
from hwlit.networks.text import (
    find_pretrained,
    load_classifier,
    load_tokenizer,
    revision,
    weights_sha256,
)
from hwlit.storage import sha256

HEADS = {
    "bert": ("classifier",),
    "distilbert": ("pre_classifier", "classifier"),
    "roberta": ("classifier",),
    "llama": ("score",),
}


def save(network, model, folder):
    """Save a network beside the tokenizer of the model that it was made from."""
    network.save_pretrained(folder)
    load_tokenizer(model).save_pretrained(folder)


@pytest.mark.parametrize("kind", HEADS)
def test_heads_and_labels_of_every_shape(kind, tiny_models):
    loaded = load_classifier(tiny_models[kind], ("a", "b", "c"))
    # An untrained model's pooler has a bias of 0, as MiniLM's has.
    pooler = ("bert.pooler.dense",) if kind == "bert" else ()
    assert loaded.heads == HEADS[kind] + pooler
    assert loaded.network.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert loaded.network.training
    assert {name.rpartition(".")[0] for name in loaded.fresh} >= {
        HEADS[kind][-1].split(".")[0]
    } or (kind == "roberta")


def test_a_trained_pooler_stays_with_the_base(tiny_models, tmp_path):
    network = load_classifier(tiny_models["bert"], ("a", "b")).network
    torch.nn.init.normal_(network.bert.pooler.dense.bias)
    save(network, tiny_models["bert"], tmp_path)
    assert load_classifier(str(tmp_path), ("a", "b")).heads == ("classifier",)


def test_a_head_for_other_labels_is_made_anew(tiny_models, tmp_path):
    network = load_classifier(tiny_models["distilbert"], ("a", "b", "c")).network
    save(network, tiny_models["distilbert"], tmp_path)
    loaded = load_classifier(str(tmp_path), ("x", "y"))
    assert set(loaded.fresh) == {"classifier.weight", "classifier.bias"}


def test_llama_gets_a_padding_token(tiny_models, tmp_path):
    folder = Path(tiny_models["llama"])
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    settings.pop("pad_token")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert load_tokenizer(str(tmp_path)).pad_token == "[PAD]"
    loaded = load_classifier(str(tmp_path), ("a", "b"))
    assert loaded.network.config.pad_token_id == 0


@pytest.mark.parametrize("side", ["left", "right"])
def test_llama_reads_the_last_token_on_either_side_of_padding(side, tiny_models):
    network = load_classifier(tiny_models["llama"], ("a", "b")).network.eval()
    short, padded = torch.tensor([[5, 6, 7]]), torch.tensor([[5, 6, 7, 0, 0]])
    padded = padded.roll(2, dims=1) if side == "left" else padded
    with torch.no_grad():
        alone = network(short, attention_mask=torch.ones_like(short)).logits
        beside = network(padded, attention_mask=(padded != 0).long()).logits
    torch.testing.assert_close(alone, beside)


def test_weights_are_loaded_in_the_asked_precision(tiny_models):
    network = load_classifier(tiny_models["llama"], ("a", "b"), torch.bfloat16).network
    assert {p.dtype for p in network.parameters()} == {torch.bfloat16}


def test_the_hash_is_that_of_the_weights(tiny_models):
    folder = tiny_models["bert"]
    assert weights_sha256(folder) == sha256(Path(folder) / "model.safetensors")
    assert revision(folder) is None


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("/no/such/folder", "does not exist"),
        ("./folder", "does not exist"),
        ("EMPTY", "holds no config.json"),
        ("CONFIG", "holds no weights"),
    ],
)
def test_a_folder_without_a_model_is_refused(name, told, tmp_path):
    if name in ("EMPTY", "CONFIG"):
        if name == "CONFIG":
            (tmp_path / "config.json").write_text("{}")
        name = str(tmp_path)
    with pytest.raises(UsageError, match=told):
        find_pretrained(name)


def test_a_hub_id_without_a_network_is_one_sentence():
    with pytest.raises(UsageError, match="give the folder of a downloaded model"):
        load_classifier("no-one/no-such-model", ("a", "b"))
