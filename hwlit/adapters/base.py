"""What an adapter is: the contract that every method keeps."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, is_dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Self

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from hwlit.errors import UsageError

Phase = Callable[[str], AbstractContextManager[Any]]


class NoSiteError(UsageError):
    """A target pattern matches no module of the network."""


class NotMergeableError(UsageError):
    """What was learned cannot be folded into plain weights."""


@dataclass(frozen=True, kw_only=True)
class Adapter(ABC):
    """Decides which parameters learn and in what form; holds hyperparameters and no state.

    Args:
        learning_rate: Learning rate of everything that learns under this adapter, heads included.
            Each adapter has its own default.
    """

    trains_heads: ClassVar[bool] = True
    """Whether the task's heads learn beside the adapter; only `Untuned` says no."""

    tolerance: ClassVar[float] = 1e-5
    """Largest absolute difference of outputs that still counts as unchanged, in fp32."""

    learning_rate: float = 1e-4

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < float("inf"):
            raise UsageError(f"learning_rate must be above 0, got {self.learning_rate}")

    def settle(self, heads: tuple[str, ...], device: torch.device) -> Self:
        """Return the adapter with all decided that depends on the run; called before attaching.

        Args:
            heads: Names of the modules that belong to the task.
            device: Where the network will compute.

        Raises:
            UsageError: The device cannot do what the adapter must have.
        """
        return self

    def knowing(self, **known: Any) -> Self:
        """Return a copy whose fields that no config sets have these values; for `settle`."""
        copy = replace(self)
        for name, value in known.items():
            object.__setattr__(copy, name, value)  # frozen for everybody else
        return copy

    @abstractmethod
    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return the names of the modules that the adapter touches.

        Raises:
            NoSiteError: A target pattern matches nothing.
        """

    @abstractmethod
    def attach(self, network: nn.Module) -> None:
        """Freeze, wrap or re-parametrise in place, so that `requires_grad` says what learns.

        Raises:
            NoSiteError: A target pattern matches nothing.
        """

    def attach_in_phases(self, network: nn.Module, phase: Phase) -> None:
        """Attach, each piece of the work inside the phase of the ledger that it belongs to.

        Args:
            network: The network.
            phase: Opens a phase by its name.
        """
        with phase(self.phase):
            self.attach(network)

    def rest(self, network: nn.Module) -> None:  # noqa: B027 - most leave the base as it is
        """Make of a pretrained network the base that the adapter learns on, in place."""

    def merge(self, network: nn.Module) -> None:  # noqa: B027 - plain weights need no folding
        """Fold what was learned into plain weights, in place; by default they are plain already.

        Raises:
            NotMergeableError: It cannot be folded.
        """

    def state(self, network: nn.Module) -> dict[str, Tensor]:
        """Return what must be saved of the network, heads aside: by default all that learns."""
        return {name: p for name, p in network.named_parameters() if p.requires_grad}

    def penalty(self, network: nn.Module) -> Tensor | None:
        """Return what the method adds to the loss, a scalar; None where it adds nothing."""
        return None

    def on_step(self, network: nn.Module, step: int, steps: int) -> None:  # noqa: B027 - optional
        """Do what the method does after an update, while the gradients are still there.

        Args:
            network: The network, just updated.
            step: Number of updates so far, this one included.
            steps: Number of updates that the run will make.

        Raises:
            UsageError: The method's schedule does not fit into the run.
        """

    def peft_config(self, network: nn.Module) -> PeftConfig | None:
        """Return the PEFT config that rebuilds this adapter; None where PEFT has no such method."""
        return None

    def peft_state(self, network: nn.Module) -> dict[str, Tensor]:
        """Return the tensors that go with `peft_config`, by their names in PEFT's file."""
        return {}

    def base_config(self, network: nn.Module) -> dict[str, Any] | None:
        """Return the `quantization_config` of transformers that makes the base; None if plain."""
        return None

    def files(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        """Return what other tools read of the method: tensors by file and by their own names."""
        return {}

    def describe(self) -> dict[str, Any]:
        """Return class, name and settings, plain data."""
        return {"name": self.title, **_plain(self)}

    def facts(self, network: nn.Module) -> dict[str, Any]:
        """Return what the record says of the attached network beside the settings, plain data."""
        return {}

    def remarks(self, network: nn.Module) -> tuple[str, ...]:
        """Return what a user must be told of the attached network before it learns."""
        return (self.remark,) if self.remark else ()

    @property
    def title(self) -> str:
        """Name of the method, for people."""
        return type(self).__name__

    @property
    def phase(self) -> str:
        """Phase of the ledger in which it is attached."""
        return "load"

    @property
    def wraps(self) -> bool:
        """Whether layers are replaced by ones that only `merge` turns into plain ones again."""
        return False

    @property
    def rounds(self) -> bool:
        """Whether outputs are only as exact as half precision, for the base is quantised."""
        return False

    @property
    def converts(self) -> bool:
        """Whether merging gives the network that is used, in integers, and so that is tested."""
        return False

    @property
    def only_base(self) -> bool:
        """Whether it changes the base that others learn on, and learns nothing itself."""
        return False

    @property
    def remark(self) -> str:
        """What a user must be told of how the adapter was settled; empty where nothing."""
        return ""

    @property
    def passes_gradients(self) -> bool:
        """Whether gradients pass through the touched layers, so that others can learn below."""
        return True

    @property
    def lossless(self) -> bool:
        """Whether attaching leaves the outputs as they were, within `tolerance`."""
        return True

    @property
    def new_tokens(self) -> dict[str, int]:
        """Words that the method teaches to the tokenizers, and how many vectors each has."""
        return {}


def _plain(value: Any) -> Any:
    """Return settings as plain data; of PEFT's configs, what they do not leave open."""
    if is_dataclass(value):
        settings = ((f.name, vars(value)[f.name]) for f in fields(value) if f.init)
        kept = {k: _plain(v) for k, v in settings if v is not None or isinstance(value, Adapter)}
        return {"class": f"{type(value).__module__}.{type(value).__qualname__}", **kept}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, set):
        return sorted(value)
    return value


def freeze(network: nn.Module) -> None:
    """Stop every parameter of the network from learning."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)


def unfreeze(network: nn.Module, modules: Iterable[str]) -> None:
    """Let every floating-point parameter of the named modules learn."""
    for name in modules:
        for parameter in network.get_submodule(name).parameters():
            parameter.requires_grad_(parameter.is_floating_point())


class Wrapper(nn.Module):
    """A layer of hwlit around one of the network's own.

    Args:
        base_layer: The network's own layer.
    """

    base_layer: nn.Module

    def __init__(self, base_layer: nn.Module) -> None:
        super().__init__()
        self.add_module("base_layer", base_layer)


def plain_modules(network: nn.Module, name: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield every module as it is where nothing is wrapped: wrappers count as what they wrap.

    Args:
        network: Where to begin.
        name: Its name.
    """
    while isinstance(network, BaseTunerLayer | Wrapper):
        if isinstance(network, BaseTunerLayer):
            network = network.get_base_layer()
        else:
            network = network.base_layer
    yield name, network
    for child_name, child in network.named_children():
        yield from plain_modules(child, f"{name}.{child_name}" if name else child_name)


def modules_with_parameters(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the modules that own parameters themselves, wrapped or not."""
    return tuple(
        name
        for name, module in plain_modules(network)
        if next(module.parameters(recurse=False), None) is not None
    )


def match(patterns: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that match any of the glob patterns, in the order of `names`.

    Args:
        patterns: Globs over whole module names, such as `*.q_lin` or `*.layer.[0-3].*`.
        names: Module names to choose from.

    Raises:
        NoSiteError: One of the patterns matches nothing; names the nearest modules.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = _nearest(pattern, names)
            raise NoSiteError(
                f"target {pattern!r} matches no layer of the network; "
                + (f"the nearest are {near}" if names else "it has none that this method takes")
            )
    return tuple(name for name in names if any(fnmatchcase(name, p) for p in patterns))


def some_names(names: Sequence[str], most: int = 6) -> str:
    """Return a few globs over the last parts of these names, each one in quotes."""
    globs = list(dict.fromkeys("*." + name.rpartition(".")[2] for name in names))
    return ", ".join(map(repr, globs[:most])) or "none: it has no layer that this method takes"


def _nearest(pattern: str, names: Sequence[str]) -> str:
    """Return up to three patterns that would match, nearest first."""
    suffixes = sorted({"*." + name.rpartition(".")[2] for name in names})
    near = difflib.get_close_matches(pattern, suffixes, n=3, cutoff=0.0)
    return ", ".join(repr(name) for name in near)
