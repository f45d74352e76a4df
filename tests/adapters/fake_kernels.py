"""Kernels that take as long as a test says, on a clock that only they move."""

from collections.abc import Callable

import torch

from hwlit.adapters.int8_kernels import FLOAT, Kernel
from hwlit.adapters.kernel_choice import Chooser

Price = Callable[[int, int], float]


class Workshop:
    """Makes such kernels and a chooser that times them, and keeps the sizes of all calls."""

    def __init__(self) -> None:
        self.time = 0.0
        self.sizes: dict[str, list[tuple[int, int]]] = {}

    def kernel(self, name: str, price: float | Price, off=None, copied=0) -> Kernel:
        """Return a kernel; `price` is per product, or takes rows and weights; `off` spoils."""
        self.sizes[name] = []

        def multiply(integers, packed, scale):
            rows, weights = len(integers), packed[0].numel()
            self.sizes[name].append((rows, weights))
            self.time += price(rows, weights) if callable(price) else price * rows * weights
            found = FLOAT.multiply(integers, packed, scale)
            return found if off is None else off(found)

        return Kernel(name, lambda weight: FLOAT.pack(weight), multiply, copied, name != "fp32")

    def chooser(self, *kernels: Kernel) -> Chooser:
        """Return a chooser among kernels, the last in floating point."""
        return Chooser({"cpu": kernels}, lambda device: self.time)


def product(rows=5, inputs=64, outputs=32):
    """Return integers, weights and scales."""
    generator = torch.Generator().manual_seed(0)
    integers = torch.randint(-127, 128, (rows, inputs), generator=generator).float()
    weight = torch.randint(-127, 128, (outputs, inputs), generator=generator).to(torch.int8)
    return integers, weight, torch.rand(outputs, generator=generator) + 0.5
