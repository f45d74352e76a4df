"""Time quantised classifiers against fp32 and bf16 eager, in turns, with equal threads.

A classifier of DistilBERT's or MiniLM's shape with random weights, for speed ignores values. Every
linear layer of its transformer layers is quantised by each format; the head stays as it is.

Rounds go A B C A B C, so that the machine's drift hits all alike; each round gives one ratio to
fp32. Printed are their median and range, never times: those are of the machine; the ratio of the
least times, which other work on the machine disturbs least (`--calls 1`, many rounds); and how far
the logits are from those of fp32, relative to their norm. Where others work on the machine as well,
take `--clock processor`: seconds that the process computed, all threads together.

Kernels are chosen as in a run, and printed. `--kernel onednn-signed` times int8 by that kernel as
well, whether or not it would be chosen (a slow one takes minutes: `--rounds 1 --calls 1`).
"""

from __future__ import annotations

import copy
import json
import statistics
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    PreTrainedModel,
)

from hwlit.adapters.int8_kernels import KERNELS
from hwlit.adapters.kernel_choice import CHOOSER, Chooser, to_plain
from hwlit.adapters.onednn_linear import OneDnnInt4, OneDnnInt8, OneDnnLinear
from hwlit.devices.cpu_model import read_cpu_model

SHAPES = {
    "distilbert": DistilBertConfig(),
    "minilm": BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536),
}
FORMATS = {"int8": OneDnnInt8(), "int4": OneDnnInt4()}
CPU = torch.device("cpu")
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
NAMES = {kernel.name: kernel for kernel in KERNELS["cpu"]}


def quantized(network: PreTrainedModel, make: Callable[[nn.Linear], nn.Module]) -> PreTrainedModel:
    """Return a copy of a network with other linear layers."""
    network = copy.deepcopy(network)
    for path, module in list(network.base_model.named_modules()):
        if isinstance(module, nn.Linear) and "pooler" not in path:
            network.base_model.set_submodule(path, make(module))
    return network


def by_format(name: str) -> Callable[[nn.Linear], nn.Module]:
    """Return what makes layers as a run does, which choose their kernels."""
    return lambda linear: FORMATS[name].quantize(linear, CPU)


def by_kernel(name: str) -> Callable[[nn.Linear], nn.Module]:
    """Return what makes layers in int8 that multiply by one kernel, right or wrong."""
    chooser = Chooser({"cpu": (NAMES[name],)})
    kind = type("ByKernel", (OneDnnLinear,), {"chooser": chooser})
    made: Callable[[nn.Linear], nn.Module] = kind.of
    return made


def deprecated(network: PreTrainedModel) -> nn.Module:
    """Return the copy that torch.ao's quantize_dynamic makes, which torch has deprecated."""
    kept: nn.Module = torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, torch.qint8)
    return kept


def seconds(forward: Callable[[], Tensor], asked: Namespace) -> float:
    """Return how long some calls take, by the clock that was asked for."""
    clock = CLOCKS[asked.clock]
    start = clock()
    for _ in range(asked.calls):
        forward()
    return clock() - start


def measure(asked: Namespace) -> dict[str, Any]:
    """Return for each format the ratios of fp32's time to its own, and its error."""
    config = SHAPES[asked.shape]
    base = AutoModelForSequenceClassification.from_config(config).eval()
    ids = torch.randint(1000, 20000, (asked.batch, asked.tokens))
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    networks: dict[str, nn.Module] = {"fp32": base}
    networks["bf16"] = copy.deepcopy(base).to(torch.bfloat16)
    networks |= {name: quantized(base, by_format(name)) for name in FORMATS}
    networks |= {f"int8 by {name}": quantized(base, by_kernel(name)) for name in asked.kernel}
    if asked.deprecated:
        networks["quantize_dynamic"] = deprecated(base)
    forwards = {name: _forward(network, given) for name, network in networks.items()}
    with torch.inference_mode():
        wanted = forwards["fp32"]()
        found = {name: forward().float() for name, forward in forwards.items()}
        for forward in forwards.values():
            seconds(forward, asked)
        took = [{n: seconds(f, asked) for n, f in forwards.items()} for _ in range(asked.rounds)]
    return {
        name: summary([one["fp32"] / one[name] for one in took])
        | {"of the least times": float(f"{_least(took, 'fp32') / _least(took, name):.4g}")}
        | {"logits off by": round(float((found[name] - wanted).norm() / wanted.norm()), 4)}
        for name in forwards
        if name != "fp32"
    }


def _least(took: Sequence[dict[str, float]], name: str) -> float:
    return min(one[name] for one in took)


def _forward(network: nn.Module, given: dict[str, Tensor]) -> Callable[[], Tensor]:
    def forward() -> Tensor:
        logits: Tensor = network(**given).logits
        return logits

    return forward


def summary(ratios: Sequence[float]) -> dict[str, float]:
    """Return median and range."""
    found = {"median": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
    return {name: float(f"{value:.4g}") for name, value in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print settings and speed-ups over fp32 eager as JSON."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", choices=list(SHAPES), default="distilbert")
    parser.add_argument("--batch", type=int, default=1, help="rows (default: 1)")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of a row (default: 32)")
    parser.add_argument("--rounds", type=int, default=9, help="turns (default: 9)")
    parser.add_argument("--calls", type=int, default=10, help="calls of each a turn (default: 10)")
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--kernel", nargs="*", choices=list(NAMES), default=[], help="this as well")
    parser.add_argument(
        "--deprecated", action="store_true", help="torch.ao's quantize_dynamic as well"
    )
    asked = parser.parse_args(arguments)
    torch.manual_seed(0)
    speed = measure(asked)
    found = {
        "settings": vars(asked) | {"threads": torch.get_num_threads(), "torch": torch.__version__},
        "processor": {
            "capability": torch.backends.cpu.get_cpu_capability(),
            "vnni": torch.cpu._is_vnni_supported(),
            "amx": torch.cpu._is_amx_tile_supported(),
            "name": read_cpu_model().name,
            "multiplies integers": OneDnnInt8().emulated(CPU) is None,
        },
        "kernels": to_plain(CHOOSER.choices),
        "speed-up over fp32": speed,
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
