import copy

import pytest
import torch
from torch import nn

from hwlit.adapters.bitfit import BitFit
from hwlit.adapters.chain import Chain
from hwlit.adapters.lora import Lora
from hwlit.adapters.onednn_linear import OneDnnLinear
from hwlit.adapters.qat import Qat, RoundedLinear
from hwlit.adapters.rounding import round_rows, round_weight
from hwlit.errors import UsageError
from hwlit.tasks.text_classification import TextClassification

CHAIN = Chain(adapters={"lora": Lora(rank=4), "qat": Qat(bits=4, frozen=True)})
BATCH = {
    "input_ids": torch.arange(4, 28).view(2, 12),
    "attention_mask": torch.ones(2, 12, dtype=torch.long),
    "labels": torch.tensor([0, 1]),
}


def trained(adapter, folder, steps=3):
    task = TextClassification(adapter=adapter, pretrained=folder, seed=1)
    task.configure_model()
    learned = [p for p in task.network.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(learned, lr=0.5)
    for _ in range(steps):
        loss = nn.functional.cross_entropy(task(BATCH), BATCH["labels"])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return task.eval()


@pytest.mark.parametrize(
    "adapter", [Qat(bits=8), Qat(bits=4), CHAIN], ids=["int8", "int4", "after-lora"]
)
@pytest.mark.parametrize("kind", ["bert", "llama"])
def test_the_converted_network_is_the_trained_one_bit_for_bit(adapter, kind, tiny_models):
    task = trained(adapter, tiny_models[kind])
    with torch.no_grad():
        before = task(BATCH)
        task.on_test_start()
        assert any(isinstance(module, OneDnnLinear) for module in task.used.modules())
        assert not any(isinstance(module, RoundedLinear) for module in task.used.modules())
        assert torch.equal(task(BATCH), before)
        task.on_test_end()
    assert task.used is task.network
    assert task.adapter_facts()["converts_to"]["kernels"]


def test_the_gradient_goes_straight_through():
    torch.manual_seed(0)
    linear, rows = nn.Linear(32, 8), torch.randn(5, 32, requires_grad=True)
    layer = RoundedLinear(linear, 8)
    out = layer(rows)
    gradient = torch.randn_like(out)
    out.backward(gradient)
    integers, row_scale = round_rows(rows.detach())
    rounded = round_weight(linear.weight.detach(), 8)
    values = rounded.values * rounded.scale.unsqueeze(-1)
    torch.testing.assert_close(rows.grad, gradient @ values)
    torch.testing.assert_close(linear.weight.grad, gradient.t() @ (integers * row_scale))
    torch.testing.assert_close(linear.bias.grad, gradient.sum(0))
    torch.testing.assert_close(out, (integers * row_scale) @ values.t() + linear.bias)


def test_heads_are_left_alone_and_everything_learns(tiny_models):
    task = trained(Qat(), tiny_models["distilbert"], steps=0)
    assert type(task.network.classifier) is nn.Linear
    assert all(p.requires_grad for p in task.network.parameters())


def test_after_lora_the_weights_stay_and_every_factor_learns(tiny_models):
    before = trained(CHAIN, tiny_models["bert"], steps=0)
    weights = {n: p.clone() for n, p in before.network.named_parameters() if not p.requires_grad}
    after = trained(CHAIN, tiny_models["bert"])
    assert all(torch.equal(after.network.get_parameter(n), p) for n, p in weights.items())
    factors = {n: p for n, p in after.network.named_parameters() if ".lora_B." in n}
    assert factors
    assert all(bool(p.any()) for p in factors.values())


def test_merging_a_copy_leaves_the_trained_network(tiny_models):
    task = trained(Qat(bits=4), tiny_models["bert"])
    copied = copy.deepcopy(task.network)
    task.adapter.merge(copied)
    assert any(isinstance(module, RoundedLinear) for module in task.network.modules())


@pytest.mark.parametrize("lora", [Lora(dropout=0.1), Lora(dora=True)], ids=["dropout", "dora"])
def test_what_is_no_sum_of_matrices_is_refused(lora, tiny_models):
    chain = Chain(adapters={"lora": lora, "qat": Qat(frozen=True)})
    with pytest.raises(UsageError, match="plain LoRA without dropout"):
        trained(chain, tiny_models["bert"], steps=0)


def test_biases_can_learn_below_the_rounding(tiny_models):
    chain = Chain(adapters={"bitfit": BitFit(), "qat": Qat(frozen=True)})
    task = trained(chain, tiny_models["bert"])
    assert task.network.get_parameter("bert.encoder.layer.0.output.dense.base_layer.bias").any()


def test_other_widths_are_refused():
    with pytest.raises(UsageError, match="bits must be 8 or 4"):
        Qat(bits=3)
