import copy

import pytest
import torch
from torch import nn

from hwlit.adapters.int8_kernels import FLOAT, KERNELS
from hwlit.adapters.kernel_choice import Chooser
from hwlit.adapters.onednn_linear import OneDnnInt4, OneDnnInt8, OneDnnLinear
from hwlit.adapters.rounding import GROUP, in_groups, round_rows, round_weight
from tests.adapters.fake_kernels import Workshop

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


def given(monkeypatch, *kernels):
    """Let all layers multiply by the fastest of these."""
    chooser = Chooser({"cpu": kernels})
    monkeypatch.setattr(OneDnnLinear, "chooser", chooser)
    return chooser


@pytest.mark.parametrize("kernel", KERNELS["cpu"], ids=lambda kernel: kernel.name)
@FORMATS
def test_whatever_kernel_is_chosen_the_bits_are_the_same(format, kernel, monkeypatch):
    probe = Chooser({"cpu": (kernel, FLOAT)}, lambda device: 0.0)
    monkeypatch.setattr(OneDnnLinear, "chooser", probe)
    _, layer = made(format)
    rows = torch.randn(2, 3, 64, requires_grad=True)
    found = layer(rows)
    found.sum().backward()
    gradient, rows.grad = rows.grad, None
    given(monkeypatch, FLOAT)
    wanted = copy.deepcopy(layer)(rows)
    wanted.sum().backward()
    assert torch.equal(found, wanted)
    assert torch.equal(rows.grad, gradient)


@FORMATS
def test_where_integers_are_not_faster_fp32_multiplies_and_it_is_said(format, monkeypatch):
    workshop = Workshop()
    slow, fp32 = workshop.kernel("slow", 2), workshop.kernel("fp32", 1, copied=4)
    monkeypatch.setattr(OneDnnLinear, "chooser", workshop.chooser(slow, fp32))
    assert "(slow tried), so they multiply as fp32" in format.emulated(CPU)
    assert format.facts(CPU, {(64, 32)}) == {"why": format.emulated(CPU)}
    _, layer = made(format)
    assert layer.copy_bytes == 0
    layer(torch.randn(5, 64))
    told = format.facts(CPU, {(64, 32)})
    assert "at 1 of 1 sizes" in told["why"]
    assert [row["kernel"] for row in told["kernels"]] == ["fp32"]
    assert layer.copy_bytes == 4 * 64 * 32


@FORMATS
def test_where_integers_are_faster_nothing_is_emulated(format, monkeypatch):
    workshop = Workshop()
    rows = torch.randn(5, 64)
    few, many = (lambda n, _: n if n < 100 else 9 * n), (lambda n, _: 3 * n)
    kernels = workshop.kernel("few", few), workshop.kernel("many", many, copied=1)
    chooser = workshop.chooser(*kernels, workshop.kernel("fp32", 5))
    monkeypatch.setattr(OneDnnLinear, "chooser", chooser)
    _, layer = made(format)
    layer(rows)
    assert format.emulated(CPU) is None
    assert layer.copy_bytes == 0
    layer(rows.repeat(100, 1))
    told = format.facts(CPU, {(64, 32)})
    assert told["why"] == ""
    assert [row["kernel"] for row in told["kernels"]] == ["few", "many"]
    assert layer.copy_bytes == 64 * 32


@FORMATS
def test_no_rows_give_no_rows(format):
    _, layer = made(format)
    rows = torch.randn(0, 64, requires_grad=True)
    assert layer(rows).shape == (0, 32)
    assert layer(torch.randn(2, 0, 64)).shape == (2, 0, 32)
    layer(rows).sum().backward()
    assert rows.grad.shape == (0, 64)


@pytest.mark.parametrize("kernel", KERNELS["cpu"], ids=lambda kernel: kernel.name)
def test_what_was_packed_in_inference_serves_training_and_new_weights(kernel, monkeypatch):
    given(monkeypatch, kernel)
    _, layer = made(OneDnnInt8())
    rows = torch.randn(3, 64)
    with torch.inference_mode():
        before = layer(rows)
    learning = rows.clone().requires_grad_()
    assert torch.equal(layer(learning), before)
    layer(learning).sum().backward()
    torch.testing.assert_close(learning.grad, layer.dequantized().sum(0).expand(3, -1))
    layer.load_state_dict(OneDnnInt8().quantize(nn.Linear(64, 32), CPU).state_dict())
    assert not torch.equal(layer(rows), before)


@pytest.mark.filterwarnings("ignore")  # torch, about how it traces a gradient of one's own
@pytest.mark.parametrize("kernel", KERNELS["cpu"], ids=lambda kernel: kernel.name)
@FORMATS
def test_a_compiled_layer_computes_the_same(format, kernel, monkeypatch):
    given(monkeypatch, kernel)
    _, layer = made(format)
    rows = torch.randn(3, 64)
    compiled = torch.compile(layer, backend="eager")
    with torch.inference_mode():
        assert torch.equal(compiled(rows), layer(rows))
    learning = [rows.clone().requires_grad_() for _ in range(2)]
    for one, run in zip(learning, (compiled, layer), strict=True):
        run(one).sum().backward()
    assert torch.equal(learning[0].grad, learning[1].grad)


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


@pytest.mark.parametrize("kernel", KERNELS["cpu"], ids=lambda kernel: kernel.name)
@FORMATS
def test_half_precision_in_and_out_but_not_inside(format, kernel, monkeypatch):
    given(monkeypatch, kernel)
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
