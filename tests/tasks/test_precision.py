import pytest
import torch

from hwlit.tasks.precision import FrozenHalf, computing_dtype


def test_what_is_frozen_is_half_and_what_learns_is_not():
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    network[0].requires_grad_(False)
    plugin = FrozenHalf("bf16-true")
    plugin.convert_module(network)
    assert network[0].weight.dtype == torch.bfloat16
    assert network[1].weight.dtype == torch.float32
    with plugin.forward_context():
        network(torch.rand(3, 4)).float().sum().backward()
    assert network[1].weight.grad.dtype == torch.float32


def test_a_norm_of_which_the_shift_learns_keeps_one_type():
    network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.LayerNorm(4))
    for module in network:
        module.weight.requires_grad_(False)
    plugin = FrozenHalf("bf16-true")
    plugin.convert_module(network)
    assert network[0].weight.dtype == torch.bfloat16
    assert network[0].bias.dtype == network[1].weight.dtype == torch.float32
    with plugin.forward_context():
        network(torch.rand(3, 4)).float().sum().backward()
    assert network[1].bias.grad.dtype == torch.float32


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [
        ("32-true", torch.float32),
        ("bf16-mixed", torch.bfloat16),
        ("bf16-true", torch.bfloat16),
        ("16-mixed", torch.float16),
    ],
)
def test_the_type_that_a_precision_computes_in(precision, dtype):
    assert computing_dtype(precision) == dtype
