"""What the logits of a network depend on."""

import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BigBirdConfig

from hwlit.networks.reached import reached

SIZES = {
    "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16,
}  # fmt: skip


@pytest.mark.parametrize(("config", "read"), [(BertConfig, True), (BigBirdConfig, False)])
def test_a_pooler_that_is_passed_over_is_told_apart(config, read):
    network = AutoModelForSequenceClassification.from_config(config(**SIZES))
    names = [name for name, _ in network.named_parameters() if "pooler" in name]
    weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    torch.manual_seed(0)
    found = reached(network, names)
    assert found == (tuple(names) if read else ())
    assert torch.initial_seed() == 0
    assert torch.equal(torch.rand(3), torch.rand(3, generator=torch.Generator().manual_seed(0)))
    assert all(parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in network.state_dict().items())


def test_what_cannot_be_tried_counts_as_read():
    network = AutoModelForSequenceClassification.from_config(BertConfig(**SIZES))
    network.requires_grad_(False)
    assert reached(network, ["bert.pooler.dense.bias"]) == ("bert.pooler.dense.bias",)
