"""Cross-attention K and V: how the denoiser reads the prompt learns, and nothing else.

Idea: of all weights, those that turn the prompt into keys and values of the cross-attention change
most when a concept is learned, and they are few. With a token of its own for the concept
(`ConceptToken`, in a `Chain`) this is Custom Diffusion. The start token, at the first position of
every prompt, would be the easiest place to put the concept in: no gradient flows there, so that
prompts without the concept keep their meaning.

Costs gradients and moments for 2 % of Stable Diffusion 1.5 and 13 % of SDXL, and the backward pass
through the whole denoiser. Nothing is added to a call: the weights are plain.

Loses to full fine-tuning in likeness where the concept has fine detail (faces: take `queries`), for
what the features look like cannot change, only where the prompt calls for them; to LoRA and SVDiff
in file size. It reads the text encoder's features, so without a token of its own it changes what an
existing word means.

Source: Kumari et al. 2022, https://arxiv.org/abs/2212.04488. The detached start token is in the
authors' program and in diffusers' `CustomDiffusionAttnProcessor`, whose file `files` writes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hwlit.adapters.base import Adapter, NoSiteError, freeze

KEYS_AND_VALUES = (".attn2.to_k", ".attn2.to_v")
QUERIES_AND_OUT = (".attn2.to_q", ".attn2.to_out.0")
WEIGHTS = "pytorch_custom_diffusion_weights.bin"  # the name that diffusers' documentation gives


@dataclass(frozen=True, kw_only=True)
class CrossAttentionKV(Adapter):
    """Lets the K and V of every cross-attention of the denoiser learn, as they are.

    Args:
        learning_rate: Learning rate of these weights; the paper's, for 8 pictures per update.
        queries: Whether Q and the output projection learn too: the authors' `crossattn`, for faces.
        detach_bos: Whether K and V of the first text position carry no gradient.
    """

    learning_rate: float = 8e-5
    queries: bool = False
    detach_bos: bool = True

    def sites(self, network: nn.Module) -> tuple[str, ...]:
        """Return the names of the projections.

        Raises:
            NoSiteError: There is no cross-attention as diffusers names it.
        """
        endings = KEYS_AND_VALUES + QUERIES_AND_OUT * self.queries
        names = tuple(
            name
            for name, _ in network.named_modules()
            if name.startswith("unet.") and name.endswith(endings)
        )
        if not names:
            raise NoSiteError(
                f"{type(network).__name__} has no cross-attention (unet.*.attn2.to_k); take an "
                "adapter with targets"
            )
        return names

    def attach(self, network: nn.Module) -> None:
        """Freeze everything but the projections."""
        sites = self.sites(network)
        freeze(network)
        for name in sites:
            layer = network.get_submodule(name)
            layer.requires_grad_(True)
            if self.detach_bos and name.endswith(KEYS_AND_VALUES):
                layer.register_forward_hook(detach_first)

    def files(self, network: nn.Module) -> dict[str, dict[str, Tensor]]:
        """Return what `unet.load_attn_procs(folder, weight_name=..., _pipeline=pipe)` reads.

        Without `_pipeline` diffusers reads the file and installs nothing
        (https://github.com/huggingface/diffusers/issues/9320). It wants an entry for every
        attention layer: those of self-attention are empty.
        """
        found = {}
        for name, _ in network.named_modules():
            if name.startswith("unet.") and name.endswith(".attn1"):
                found[f"{name.removeprefix('unet.')}.processor"] = torch.empty(0)
        for site in self.sites(network):
            block, _, part = site.removeprefix("unet.").rpartition(".attn2.")
            part = part.replace("to_out.0", "to_out_custom_diffusion.0")
            part = part if "custom" in part else f"{part}_custom_diffusion"
            for kind, tensor in network.get_submodule(site).named_parameters():
                found[f"{block}.attn2.processor.{part}.{kind}"] = tensor
        return {WEIGHTS: found}


def detach_first(layer: nn.Module, given: tuple[Tensor, ...], features: Tensor) -> Tensor:
    """Return what a layer gave, the first position of each row without gradient.

    Args:
        layer: The layer, for it is a forward hook.
        given: What it was called with.
        features: (rows, positions, width).
    """
    if not torch.is_grad_enabled():
        return features
    return torch.cat([features[:, :1].detach(), features[:, 1:]], dim=1)
