"""What an adapter is: the contract that every method keeps."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar

from peft import PeftConfig
from torch import Tensor, nn

from hwlit.errors import UsageError


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

    def merge(self, network: nn.Module) -> None:  # noqa: B027 - plain weights need no folding
        """Fold what was learned into plain weights, in place; by default they are plain already.

        Raises:
            NotMergeableError: It cannot be folded.
        """

    def state(self, network: nn.Module) -> dict[str, Tensor]:
        """Return what must be saved of the network, heads aside: by default all that learns."""
        return {name: p for name, p in network.named_parameters() if p.requires_grad}

    def peft_config(self, network: nn.Module) -> PeftConfig | None:
        """Return the PEFT config that rebuilds this adapter; None where PEFT has no such method."""
        return None

    @property
    def lossless(self) -> bool:
        """Whether attaching leaves the outputs as they were, within `tolerance`."""
        return True


def freeze(network: nn.Module) -> None:
    """Stop every parameter of the network from learning."""
    for parameter in network.parameters():
        parameter.requires_grad_(False)


def unfreeze(network: nn.Module, modules: Iterable[str]) -> None:
    """Let every floating-point parameter of the named modules learn."""
    for name in modules:
        for parameter in network.get_submodule(name).parameters():
            parameter.requires_grad_(parameter.is_floating_point())


def modules_with_parameters(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the modules that own parameters themselves."""
    return tuple(
        name
        for name, module in network.named_modules()
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
                f"target {pattern!r} matches no layer of the network; the nearest are {near}"
            )
    return tuple(name for name in names if any(fnmatchcase(name, p) for p in patterns))


def _nearest(pattern: str, names: Sequence[str]) -> str:
    """Return up to three patterns that would match, nearest first."""
    suffixes = sorted({"*." + name.rpartition(".")[2] for name in names})
    near = difflib.get_close_matches(pattern, suffixes, n=3, cutoff=0.0)
    return ", ".join(repr(name) for name in near)
