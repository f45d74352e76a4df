"""Time SVDiff's training step against recomposing every layer, and its folded network against base.

The denoiser has the shapes of pocket-sd's, or with ``--sd15`` those of Stable Diffusion 1.5, and
random weights: speed ignores values, so no SVD is needed. A step is forward, backward and AdamW on
the shifts.

* ``step``: each layer in the form with the fewest multiply-accumulates, as `hwlit fit` trains it,
  over every layer recomposed, as a parametrisation would train it;
* ``latency``: one call of the folded network over one of the base.

Rounds go A B A B, so that the machine's drift hits both alike; each round gives one ratio. Printed
are their median and range, never times: those are of the machine.
"""

from __future__ import annotations

import json
import statistics
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import Any

import diffusers
import torch
from torch import Tensor, nn

from hwlit.adapters.spectral import SpectralMatrix
from hwlit.adapters.svdiff import SVDiff
from hwlit.networks.diffusion import DiffusionNetwork
from hwlit.networks.pocket import pocket_sd_path

TOKENS = 77
# What differs from diffusers' defaults in unet/config.json of Stable Diffusion 1.5.
SD15 = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8}


def random_network(asked: Namespace, adapter: SVDiff | None) -> DiffusionNetwork:
    """Return a denoiser with random weights, the adapter attached if there is one."""
    config = diffusers.UNet2DConditionModel.load_config(pocket_sd_path() / "unet")
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(**SD15) if asked.sd15 else (
            diffusers.UNet2DConditionModel.from_config(config)
        )  # fmt: skip
        network = DiffusionNetwork(unet).to(getattr(torch, asked.dtype))
        network.requires_grad_(False)
        if adapter is not None:
            adapter.attach(network)
    network.to_empty(device=asked.device)
    for tensor in (*network.parameters(), *network.buffers()):
        with torch.no_grad():
            tensor.normal_(std=0.02) if tensor.ndim > 1 else tensor.fill_(1.0)
    return network


def inputs(network: DiffusionNetwork, asked: Namespace) -> dict[str, Any]:
    """Return random latents, noise levels and prompts."""
    config, dtype = network.unet.config, getattr(torch, asked.dtype)
    side = config.sample_size
    given = {
        "sample": torch.randn(asked.batch, config.in_channels, side, side),
        "encoder_hidden_states": torch.randn(asked.batch, TOKENS, config.cross_attention_dim),
    }
    levels = torch.randint(1000, (asked.batch,), device=asked.device)
    return {name: t.to(asked.device, dtype) for name, t in given.items()} | {"timestep": levels}


def call(network: DiffusionNetwork, given: dict[str, Any], asked: Namespace) -> Tensor:
    """Return what the denoiser predicts, under autocast in half precision."""
    half = asked.dtype != "float32"
    with torch.autocast(torch.device(asked.device).type, torch.bfloat16, enabled=half):
        predicted: Tensor = network.unet(**given).sample
    return predicted


def paired(one: Callable[[], None], other: Callable[[], None], asked: Namespace) -> list[float]:
    """Return the time of one over that of the other, for each round; each warms up once."""
    for work in (one, other):
        work()
    ratios = []
    for _ in range(asked.rounds):
        took = [seconds(work, asked) for work in (one, other)]
        ratios.append(took[0] / took[1])
    return ratios


def seconds(work: Callable[[], None], asked: Namespace) -> float:
    """Return how long some calls take."""
    synchronize(asked)
    start = time.perf_counter()
    for _ in range(asked.calls):
        work()
    synchronize(asked)
    return time.perf_counter() - start


def synchronize(asked: Namespace) -> None:
    """Wait for the device."""
    if asked.device != "cpu":
        torch.accelerator.synchronize()


def recompose(network: nn.Module, always: bool) -> None:
    """Let every layer be recomposed, or take its own choice again."""
    for layer in network.modules():
        if isinstance(layer, SpectralMatrix):
            layer.forward = layer.recomposed if always else type(layer).forward.__get__(layer)


def measure_step(asked: Namespace) -> tuple[list[float], dict[str, Any]]:
    """Return the ratios of training steps, and which forms were chosen."""
    adapter = SVDiff()
    network = random_network(asked, adapter)
    given = inputs(network, asked)
    learned = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-6, fused=True)

    def step(always: bool) -> None:
        recompose(network, always)
        call(network, given, asked).float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    ratios = paired(lambda: step(False), lambda: step(True), asked)
    return ratios, adapter.facts(network)["forms"]


def measure_latency(asked: Namespace) -> list[float]:
    """Return the ratios of calls of the folded network over those of the base."""
    folded = random_network(asked, SVDiff())
    SVDiff().merge(folded)
    base = random_network(asked, None)
    given = inputs(base, asked)

    def draw(network: DiffusionNetwork) -> Callable[[], None]:
        def work() -> None:
            with torch.inference_mode():
                call(network, given, asked)

        return work

    return paired(draw(folded.eval()), draw(base.eval()), asked)


def summary(ratios: Sequence[float]) -> dict[str, float]:
    """Return median and range."""
    found = {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
    return {name: round(value, 4) for name, value in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print settings and ratios as JSON."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sd15", action="store_true", help="the shapes of Stable Diffusion 1.5")
    parser.add_argument("--batch", type=int, default=1, help="pictures (default: 1)")
    parser.add_argument("--rounds", type=int, default=7, help="pairs (default: 7)")
    parser.add_argument("--calls", type=int, default=3, help="calls of each a round (default: 3)")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ... (default: cpu)")
    asked = parser.parse_args(arguments)
    torch.manual_seed(0)
    step, forms = measure_step(asked)
    found = {
        "settings": vars(asked) | {"threads": torch.get_num_threads(), "torch": torch.__version__},
        "forms": forms,
        "step/chosen_over_recomposed": summary(step),
        "latency/folded_over_base": summary(measure_latency(asked)),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
