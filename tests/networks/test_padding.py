"""Tokenizer and network pad with the same token, on the side that the network reads right."""

import json
import shutil

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    ByT5Tokenizer,
    CanineConfig,
    CanineTokenizer,
    PerceiverConfig,
    PerceiverTokenizer,
    RobertaConfig,
    RobertaForSequenceClassification,
    T5Config,
)

from hwlit.errors import UsageError
from hwlit.networks.text import load_classifier, load_tokenizer
from hwlit.tasks.padding_check import padding_share
from tests.networks.test_label_names import SIZES

BYTES = {
    "canine": (
        CanineConfig(
            intermediate_size=64, max_position_embeddings=64, num_hash_buckets=64, **SIZES
        ), CanineTokenizer(),
    ),
    "perceiver": (
        PerceiverConfig(
            num_latents=4, d_latents=16, d_model=16, num_blocks=1, num_self_attends_per_block=1,
            num_self_attention_heads=2, num_cross_attention_heads=2, max_position_embeddings=64,
        ), PerceiverTokenizer(),
    ),
    "byt5": (
        T5Config(
            vocab_size=384, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
            decoder_start_token_id=0,
        ), ByT5Tokenizer(),
    ),
}  # fmt: skip


def changed(folder, to, file, **values):
    """Copy a model's folder with other values in one of its files."""
    shutil.copytree(folder, to, dirs_exist_ok=True)
    found = json.loads((to / file).read_text())
    (to / file).write_text(json.dumps(found | values))
    return str(to)


@pytest.mark.parametrize("told", [3, 0, -1, 32, 10**6, None])
def test_the_network_gets_the_token_of_its_tokenizer(told, tiny_models, tmp_path):
    """Also in place of one that is no token at all."""
    name = changed(tiny_models["llama"], tmp_path / "model", "config.json", pad_token_id=told)
    loaded = load_classifier(name, ("a", "b"))
    assert loaded.network.config.pad_token_id == loaded.tokenizer.pad_token_id == 0
    assert [r for r in loaded.remarks if r.startswith("padding")] == (
        [] if told in (0, None)
        else [f"padding: the model's config has token {told}, its tokenizer pads with token 0 "
              "([PAD]), which both have now"]
    )  # fmt: skip
    short, padded = torch.tensor([[5, 6, 7]]), torch.tensor([[5, 6, 7, 0, 0]])
    with torch.no_grad():
        alone = loaded.network.eval()(short).logits
        beside = loaded.network(padded, attention_mask=(padded != 0).long()).logits
    torch.testing.assert_close(alone, beside)


def roberta(tiny_tokenizer, folder, pad):
    config = RobertaConfig(
        vocab_size=32, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=42, pad_token_id=pad,
    )  # fmt: skip
    with torch.random.fork_rng():
        RobertaForSequenceClassification(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return str(folder)


def test_a_network_that_counts_by_padding_keeps_its_token(tiny_tokenizer, tmp_path):
    """Positions were learned so; the tokenizer pads with that one."""
    name = roberta(tiny_tokenizer, tmp_path, 3)  # [UNK]
    loaded = load_classifier(name, ("a", "b"))
    assert loaded.network.config.pad_token_id == loaded.tokenizer.pad_token_id == 3


def test_a_network_that_counts_by_padding_is_never_without_a_token(tiny_tokenizer, tmp_path):
    roberta(tiny_tokenizer, tmp_path / "whole", 0)
    name = changed(tmp_path / "whole", tmp_path / "null", "config.json", pad_token_id=None)
    loaded = load_classifier(name, ("a", "b"))
    assert loaded.network.roberta.embeddings.position_embeddings.padding_idx == 0
    loaded.network(torch.tensor([[5, 6, 7]]))


@pytest.mark.parametrize("kind", BYTES)
def test_networks_that_read_bytes_or_characters_bring_no_vocabulary(kind, tmp_path):
    config, tokenizer = BYTES[kind]
    with torch.random.fork_rng():
        AutoModelForSequenceClassification.from_config(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_classifier(str(tmp_path), ("a", "b"))
    assert loaded.network.config.pad_token_id == loaded.tokenizer.pad_token_id == 0
    assert padding_share(loaded.network, loaded.tokenizer, loaded.limits, kind) < 1e-4


@pytest.mark.parametrize(("pad", "word"), [(1, "[CLS]"), (6, "flood")])
def test_a_word_of_texts_cannot_pad(pad, word, tiny_tokenizer, tmp_path):
    name = roberta(tiny_tokenizer, tmp_path, pad)
    with pytest.raises(UsageError) as told:
        load_tokenizer(name)
    assert repr(word) in str(told.value)
    assert f"takes token {pad} for padding" in str(told.value)


@pytest.mark.parametrize("ids", [{"no": 0, "yes": 1}, ["no", "yes"], "no", 3])
def test_a_config_that_numbers_no_classes_is_named(ids, tiny_models, tmp_path):
    name = changed(tiny_models["bert"], tmp_path / "model", "config.json", id2label=ids)
    with pytest.raises(UsageError, match=r"config\.json of .* has the id2label .*correct it"):
        load_tokenizer(name)


def test_the_side_of_padding_is_exported(tiny_models, tmp_path):
    """GPT-2 counts positions from the left: padded there, it reads other ones."""
    name = changed(
        tiny_models["bert"], tmp_path / "model", "tokenizer_config.json", padding_side="left"
    )
    load_tokenizer(name).save_pretrained(tmp_path / "export")
    assert AutoTokenizer.from_pretrained(tmp_path / "export").padding_side == "right"
