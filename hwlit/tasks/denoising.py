"""The denoising loss: what the network should predict, and how rows and noise levels weigh.

Shapes: latents (rows, channels, height, width); timesteps, weights and losses (rows,).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

Prediction = str  # "epsilon" or "v_prediction", as schedulers of diffusers name them


def target(kind: Prediction, latents: Tensor, noise: Tensor, alphas: Tensor) -> Tensor:
    """Return what the network should predict: the noise, or the velocity.

    The velocity is sqrt(a) noise - sqrt(1 - a) latents, where the network sees
    sqrt(a) latents + sqrt(1 - a) noise. Source: Salimans and Ho 2022,
    https://arxiv.org/abs/2202.00512, section 4.

    Args:
        kind: "epsilon" or "v_prediction".
        latents: Latents without noise.
        noise: The noise, in the shape of the latents.
        alphas: a, the share of the signal's power at each row's noise level, (rows,).
    """
    if kind == "epsilon":
        return noise
    a = alphas.to(latents).view(-1, 1, 1, 1)
    return a.sqrt() * noise - (1 - a).sqrt() * latents


def noised(latents: Tensor, noise: Tensor, alphas: Tensor) -> Tensor:
    """Return what the network sees: sqrt(a) latents + sqrt(1 - a) noise; see `target`."""
    a = alphas.to(latents).view(-1, 1, 1, 1)
    return a.sqrt() * latents + (1 - a).sqrt() * noise


def min_snr_weights(kind: Prediction, alphas: Tensor, gamma: float | None) -> Tensor:
    """Return the weight of each row: easy, nearly clean noise levels count less.

    With snr = a / (1 - a) it is min(snr, gamma) / snr, and for the velocity, whose plain loss is
    already heavier by (snr + 1) / snr, min(snr, gamma) / (snr + 1). Source: Hang et al. 2023,
    https://arxiv.org/abs/2303.09556, section 3.4.

    Args:
        kind: "epsilon" or "v_prediction".
        alphas: The share of the signal's power at each row's noise level, (rows,).
        gamma: The largest signal-to-noise ratio that counts; the paper takes 5. None: all weigh 1.
    """
    if gamma is None:
        return torch.ones_like(alphas)
    snr = alphas / (1 - alphas)
    if kind == "epsilon":
        return (gamma / snr).clamp(max=1.0)  # so written, it is 1 where there is no signal at all
    return snr.clamp(max=gamma) / (snr + 1)


def squared_errors(predicted: Tensor, wanted: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return the squared error of each row in fp32 or better, averaged over its elements.

    Custom Diffusion's program divides the sum over all channels by the number of valid cells, which
    are counted in one channel: with the latents' 4 channels its loss of the concept is 4 times this
    mean, and class pictures weigh a quarter of what its setting says. Here both are means over
    elements, and `prior_weight` is what it says; 0.25 gives that program's proportion.

    Args:
        predicted: What the network predicts.
        wanted: What it should predict.
        valid: Which cells count, 0 or 1, (rows, 1, height, width); None counts all.
    """
    kind = torch.promote_types(predicted.dtype, torch.float32)
    errors = functional.mse_loss(predicted.to(kind), wanted.to(kind), reduction="none")
    if valid is None:
        return errors.mean(dim=(1, 2, 3))
    return (errors.mean(dim=1, keepdim=True) * valid).sum(dim=(1, 2, 3)) / valid.sum(dim=(1, 2, 3))


def with_prior(losses: Tensor, prior: Tensor, weights: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the mean loss of the instance rows, weighted, and that of the class rows, unweighted.

    DreamBooth's loss is the first plus prior_weight times the second. Source: Ruiz et al. 2022,
    https://arxiv.org/abs/2208.12242, section 3.3. Weights of noise levels are for the instance
    rows alone, as for them the recipe was found.

    Args:
        losses: One for each row.
        prior: Which rows are class pictures, bool.
        weights: One for each row; those of class rows are not used.

    Returns:
        Two scalars; the second is None where no row is a class picture.
    """
    instance = (weights * losses)[~prior].mean()
    return instance, losses[prior].mean() if bool(prior.any()) else None
