import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from hwlit.adapters.bitsandbytes_linear import FP4, NF4, Int8
from hwlit.adapters.formats import Bf16, Format, Fp32
from hwlit.adapters.quantized import KNOWN, dequantize
from hwlit.adapters.torchao_linear import Int4WeightOnly, Int8Dynamic, Int8WeightOnly
from hwlit.errors import UsageError

pytest.importorskip("bitsandbytes", reason='pip install "hwlit[qlora]"')
pytest.importorskip("torchao", reason='pip install "hwlit[qlora]"')

CPU = torch.device("cpu")
# The error of an output relative to its norm, for normal weights. Rounding to the nearest of 2^b
# levels over +-m sigma gives m / (sqrt(3) (2^b - 1)): 0.0079 for 8 bits with the largest of 128 at
# 2.8 sigma over 255 levels; inputs in int8 add as much. NF4: 0.091 by quantiles of blocks of 64
# (Dettmers et al. 2023), FP4 worse; int4 with groups of 32 between, for it has a zero point too.
BOUNDS = [
    (NF4(), 0.08, 0.11),
    (NF4(double_quantization=False), 0.08, 0.11),
    (FP4(), 0.09, 0.14),
    (Int8(), 0.004, 0.016),
    (Int8WeightOnly(), 0.003, 0.010),
    (Int8Dynamic(), 0.005, 0.016),
    (Int4WeightOnly(), 0.05, 0.11),
    (Bf16(), 0.001, 0.005),
    (Fp32(), 0.0, 1e-6),
]
ALL = [case[0] for case in BOUNDS]


def by_name(value):
    return value.name if isinstance(value, Format) else ""


@pytest.fixture
def linear():
    torch.manual_seed(0)
    layer = nn.Linear(128, 96)
    nn.init.normal_(layer.weight, std=0.05)
    return layer.requires_grad_(False)


@pytest.fixture
def batch():
    return torch.randn(64, 128, generator=torch.Generator().manual_seed(1))


def relative(found, wanted):
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(("form", "least", "most"), BOUNDS, ids=by_name)
def test_outputs_are_off_by_what_the_format_rounds(form, least, most, linear, batch):
    layer = form.quantize(copy.deepcopy(linear), CPU).eval()
    bare = functional.linear(batch, linear.weight)
    with torch.inference_mode():
        off = relative(layer(batch) - linear.bias, bare)
    assert least <= off <= most
    assert not any(parameter.requires_grad for parameter in layer.parameters())


@pytest.mark.parametrize("form", ALL, ids=by_name)
def test_dequantised_it_computes_the_same_plainly(form, linear, batch):
    layer = form.quantize(copy.deepcopy(linear), CPU).eval()
    plain = form.dequantize(layer)
    assert type(plain) is nn.Linear
    assert plain.weight.dtype == torch.float32
    exact = {"int8": 0.016, "int8_dynamic": 0.016, "bf16": 0.005}.get(form.name, 1e-5)
    assert relative(plain(batch), layer(batch)) < exact


@pytest.mark.parametrize("form", [f for f in ALL if f.trains], ids=by_name)
def test_the_gradient_after_an_evaluation_is_that_of_the_dequantised_layer(form, linear, batch):
    """On CPUs with AVX512-BF16 the first evaluation of bitsandbytes repacks 4-bit weights for a
    kernel without a gradient; the input's is then 0 ever after."""
    layer = form.quantize(copy.deepcopy(linear), CPU)
    plain = form.dequantize(layer)
    layer.eval()
    with torch.no_grad():
        layer(batch)
    layer.train()
    batch.requires_grad_()
    found, wanted = (
        torch.autograd.grad(each(batch).square().sum(), batch)[0] for each in (layer, plain)
    )
    assert relative(found, wanted) < (0.01 if form.name == "bf16" else 1e-5)


@pytest.mark.parametrize("form", [*KNOWN, Int8Dynamic()], ids=by_name)
def test_a_network_is_dequantised_wherever_its_layers_come_from(form, linear):
    network = nn.Sequential(nn.Sequential(form.quantize(copy.deepcopy(linear), CPU)))
    dequantize(network)
    assert [type(module) for module in network.modules()][2:] == [nn.Linear]


@pytest.mark.parametrize("form", [NF4(), Int8()], ids=by_name)
def test_it_moves_with_the_network_that_holds_it(form, linear, batch):
    """bitsandbytes leaves the scales of 8-bit layers behind once they have been called."""
    network = nn.Sequential(form.quantize(linear, CPU)).eval()
    before = network(batch)
    moved = []

    def move(tensor):
        moved.append(tensor)
        return tensor.clone()

    network._apply(move)
    assert torch.equal(network(batch), before)
    if form.name == "int8":
        assert any(tensor.shape == (96,) and tensor is not linear.bias for tensor in moved)


def test_a_format_tells_why_a_device_cannot_do_it(monkeypatch):
    assert all(form.unsupported(CPU) is None for form in ALL)
    assert "bitsandbytes fails on meta" in NF4().unsupported(torch.device("meta"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "torchao is not installed: pip install" in Int8WeightOnly().unsupported(CPU)


def test_a_back_end_that_computes_nonsense_or_has_no_gradient_is_not_taken(monkeypatch):
    monkeypatch.setattr(Bf16, "quantize", lambda self, linear, device: nn.Identity())
    assert "off by" in Bf16().unsupported(CPU)
    monkeypatch.setattr(Bf16, "quantize", Int8Dynamic.quantize.__get__(Int8Dynamic()))
    assert "fails" in Bf16().unsupported(CPU) or "gradient" in Bf16().unsupported(CPU)


def test_trying_a_format_draws_no_random_numbers():
    before = torch.get_rng_state()
    for form in ALL:
        form.unsupported(CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_shape_that_does_not_divide_is_refused():
    with pytest.raises(UsageError, match=r"int4_weight_only takes no layer of 8 x 40; narrow"):
        Int4WeightOnly().quantize(nn.Linear(40, 8), CPU)
