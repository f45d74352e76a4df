"""How many tokens and positions a network has."""

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    CanineConfig,
    GPT2Config,
    GPTJConfig,
    IBertConfig,
    MPNetConfig,
    OPTConfig,
    PerceiverConfig,
)

from hwlit.errors import UsageError
from hwlit.networks.limits import Limits, limits_of
from hwlit.networks.text import load_classifier, load_tokenizer
from tests.conftest import CONFIGS
from tests.networks.test_label_names import MORE, SIZES

OTHERS = {
    "mpnet": MPNetConfig(
        vocab_size=32, max_position_embeddings=42, pad_token_id=1, intermediate_size=64, **SIZES
    ),
    "opt": OPTConfig(
        vocab_size=32, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, ffn_dim=64,
        max_position_embeddings=40, word_embed_proj_dim=32,
    ),
    "perceiver": PerceiverConfig(
        vocab_size=32, num_latents=4, d_latents=16, d_model=16, num_blocks=1,
        num_self_attends_per_block=1, num_self_attention_heads=2, num_cross_attention_heads=2,
        max_position_embeddings=40,
    ),
    "ibert": IBertConfig(
        vocab_size=32, max_position_embeddings=42, pad_token_id=1, intermediate_size=64, **SIZES
    ),
    "canine": CanineConfig(
        intermediate_size=64, max_position_embeddings=40, num_hash_buckets=64, **SIZES
    ),
    "gpt2": GPT2Config(vocab_size=32, n_positions=40, n_embd=32, n_layer=1, n_head=2),
    "gptj": GPTJConfig(
        vocab_size=32, n_positions=40, n_embd=32, n_layer=1, n_head=2, rotary_dim=8
    ),
}  # fmt: skip
# RoBERTa of these tests pads with token 0, and begins to count at place 1.
PLACES = {"bert": 40, "distilbert": 40, "roberta": 41, "mpnet": 40, "opt": 40, "gpt2": 40}
PLACES |= {
    "ibert": 40,
    "perceiver": 40,
    "canine": 40,
    "gptj": 40,
    "llama": None,
    "t5": None,
    "modernbert": None,
}


@pytest.mark.parametrize("kind", PLACES)
def test_positions_are_those_that_can_be_used(kind):
    config = (CONFIGS | MORE | OTHERS)[kind]
    with torch.random.fork_rng():
        network = AutoModelForSequenceClassification.from_config(config).eval()
    limits = limits_of(network)
    assert limits == Limits(None if kind == "canine" else 32, PLACES[kind])
    if limits.positions is not None:
        ids = torch.full((1, limits.positions + 1), 5)
        ids[:, -1] = 2
        mask = torch.ones_like(ids)
        with torch.no_grad():
            network(ids[:, :-1], attention_mask=mask[:, :-1])
            with pytest.raises((IndexError, RuntimeError)):
                network(ids, attention_mask=mask)


def test_fewer_positions_than_asked_name_both_and_the_flag():
    Limits(32, 64).check_length("mine", 64)
    Limits(32, None).check_length("mine", 10**6)
    with pytest.raises(UsageError, match=r"max_length is 100, but mine has 64 positions"):
        Limits(32, 64).check_length("mine", 100)


def test_a_token_that_is_used_must_have_a_row(tiny_models, tmp_path):
    network = load_classifier(tiny_models["bert"], ("a", "b")).network
    network.save_pretrained(tmp_path)
    tokenizer = load_tokenizer(tiny_models["bert"])
    words = len(tokenizer)
    tokenizer.add_tokens([f"w{i}" for i in range(32 - words)])
    tokenizer.add_tokens(["<picture>"], special_tokens=True)  # token 32, which no text has
    tokenizer.save_pretrained(tmp_path)
    loaded = load_classifier(str(tmp_path), ("a", "b"))
    with pytest.raises(UsageError, match=r"token 32 \('<picture>'\).* 32 rows, from 0 to 31"):
        loaded.limits.check("mine", loaded.tokenizer, [7, 32])
    tokenizer.add_special_tokens({"pad_token": "<picture>"})
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"token 32 \('<picture>'\)"):
        load_classifier(str(tmp_path), ("a", "b"))
