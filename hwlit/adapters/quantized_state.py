"""What of a quantised network is saved: which layer is held how, and how they are made again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from torch import Tensor, nn

from hwlit.adapters.bitsandbytes_linear import NF4
from hwlit.adapters.formats import Format
from hwlit.adapters.onednn_linear import OneDnnInt4, OneDnnInt8
from hwlit.errors import IntegrityError, UsageError

NetworkT = TypeVar("NetworkT", bound=nn.Module)

SAVED: dict[str, Format] = {each.name: each for each in (OneDnnInt8(), OneDnnInt4(), NF4())}


def quantized_layers(network: nn.Module) -> dict[str, str]:
    """Return the name of the format of every quantised layer, by the layer's name."""
    return {
        name: kind
        for name, module in network.named_modules()
        for kind, each in SAVED.items()
        if each.owns(module)
    }


def restore(
    network: NetworkT, tensors: Mapping[str, Tensor], layers: Mapping[str, str]
) -> NetworkT:
    """Give a network the layers and values of one that was quantised and saved, the rest in fp32.

    Args:
        network: A plain network of the same shape on the CPU; changed in place.
        tensors: The state of the quantised one.
        layers: What `quantized_layers` returned for it.

    Returns:
        The network.

    Raises:
        IntegrityError: Names, shapes or formats do not fit the network.
        UsageError: The package that a format needs is missing.
    """
    left = dict(tensors)
    try:
        for name, kind in layers.items():
            linear = network.get_submodule(name)
            assert isinstance(linear, nn.Linear), f"{name} is no linear layer"
            own = {n: t for n, t in tensors.items() if n.startswith(name + ".")}
            state = {n.removeprefix(name + "."): left.pop(n) for n in own}
            network.set_submodule(name, SAVED[kind].restore(linear, state), strict=True)
        found = network.load_state_dict(left, strict=False)
    except ImportError as error:
        raise UsageError(
            'the quantised weights need a package that is missing: pip install "hwlit[qlora]"'
        ) from error
    except (AssertionError, AttributeError, LookupError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise IntegrityError(
            f"the quantised weights do not fit their config.json: {reason}"
        ) from error
    inside = tuple(name + "." for name in layers)
    missing = [name for name in found.missing_keys if not name.startswith(inside)]
    if odd := [*missing, *found.unexpected_keys]:
        raise IntegrityError(
            f"the quantised weights do not fit their config.json: {len(odd)} tensors differ, such "
            f"as {odd[0]}; quantise the run again"
        )
    network.float()  # a bias can come in the half precision that the run had
    return network
