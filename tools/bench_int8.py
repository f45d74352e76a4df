"""Time quantised classifiers against fp32 and bf16 eager, in turns, with equal threads.

A classifier of DistilBERT's or MiniLM's shape with random weights, for speed ignores values. Every
linear layer of its transformer layers is quantised by each format; the head stays as it is.

Rounds go A B C A B C, so that the machine's drift hits all alike; each round gives one ratio to
fp32. Printed are their median and range, never times: those are of the machine; the ratio of the
least times, which other work on the machine disturbs least (`--calls 1`, many rounds); and how far
the logits are from those of fp32, relative to their norm.
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

from hwlit.adapters.onednn_linear import OneDnnInt4, OneDnnInt8, fast_on_cpu

SHAPES = {
    "distilbert": DistilBertConfig(),
    "minilm": BertConfig(hidden_size=384, num_hidden_layers=6, intermediate_size=1536),
}
FORMATS = {"int8": OneDnnInt8(), "int4": OneDnnInt4()}


def quantized(network: PreTrainedModel, name: str) -> PreTrainedModel:
    """Return a copy of a network in a format."""
    network = copy.deepcopy(network)
    if name == "bf16":
        return network.to(torch.bfloat16)
    for path, module in list(network.base_model.named_modules()):
        if isinstance(module, nn.Linear) and "pooler" not in path:
            layer = FORMATS[name].quantize(module, torch.device("cpu"))
            network.base_model.set_submodule(path, layer)
    return network


def deprecated(network: PreTrainedModel) -> nn.Module:
    """Return the copy that torch.ao's quantize_dynamic makes, which torch has deprecated."""
    kept: nn.Module = torch.ao.quantization.quantize_dynamic(network, {nn.Linear}, torch.qint8)
    return kept


def seconds(forward: Callable[[], Tensor], calls: int) -> float:
    """Return how long some calls take."""
    start = time.perf_counter()
    for _ in range(calls):
        forward()
    return time.perf_counter() - start


def measure(asked: Namespace) -> dict[str, Any]:
    """Return for each format the ratios of fp32's time to its own, and its error."""
    config = SHAPES[asked.shape]
    base = AutoModelForSequenceClassification.from_config(config).eval()
    ids = torch.randint(1000, 20000, (asked.batch, asked.tokens))
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    networks: dict[str, nn.Module] = {"fp32": base}
    networks |= {name: quantized(base, name) for name in ("bf16", *FORMATS)}
    if asked.deprecated:
        networks["quantize_dynamic"] = deprecated(base)
    forwards = {name: _forward(network, given) for name, network in networks.items()}
    with torch.inference_mode():
        wanted = forwards["fp32"]()
        found = {name: forward().float() for name, forward in forwards.items()}
        for forward in forwards.values():
            seconds(forward, asked.calls)
        took = [
            {n: seconds(f, asked.calls) for n, f in forwards.items()} for _ in range(asked.rounds)
        ]
    return {
        name: summary([one["fp32"] / one[name] for one in took])
        | {"of the least times": round(_least(took, "fp32") / _least(took, name), 3)}
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
    return {name: round(value, 3) for name, value in found.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print settings and speed-ups over fp32 eager as JSON."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--shape", choices=list(SHAPES), default="distilbert")
    parser.add_argument("--batch", type=int, default=1, help="rows (default: 1)")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of a row (default: 32)")
    parser.add_argument("--rounds", type=int, default=9, help="turns (default: 9)")
    parser.add_argument("--calls", type=int, default=10, help="calls of each a turn (default: 10)")
    parser.add_argument(
        "--deprecated", action="store_true", help="torch.ao's quantize_dynamic as well"
    )
    asked = parser.parse_args(arguments)
    torch.manual_seed(0)
    found = {
        "settings": vars(asked) | {"threads": torch.get_num_threads(), "torch": torch.__version__},
        "processor": {
            "capability": torch.backends.cpu.get_cpu_capability(),
            "vnni": torch.cpu._is_vnni_supported(),
            "amx": torch.cpu._is_amx_tile_supported(),
            "multiplies integers": fast_on_cpu(),
        },
        "speed-up over fp32": measure(asked),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
