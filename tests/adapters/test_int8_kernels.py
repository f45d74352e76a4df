import pytest
import torch

from hwlit.adapters.int8_kernels import FLOAT, KERNELS
from hwlit.adapters.kernel_choice import Chooser
from hwlit.adapters.rounding import EXACT, exact_in_one, exact_product

SIDES = [(64, 32), (50, 7), (1, 3), (3, 1), (1, 1), (31, 65), (384, 16), (1536, 5), (3072, 7)]


def still(device):
    """Read a clock that stands, by which the first of all kernels is taken."""
    return 0.0


def exact(integers, weight, scale):
    return (integers.long() @ weight.long().t()).float() * scale


def matrices(kind, rows, sides):
    inputs, outputs = sides
    scale = torch.rand(outputs, generator=torch.Generator().manual_seed(1)) + 0.5
    if kind == "random":
        generator = torch.Generator().manual_seed(0)
        integers = torch.randint(-127, 128, (rows, inputs), generator=generator)
        return integers.float(), torch.randint(
            -127, 128, (outputs, inputs), generator=generator
        ).to(torch.int8), scale  # fmt: skip
    signs = {"largest": (1, 1), "least": (1, -1), "both": (-1, -1)}[kind]
    integers = torch.full((rows, inputs), 127.0 * signs[0])
    weight = torch.full((outputs, inputs), 127 * signs[1], dtype=torch.int8)
    weight[:, -1] += 1 if signs[1] < 0 else -1  # an odd sum: where fp32 has gaps it must round
    return integers, weight, scale


@pytest.mark.parametrize("sides", SIDES, ids=str)
@pytest.mark.parametrize("kernel", KERNELS["cpu"], ids=lambda kernel: kernel.name)
def test_a_kernel_that_is_left_gives_the_bits_of_the_sum_of_integers(kernel, sides):
    chooser = Chooser({"cpu": (kernel, FLOAT)}, still)
    for rows in (1, 2, 17):
        for kind in ("random", "largest", "least", "both"):
            given = integers, weight, scale = matrices(kind, rows, sides)
            taken = chooser.choose(*given)
            found = taken.multiply(integers, taken.pack(weight), scale)
            assert torch.equal(found, exact(*given)), (rows, kind)
    for choice in chooser.choices.values():
        if choice.kernel != kernel:  # this processor or this shape lets it round or fail
            assert choice.dropped[kernel.name].startswith(("it is not exact", "it fails"))


def test_some_kernel_is_left_for_integers_or_says_why():
    given = matrices("random", 17, (384, 96))
    chooser = Chooser(clock=still)
    chooser.choose(*given)
    (choice,) = chooser.choices.values()
    names = {kernel.name for kernel in KERNELS["cpu"]}
    assert choice.seconds.keys() | choice.dropped.keys() == names
    assert not choice.seconds.keys() & choice.dropped.keys()
    assert "fp32" in choice.seconds


@pytest.mark.parametrize("inputs", [EXACT, EXACT + 1, 3 * EXACT, 3 * EXACT + 1])
def test_floating_point_adds_what_it_cannot_hold_as_integers(inputs):
    integers = torch.full((3, inputs), 127.0)
    weight = torch.full((2, inputs), 127, dtype=torch.int8)
    weight[0, ::7] = 126
    wanted = (integers.long() @ weight.long().t()).float()
    assert torch.equal(exact_product(integers, weight.float()), wanted)
    assert exact_in_one(weight) == (inputs == EXACT)


def test_wide_layers_of_usual_weights_need_no_parts():
    weight = torch.randn(8, 3072, generator=torch.Generator().manual_seed(0))
    weight = (weight / weight.abs().amax(-1, keepdim=True) * 127).round()
    assert exact_in_one(weight.to(torch.int8))
    integers = torch.randint(-127, 128, (4, 3072)).float()
    found = FLOAT.multiply(integers, FLOAT.pack(weight.to(torch.int8)), torch.ones(8))
    assert torch.equal(found, (integers.long() @ weight.long().t()).float())


@pytest.mark.parametrize("kernel", KERNELS["cpu"], ids=lambda kernel: kernel.name)
def test_kernels_are_right_on_weights_that_overflow_nowhere(kernel):
    """Sums of pairs fit into 16 bits, so processors without VNNI have to be right as well."""
    integers, weight, scale = matrices("random", 17, (64, 32))
    weight = weight.sign()
    try:
        found = kernel.multiply(integers, kernel.pack(weight), scale)
    except RuntimeError as error:
        pytest.skip(f"no such kernel on this processor: {error}")
    assert torch.equal(found, exact(integers, weight, scale))
