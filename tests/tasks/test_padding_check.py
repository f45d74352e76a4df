"""A text has the same logits alone and padded, or the model is refused before it trains."""

import copy

import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BigBirdConfig,
    FNetConfig,
    XLNetConfig,
)

from hwlit.__main__ import main
from hwlit.errors import UsageError
from hwlit.networks.limits import Limits, limits_of
from hwlit.networks.padding import settle_padding
from hwlit.networks.text import load_classifier
from hwlit.tasks.padding_check import padding_remark, padding_share
from tests.networks.test_label_names import MORE, SIZES

OTHERS = {
    "bigbird": BigBirdConfig(
        vocab_size=32, intermediate_size=64, pad_token_id=0, block_size=4, num_random_blocks=1,
        max_position_embeddings=64, **SIZES,
    ),
    "fnet": FNetConfig(
        vocab_size=32, hidden_size=32, num_hidden_layers=2, intermediate_size=64, pad_token_id=0
    ),
    "xlnet": XLNetConfig(vocab_size=32, d_model=32, n_layer=2, n_head=2, d_inner=64),
}  # fmt: skip


def made(kind):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForSequenceClassification.from_config((MORE | OTHERS)[kind])


@pytest.mark.parametrize("kind", ["bert", "distilbert", "roberta", "llama"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_usual_networks_pass_and_are_left_as_they_were(kind, dtype, tiny_models):
    loaded = load_classifier(tiny_models[kind], ("a", "b"), dtype)
    before = copy.deepcopy(loaded.network.state_dict())
    drawn = torch.random.get_rng_state()
    share = padding_share(loaded.network, loaded.tokenizer, loaded.limits, kind)
    assert padding_remark(share, dtype) is None
    assert torch.equal(drawn, torch.random.get_rng_state())
    assert all(module.training for module in loaded.network.modules())
    assert all(torch.equal(t, before[n]) for n, t in loaded.network.state_dict().items())


@pytest.mark.parametrize("kind", ["t5", "modernbert", "bigbird"])
def test_further_families_pass(kind, tiny_tokenizer):
    network = made(kind)
    share = padding_share(network, tiny_tokenizer, limits_of(network), kind)
    assert padding_remark(share, torch.float32) is None


def test_a_short_text_does_not_change_what_a_network_is(tiny_tokenizer):
    network = made("bigbird")
    padding_share(network, tiny_tokenizer, limits_of(network), "bigbird")
    assert network.bert.attention_type == "block_sparse"


def test_a_network_without_a_mask_is_told_and_not_refused(tiny_tokenizer):
    share = padding_share(made("fnet"), tiny_tokenizer, Limits(32, None), "fnet")
    assert "depend on the texts beside" in padding_remark(share, torch.float32)


def test_the_last_place_is_read_right_with_padding_on_the_left(tiny_tokenizer, tmp_path):
    network, tokenizer = made("xlnet"), copy.deepcopy(tiny_tokenizer)
    with pytest.raises(UsageError, match="other logits alone than padded"):
        padding_share(network, tokenizer, limits_of(network), "mine")
    settle_padding(tokenizer, "mine", tmp_path, network.config, lambda: network)
    share = padding_share(network, tokenizer, limits_of(network), "mine")
    assert padding_remark(share, torch.float32) is None
    tokenizer.save_pretrained(tmp_path)
    assert '"padding_side": "left"' in (tmp_path / "tokenizer_config.json").read_text()


def test_another_padding_token_is_refused_in_one_sentence(tiny_models):
    loaded = load_classifier(tiny_models["llama"], ("a", "b"))
    loaded.network.config.pad_token_id = 3
    with pytest.raises(UsageError, match="mine gives a text other logits alone than padded"):
        padding_share(loaded.network, loaded.tokenizer, loaded.limits, "mine")
    loaded.network.config.pad_token_id = None
    with pytest.raises(UsageError, match="mine cannot read 4 tokens padded beside 11"):
        padding_share(loaded.network, loaded.tokenizer, loaded.limits, "mine")


@pytest.mark.parametrize("error", [RuntimeError, AttributeError, TypeError, KeyError])
def test_a_network_that_cannot_read_is_refused_in_one_sentence(error, tiny_models, monkeypatch):
    loaded = load_classifier(tiny_models["bert"], ("a", "b"))

    def fail(*args, **kwargs):
        raise error("no such thing")

    monkeypatch.setattr("hwlit.tasks.padding_check._logits", fail)
    given = (loaded.tokenizer, loaded.limits, "mine")
    with pytest.raises(UsageError, match=rf"mine cannot read .*{error.__name__}: .*no such thing"):
        padding_share(loaded.network, *given)
    if error is RuntimeError:  # "not implemented for 'Half'"
        assert padding_share(loaded.network.half(), *given) == 0


def test_numbers_that_are_not_finite_are_left_to_training(tiny_models):
    loaded = load_classifier(tiny_models["bert"], ("a", "b"))
    nn.init.constant_(loaded.network.classifier.weight, float("nan"))
    assert padding_share(loaded.network, loaded.tokenizer, loaded.limits, "mine") == 0


def test_a_fit_is_refused_before_it_trains(tiny_fit, tiny_models, tmp_path, capsys, monkeypatch):
    """And `check` says the same."""
    monkeypatch.setattr("hwlit.tasks.padding_check.LARGEST_SHARE", -1.0)
    assert main([*tiny_fit, "--model.pretrained", tiny_models["llama"]]) == 2
    assert not (tmp_path / "run").exists()
    assert main(["check", *tiny_fit[1:], "--model.pretrained", tiny_models["llama"]]) == 2
    assert capsys.readouterr().err.count("other logits alone than padded") >= 2
