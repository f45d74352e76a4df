import copy

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from hwlit.callbacks.flop_counter import FORMULAS, FlopCounter


def step(network, rows):
    """Return the gradients of a step with dropout."""
    torch.manual_seed(3)
    loss = functional.dropout(network(rows), 0.5).square().mean()
    loss.backward()
    return [p.grad for p in network.parameters() if p.grad is not None]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 4))


def test_a_step_is_counted_as_torch_counts_it_and_no_bit_changes(network):
    rows, twin = torch.randn(5, 8), copy.deepcopy(network)
    with FlopCounter() as counter:
        counted = step(network, rows)
    with FlopCounterMode(display=False) as stock:
        plain = step(twin, rows)
    # Forward, gradients of both weights, and of the hidden rows.
    assert counter.flops == {"float32": 2 * 5 * (2 * 8 * 16 + 3 * 16 * 4)}
    assert stock.get_total_flops() == counter.flops["float32"]
    assert not counter.unknown
    assert all(map(torch.equal, counted, plain))


def test_what_does_not_learn_takes_no_gradient(network):
    network[0].requires_grad_(False)
    with FlopCounter() as counter:
        step(network, torch.randn(5, 8))
    assert counter.flops["float32"] == 2 * 5 * (8 * 16 + 2 * 16 * 4)


@pytest.mark.parametrize("length", [7, 64])
def test_attention_on_a_processor_is_counted(length):
    query, key, value = (torch.randn(2, 3, length, 16, requires_grad=True) for _ in range(3))
    with FlopCounter() as counter:
        functional.scaled_dot_product_attention(query, key, value).sum().backward()
    product = 2 * 2 * 3 * length * length * 16
    assert counter.flops["float32"] in (6 * product, 7 * product)  # a fused kernel does one anew
    assert not counter.unknown


def test_a_linear_layer_that_comes_whole_is_counted():
    rows, weight, gradient = torch.ones(2, 3, 8), torch.ones(4, 8), torch.ones(2, 3, 4)
    linear, backward = torch.ops.aten.linear, torch.ops.aten.linear_backward
    assert FORMULAS[linear](rows, weight, None, out_val=gradient) == 2 * 6 * 8 * 4
    for mask, products in (([True, True, False], 2), ([True, False, True], 1)):
        found = FORMULAS[backward](rows, gradient, weight, mask, out_val=None)
        assert found == 2 * 6 * 8 * 4 * products


def test_kinds_of_numbers_are_told_apart(network):
    with FlopCounter() as counter, torch.autocast("cpu", torch.bfloat16):
        network(torch.randn(5, 8))
    assert counter.flops == {"bfloat16": 2 * 5 * (8 * 16 + 16 * 4)}


def test_operators_that_are_made_of_others_are_taken_apart(network):
    with torch.inference_mode(), FlopCounter() as counter:
        network(torch.randn(2, 3, 8))
        torch.ones(2, 3, 4) @ torch.ones(4, 5)
    assert counter.flops["float32"] == 2 * 6 * (8 * 16 + 16 * 4 + 4 * 5)
    assert not counter.unknown


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: torch.linalg.solve(torch.eye(3), torch.ones(3, 1)), "aten._linalg_solve_ex"),
        (lambda: torch.ops.tests_flops.secret(torch.ones(3)), "tests_flops.secret"),
    ],
)
def test_what_multiplies_and_has_no_formula_is_named(call, name):
    with torch.library._scoped_library("tests_flops", "DEF") as library:
        library.define("secret(Tensor a) -> Tensor")
        library.impl("secret", torch.clone, "CompositeExplicitAutograd")
        with FlopCounter() as counter:
            call()
    assert list(counter.unknown) == [name]


def test_a_formula_that_fails_ends_no_step(monkeypatch):
    formulas = {torch.ops.aten.mm: lambda *_, **__: 1 / 0}
    monkeypatch.setattr("hwlit.callbacks.flop_counter.FORMULAS", formulas)
    with FlopCounter() as counter:
        assert torch.ones(2, 2).mm(torch.ones(2, 2)).sum() == 8
    assert list(counter.unknown) == ["aten.mm"]


def test_names_that_only_look_like_products_are_none():
    with FlopCounter() as counter:
        weights = torch.nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)).weight
        functional.interpolate(torch.ones(1, 1, 4, 4), scale_factor=2, mode="bilinear")
        torch.linalg.vector_norm(weights).to(torch.float64)
        torch.unique(torch.ones(3), return_inverse=True)
    assert not counter.unknown
    assert not counter.flops


def test_int4_of_bitsandbytes_is_counted():
    bnb = pytest.importorskip("bitsandbytes")
    layer = bnb.nn.Linear4bit(64, 32, bias=False, compute_dtype=torch.float32)
    layer.weight = bnb.nn.Params4bit(torch.randn(32, 64), requires_grad=False).to("cpu")
    rows = torch.randn(5, 64, requires_grad=True)
    with FlopCounter() as counter:
        layer(rows).sum().backward()
    assert counter.flops == {"float32": 2 * 2 * 5 * 64 * 32}
    assert not counter.unknown
