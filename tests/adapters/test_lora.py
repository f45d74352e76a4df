import pytest
import torch
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    LlamaConfig,
)
from transformers.pytorch_utils import Conv1D

from hwlit.adapters.base import NoSiteError, unfreeze
from hwlit.adapters.frozen import Frozen
from hwlit.adapters.lora import Lora
from hwlit.errors import UsageError
from hwlit.networks.text import find_heads

# https://huggingface.co/meta-llama/Llama-3.2-1B/blob/main/config.json
LLAMA_1B = LlamaConfig(
    hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
    num_key_value_heads=8, head_dim=64, vocab_size=128256, tie_word_embeddings=True, num_labels=2,
)  # fmt: skip
SEVEN = tuple(f"*.{name}_proj" for name in ("q", "k", "v", "o", "gate", "up", "down"))


def on_meta(config, biased_head=False):
    with torch.device("meta"):
        network = AutoModelForSequenceClassification.from_config(config)
        if biased_head:  # the Llama study's own head; the stock one has no bias
            network.score = torch.nn.Linear(2048, 2)
    return network


def counts(network, adapter):
    """Parameters of the adapter alone, with the heads, and of the whole network."""
    adapter.attach(network)
    alone = sum(p.numel() for p in network.parameters() if p.requires_grad)
    unfreeze(network, find_heads(network))
    sizes = [(p.numel(), p.requires_grad) for p in network.parameters()]
    return alone, sum(n for n, learns in sizes if learns), sum(n for n, _ in sizes)


@pytest.mark.parametrize(
    ("config", "alone", "head"),
    [
        (BertConfig(), 294_912, 1_538),
        (DistilBertConfig(), 147_456, 592_130),
        (LLAMA_1B, 851_968, 4_096),
    ],
    ids=["bert-base", "distilbert", "llama-3.2-1b"],
)
def test_query_and_value_of_rank_8(config, alone, head):
    found = counts(on_meta(config), Lora(rank=8))
    assert found[:2] == (alone, alone + head)


def test_llama_study_lora():
    network = on_meta(LLAMA_1B, biased_head=True)
    found = counts(network, Lora(rank=16, targets=SEVEN))
    assert found == (11_272_192, 11_276_290, 1_247_090_690)


def test_llama_study_baseline():
    network = on_meta(LLAMA_1B, biased_head=True)
    _, learning, total = counts(network, Frozen(layers=12, embeddings=False))
    assert (learning, total) == (505_960_450, 1_235_818_498)


def test_one_of_two_targets_that_matches_nothing_is_refused():
    with pytest.raises(NoSiteError, match=r"q_line.*nearest are '\*.q_lin'"):
        Lora(targets=("*.v_lin", "*.q_line")).sites(on_meta(DistilBertConfig()))


def test_rank_above_the_layer_is_refused():
    with pytest.raises(UsageError, match=r"rank is 769, but .*q_lin is only 768 wide"):
        Lora(rank=769).attach(on_meta(DistilBertConfig()))


@pytest.mark.parametrize(
    ("layer", "width"),
    [
        (nn.Conv2d(4, 64, 3), 36),
        (nn.Conv2d(64, 4, 3), 4),
        (nn.Conv2d(4, 320, (3, 1)), 12),
        (nn.Conv1d(6, 40, 5), 30),
        (nn.Conv2d(16, 16, 3, groups=16), 16),
        (nn.Conv2d(2, 40, 1, groups=2), 4),
        (Conv1D(7, 5), 5),
        (nn.Embedding(9, 6), 6),
    ],
    ids=str,
)
def test_the_rank_goes_up_to_that_of_the_layer_s_matrix(layer, width):
    network = nn.Sequential(layer)
    with pytest.raises(UsageError, match=f"rank is {width + 1}, but 0 is only {width} wide"):
        Lora(rank=width + 1, targets=("0",)).attach(network)
    Lora(rank=width, targets=("0",)).attach(network)


@pytest.mark.parametrize(
    "wrong",
    [{"rank": 0}, {"alpha": 0}, {"dropout": 1.0}, {"dropout": -0.1}, {"learning_rate": 0.0}],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Lora(**wrong)


def test_the_update_is_alpha_over_rank_times_b_a():
    network = torch.nn.Sequential(torch.nn.Linear(6, 5))
    adapter = Lora(rank=2, alpha=6, targets=("0",))
    weight = network[0].weight.detach().clone()
    adapter.attach(network)
    with torch.no_grad():
        network[0].lora_B["default"].weight.normal_()
    a, b = network[0].lora_A["default"].weight, network[0].lora_B["default"].weight
    expected = weight + 6 / 2 * b @ a
    adapter.merge(network)
    torch.testing.assert_close(network[0].weight, expected)


def test_rslora_scales_by_the_root_of_the_rank():
    network = torch.nn.Sequential(torch.nn.Linear(6, 5))
    Lora(rank=4, alpha=6, rslora=True, targets=("0",)).attach(network)
    assert network[0].scaling["default"] == 6 / 4**0.5


def test_dora_learns_one_length_per_output():
    found = counts(on_meta(BertConfig()), Lora(rank=8, dora=True))
    assert found[0] == 294_912 + 24 * 768


def test_pissa_starts_from_the_principal_directions():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(6, 5))
    weight = network[0].weight.detach().clone()
    Lora(rank=2, alpha=6, pissa=True, targets=("0",)).attach(network)
    u, s, v = torch.linalg.svd(weight)
    layer = network[0]
    update = 3 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    torch.testing.assert_close(update, u[:, :2] @ s[:2].diag() @ v[:2])
    torch.testing.assert_close(layer.base_layer.weight + update, weight)


def test_pissa_is_refused_where_there_is_no_matrix_to_split():
    network = on_meta(BertConfig())
    with pytest.raises(UsageError, match="word_embeddings is none; narrow the targets"):
        Lora(pissa=True, targets=("*.word_embeddings",)).attach(network)
