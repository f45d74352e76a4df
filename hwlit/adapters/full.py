"""Full fine-tuning: every parameter learns.

Idea: the pretrained network is a starting point and nothing more.

Costs the most memory (weights, gradients and two optimizer moments for every parameter) and the
largest file. Nothing is added to a call.

Loses to LoRA where rows are few, rates are untuned or many tasks share one base.

Source: Devlin et al. 2019, https://arxiv.org/abs/1810.04805, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from hwlit.adapters.base import Adapter, modules_with_parameters


@dataclass(frozen=True, kw_only=True)
class Full(Adapter):
    """Lets every parameter learn, as it is.

    Args:
        learning_rate: Learning rate of all parameters.
    """

    learning_rate: float = 5e-5

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return every module that owns parameters."""
        return modules_with_parameters(network)

    def attach(self, network: nn.Module) -> None:
        """Let every floating-point parameter learn."""
        for parameter in network.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
