"""Chain: several adapters on one network, one after another.

Idea: methods that touch different parameters can learn together, such as the biases beside LoRA.
What any of them lets learn, learns; what none of them does stays frozen.

Costs the sum of its members, of which at most one may wrap layers; that one comes last. What was
learned fits no PEFT folder, so that it is exported merged, as a whole model: the largest file.

Loses to the better of its members where one alone suffices, for there is one learning rate for
all, and a rate that suits biases or LoRA (1e-3) is far too high for whole weights (5e-5).

Source: He et al. 2022, Towards a Unified View of Parameter-Efficient Transfer Learning,
https://arxiv.org/abs/2110.04366, which mixes methods in this way.
"""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from peft import PeftConfig
from peft.tuners.ln_tuning.layer import LNTuningLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn

from hwlit.adapters.base import Adapter, Phase
from hwlit.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Chain(Adapter):
    """Attaches adapters in order and merges them in order.

    Args:
        learning_rate: The one learning rate of everything that learns.
        adapters: The members by a name of your choice, in order; they have no rate of their own.
    """

    learning_rate: float = 1e-3
    adapters: dict[str, Adapter]

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.adapters) < 2:
            raise UsageError(f"a chain needs two adapters or more, got {list(self.adapters)}")
        for name, member in self.adapters.items():
            if not member.trains_heads:
                raise UsageError(f"{name} ({member.title}) learns nothing; leave it out")
            if member.learning_rate != type(member).learning_rate:
                raise UsageError(
                    f"{name} has learning_rate {member.learning_rate}, but a chain has one for all "
                    "its members: give --model.adapter.learning_rate"
                )
        *others, last = self.adapters
        for before, name in itertools.pairwise(self.adapters):
            if self.adapters[name].only_base and not self.adapters[before].only_base:
                raise UsageError(
                    f"{name} ({self.adapters[name].title}) makes the base that the others learn "
                    f"on, so it must come before {before}"
                )
        for name in others:
            # One that converts wraps what is wrapped already: it rounds the sum of both.
            alone = self.adapters[name].wraps and not self.adapters[name].only_base
            if alone and not self.adapters[last].converts:
                raise UsageError(
                    f"{name} ({self.adapters[name].title}) wraps layers, so it must be the last of "
                    f"the chain, and the only such; after it comes {last}"
                )
            if not self.adapters[name].passes_gradients:
                raise UsageError(
                    f"no gradient passes through {name} ({self.adapters[name].title}), so {last} "
                    "would learn in the top layer alone; take another format, such as NF4"
                )

    def settle(self, heads: tuple[str, ...], device: torch.device) -> Self:
        """Return the chain with every member settled."""
        return replace(
            self, adapters={n: m.settle(heads, device) for n, m in self.adapters.items()}
        )

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return the names of the modules that any member touches, in order."""
        found = (site for member in self.adapters.values() for site in member.sites(network))
        return tuple(dict.fromkeys(found))

    def attach(self, network: nn.Module) -> None:
        """Attach the members in order; what one lets learn, a later one does not freeze again.

        Raises:
            UsageError: LN-tuning replaces a norm that another member lets learn, or what several
                members learn could not be merged, and so not be exported.
        """
        self.attach_in_phases(network, nullcontext)

    def attach_in_phases(self, network: nn.Module, phase: Phase) -> None:
        """Attach the members in order, each in its own phases."""
        learning: list[nn.Parameter] = []
        for member in self.adapters.values():
            member.attach_in_phases(network, phase)
            for parameter in learning:
                parameter.requires_grad_(True)
            learning = [p for p in network.parameters() if p.requires_grad]
        for name, module in network.named_modules():
            if isinstance(module, LNTuningLayer) and any(
                parameter.requires_grad for parameter in module.base_layer.parameters()
            ):
                raise UsageError(
                    f"two members learn {name}, and LN-tuning would hide what the other learns; "
                    "narrow the targets of one of them"
                )

        if self._one is None:
            _refuse_grouped(network)

    def rest(self, network: nn.Module) -> None:
        """Make the base that the members learn on."""
        for member in self.adapters.values():
            member.rest(network)

    def merge(self, network: nn.Module) -> None:
        """Merge the members in order."""
        for member in self.adapters.values():
            member.merge(network)

    def state(self, network: nn.Module) -> dict[str, Tensor]:
        """Return what any member must save."""
        return {
            name: tensor
            for member in self.adapters.values()
            for name, tensor in member.state(network).items()
        }

    def peft_config(self, network: nn.Module) -> PeftConfig | None:
        """Return that of the one member that learns; None where several do."""
        one = self._one
        return None if one is None else one.peft_config(network)

    def peft_state(self, network: nn.Module) -> dict[str, Tensor]:
        """Return that of the one member that learns; none where several do."""
        return {} if self._one is None else self._one.peft_state(network)

    def base_config(self, network: nn.Module) -> dict[str, Any] | None:
        """Return that of the first member that has one."""
        found = (member.base_config(network) for member in self.adapters.values())
        return next((config for config in found if config is not None), None)

    def files(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        """Return the files of every member; none where one has none, for the rest were a part."""
        found = [member.files(network) for member in self.adapters.values()]
        return {name: file for own in found for name, file in own.items()} if all(found) else {}

    def penalty(self, network: nn.Module) -> Tensor | None:
        """Return the sum of what the members add to the loss."""
        found = [p for m in self.adapters.values() if (p := m.penalty(network)) is not None]
        return torch.stack(found).sum() if found else None

    def on_step(self, network: nn.Module, step: int, steps: int) -> None:
        """Let every member do what it does after an update."""
        for member in self.adapters.values():
            member.on_step(network, step, steps)

    def facts(self, network: nn.Module) -> dict[str, Any]:
        """Return what the record says of each member by its name, and of the whole as it is."""
        found: dict[str, Any] = {}
        for name, member in self.adapters.items():
            if facts := member.facts(network):
                of_all = member.only_base or member.converts
                found |= facts if of_all else {name: facts}
        return found

    def remarks(self, network: nn.Module) -> tuple[str, ...]:
        """Return what there is to be told of the members."""
        return tuple(told for m in self.adapters.values() for told in m.remarks(network))

    @property
    def title(self) -> str:
        """Names of the members, such as `BitFit+Lora`."""
        return "+".join(member.title for member in self.adapters.values())

    @property
    def remark(self) -> str:
        """What there is to be told of the members."""
        return "; ".join(told for member in self.adapters.values() if (told := member.remark))

    @property
    def wraps(self) -> bool:
        """Whether a member wraps layers."""
        return any(member.wraps for member in self.adapters.values())

    @property
    def rounds(self) -> bool:
        """Whether a member's outputs are only as exact as half precision."""
        return any(member.rounds for member in self.adapters.values())

    @property
    def converts(self) -> bool:
        """Whether merging gives the network that is used, in integers."""
        return any(member.converts for member in self.adapters.values())

    @property
    def lossless(self) -> bool:
        """Whether every member leaves the outputs as they were."""
        return all(member.lossless for member in self.adapters.values())

    @property
    def _one(self) -> Adapter | None:
        """The one member that learns anything; None where several do."""
        learning = [member for member in self.adapters.values() if not member.only_base]
        return learning[0] if len(learning) == 1 else None

    @property
    def new_tokens(self) -> dict[str, int]:
        """The words that any member teaches to the tokenizers."""
        return {k: v for member in self.adapters.values() for k, v in member.new_tokens.items()}


def _refuse_grouped(network: nn.Module) -> None:
    """Refuse wrapped convolutions in groups before they learn: PEFT cannot merge them.

    Raises:
        UsageError: There is one.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, BaseTunerLayer):
            base = layer.get_base_layer()
            if isinstance(base, nn.Conv1d | nn.Conv2d) and base.groups > 1:
                raise UsageError(
                    f"{name} is a convolution in {base.groups} groups, which PEFT cannot merge, "
                    "and a chain is exported merged; take one of its members alone"
                )
