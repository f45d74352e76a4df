import copy

import pytest
import torch
from torch import nn

from hwlit.adapters import onednn_linear
from hwlit.adapters.onednn_linear import OneDnnInt4, OneDnnInt8, fast_on_cpu
from hwlit.adapters.rounding import (
    GROUP,
    Rounded,
    float_product,
    in_groups,
    round_rows,
    round_weight,
)

CPU = torch.device("cpu")
FORMATS = pytest.mark.parametrize("format", [OneDnnInt8(), OneDnnInt4()], ids=lambda f: f.name)
SIDES = pytest.mark.parametrize("sides", [(64, 32), (50, 7), (1, 3), (384, 96)])


def made(format, sides=(64, 32), bias=True):
    torch.manual_seed(0)
    linear = nn.Linear(*sides, bias=bias).requires_grad_(False)
    return linear, format.quantize(linear, CPU)


@SIDES
@FORMATS
def test_no_weight_is_off_by_more_than_half_a_step(format, sides):
    linear, layer = made(format, sides)
    step = layer.scale.unsqueeze(-1)
    if format.bits == 4:
        groups = layer.groups.repeat_interleave(GROUP, dim=1)[:, : sides[0]]
        step = step * groups
    off = (layer.dequantized() - linear.weight).abs()
    assert bool((off <= step * 0.5001).all())


def test_weights_of_four_bits_have_fifteen_values_a_group():
    rounded = round_weight(torch.randn(8, 100), 4)
    whole = in_groups(rounded.values) / rounded.groups.unsqueeze(-1)
    assert torch.equal(whole, whole.round())
    assert float(whole.abs().max()) == 7
    assert float(rounded.values.abs().max()) <= 126


@SIDES
@FORMATS
def test_the_product_of_integers_is_exact(format, sides):
    _, layer = made(format, sides)
    integers = torch.randint(-127, 128, (5, sides[0])).float()
    wanted = (integers.double() @ layer.weight.double().t()).float() * layer.scale
    assert torch.equal(layer.product(integers), wanted)


@FORMATS
def test_a_processor_without_the_instructions_gives_the_same_bits(format, monkeypatch):
    _, layer = made(format)
    rows = torch.randn(2, 3, 64)
    fast = layer(rows)
    monkeypatch.setattr(onednn_linear, "fast_on_cpu", lambda: False)
    assert torch.equal(layer(rows), fast)
    assert "VNNI" in format.emulated(CPU)


def test_saturating_processors_are_found_out(monkeypatch):
    def saturating(integers, packed, zeros, scale):
        return float_product(integers, Rounded(packed, scale)).clamp(-32768, 32767)

    monkeypatch.setattr(torch.ops.onednn, "qlinear_prepack", lambda weight, _: weight.float())
    monkeypatch.setattr(onednn_linear, "_onednn_product", saturating)
    fast_on_cpu.cache_clear()
    assert not fast_on_cpu()
    fast_on_cpu.cache_clear()


@FORMATS
def test_a_row_does_not_depend_on_its_batch(format):
    _, layer = made(format)
    rows = torch.randn(6, 64) * torch.tensor([[1e-3], [1], [1e3], [1], [0], [5]])
    assert torch.equal(layer(rows), torch.cat([layer(row) for row in rows.split(1)]))
    assert torch.equal(layer(rows)[4], layer.bias)


@FORMATS
def test_the_state_holds_all_and_four_bits_are_four(format, tmp_path):
    _, layer = made(format, (50, 7))
    rows = torch.randn(3, 50)
    state = layer.state_dict()
    bits = 8 * state["weight"].numel() / (7 * (64 if format.bits == 4 else 50))
    assert bits == format.bits
    torch.save(state, tmp_path / "state")
    back = format.restore(nn.Linear(50, 7), torch.load(tmp_path / "state", weights_only=True))
    assert torch.equal(back(rows), layer(rows))
    assert torch.equal(copy.deepcopy(layer)(rows), layer(rows))


@FORMATS
def test_the_gradient_is_that_of_the_dequantised_layer(format):
    _, layer = made(format)
    rows = torch.randn(4, 64, requires_grad=True)
    layer(rows).square().sum().backward()
    wanted = 2 * layer(rows).detach() @ layer.dequantized()
    torch.testing.assert_close(rows.grad, wanted)
    assert layer.weight.grad is None


@FORMATS
def test_half_precision_in_and_out_but_not_inside(format):
    _, layer = made(format)
    rows = torch.randn(4, 64).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(rows)
    assert torch.equal(found, layer(rows.float()).bfloat16())
    layer.to(torch.bfloat16)
    assert layer.scale.dtype == torch.float32


def test_inputs_are_rounded_by_their_largest():
    integers, scale = round_rows(torch.tensor([[0.5, -1.0, 0.25]]))
    torch.testing.assert_close(integers, torch.tensor([[63.5, -127, 31.75]]), atol=0.51, rtol=0)
    assert torch.equal(integers, integers.round())
    torch.testing.assert_close(scale, torch.tensor([[1 / 127]]))


@FORMATS
def test_dequantising_gives_back_a_plain_layer(format):
    linear, layer = made(format)
    plain = format.dequantize(layer)
    assert type(plain) is nn.Linear
    assert torch.equal(plain.weight, layer.dequantized())
    assert torch.equal(plain.bias, linear.bias)
    again = format.quantize(plain, CPU)
    torch.testing.assert_close(again.dequantized(), layer.dequantized())
