"""Measure a quantised base on a Llama of random weights, beside LoRA and full fine-tuning.

One command where a GPU is at hand: ``python tools/bench_quantized.py``. The shape is that of
Llama-3.2-1B with a classification head; ``--tiny`` takes a small one, for a try on a CPU. Speed and
memory ignore values, so weights are random; quality is for ``hwlit fit`` to tell.

* ``load peak``: reading the weights and bringing them into the format, on the device;
* ``train peak``, ``s/step``, ``tokens/s``, ``J/step``: forward, backward and AdamW under autocast;
* ``latency``: one row, merged where the base is plain, else as trained.

Each case has a fresh process, for its peak must be its own. Cases that the device cannot do say
why, and those that no gradient passes through are timed in inference alone.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import statistics
import tempfile
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, LlamaConfig, PreTrainedModel

from hwlit import quiet
from hwlit.adapters.base import Adapter, unfreeze
from hwlit.adapters.bitsandbytes_linear import NF4, Int8
from hwlit.adapters.chain import Chain
from hwlit.adapters.formats import Format
from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.adapters.onednn_linear import OneDnnInt4, OneDnnInt8
from hwlit.adapters.quantized import Quantized
from hwlit.adapters.torchao_linear import Int4WeightOnly, Int8Dynamic, Int8WeightOnly
from hwlit.devices.base import Device
from hwlit.devices.selection import device_for
from hwlit.networks.text import find_heads

# https://huggingface.co/meta-llama/Llama-3.2-1B/blob/main/config.json
SHAPE = {
    "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
    "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "vocab_size": 128256,
    "tie_word_embeddings": True, "pad_token_id": 128004,
}  # fmt: skip
TINY = SHAPE | {
    "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 512, "pad_token_id": 0,
}  # fmt: skip
FORMATS: dict[str, Format] = {
    "nf4": NF4(), "int8": Int8(), "int8_weight_only": Int8WeightOnly(),
    "int8_dynamic": Int8Dynamic(), "int4_weight_only": Int4WeightOnly(),
    "onednn_int8": OneDnnInt8(), "onednn_int4": OneDnnInt4(),
}  # fmt: skip
CASES = ("full", "lora", *FORMATS)
HEADINGS = ("load peak", "train peak", "s/step", "tokens/s", "J/step", "latency", "remark")
WARMUP = 3


def adapter_of(case: str) -> Adapter:
    """Return the adapter of a case: formats that pass gradients lie under LoRA."""
    if case in FORMATS:
        base = Quantized(format=FORMATS[case], strict=True)
        trains = FORMATS[case].trains
        return Chain(adapters={"base": base, "lora": Lora()}) if trains else base
    return Full() if case == "full" else Lora()


def measure(case: str, folder: str, asked: Namespace) -> dict[str, Any]:
    """Return the figures of a case, in SI units; what there is none of is missing."""
    quiet.silence()
    where = torch.device(asked.device)
    device = device_for(where)
    reason = FORMATS[case].unsupported(where) if case in FORMATS else None
    if reason:
        return {"remark": reason}
    adapter = adapter_of(case)
    device.reset_peak_memory()
    network = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.bfloat16)
    heads = find_heads(network)
    adapter = adapter.settle(heads, where)
    adapter.attach(network)
    unfreeze(network, heads)
    network.to(where)
    device.synchronize()
    found: dict[str, Any] = {"load peak": _peak(device)}
    for parameter in network.parameters():
        if parameter.requires_grad and case != "full":
            parameter.data = parameter.data.float()
    if adapter.passes_gradients:
        found |= _train(network, device, asked)
    else:
        found["remark"] = "no gradient passes through: inference alone"
    if case == "lora":
        adapter.merge(network)
    return found | {"latency": _latency(network, device, asked)}


def _train(network: PreTrainedModel, device: Device, asked: Namespace) -> dict[str, float]:
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-5)
    rows = _rows(network, asked.batch_size, asked.tokens)
    labels = torch.zeros(asked.batch_size, dtype=torch.long, device=network.device)
    network.train()

    def step() -> None:
        with torch.autocast(network.device.type, dtype=torch.bfloat16):
            loss = network(input_ids=rows, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    device.reset_peak_memory()
    joules = _joules(device)
    seconds = _seconds(step, device, asked.steps)
    spent = {name: value - joules[name] for name, value in _joules(device).items()}
    mean = statistics.mean(seconds)
    found = {"train peak": _peak(device), "s/step": statistics.median(seconds)}
    found["tokens/s"] = asked.batch_size * asked.tokens / mean
    if spent:
        found["J/step"] = sum(spent.values()) / (asked.steps + WARMUP)
    return found


@torch.inference_mode()
def _latency(network: PreTrainedModel, device: Device, asked: Namespace) -> float:
    network.eval()
    row = _rows(network, 1, 32)

    def call() -> None:
        with torch.autocast(network.device.type, dtype=torch.bfloat16):
            network(input_ids=row)

    return statistics.median(_seconds(call, device, 2 * asked.steps))


def _rows(network: PreTrainedModel, rows: int, tokens: int) -> torch.Tensor:
    shape = (rows, tokens)
    return torch.randint(1, TINY["vocab_size"], shape, device=network.device)


def _seconds(work: Callable[[], None], device: Device, times: int) -> list[float]:
    found = []
    for _ in range(WARMUP + times):
        device.synchronize()
        start = time.perf_counter()
        work()
        device.synchronize()
        found.append(time.perf_counter() - start)
    return found[WARMUP:]


def _peak(device: Device) -> float:
    return float(device.peak_memory()[device.main_memory].value)


def _joules(device: Device) -> dict[str, float]:
    return {counter.component: counter.read() for counter in device.energy_counters()}


def _told(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name.endswith("peak"):
        return f"{value / 2**20:,.0f} MiB"
    if name == "latency":
        return f"{1e3 * value:.2f} ms"
    return value if isinstance(value, str) else f"{value:,.4g}"


def main() -> None:
    """Measure the cases and print them as a table, or as JSON."""
    parser = ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--tiny", action="store_true", help="a small shape")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    quiet.silence()
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        config = LlamaConfig(**(TINY if asked.tiny else SHAPE))
        AutoModelForSequenceClassification.from_config(
            config, dtype=torch.bfloat16
        ).save_pretrained(folder)
        spawn = multiprocessing.get_context("spawn")
        for case in asked.cases:
            with ProcessPoolExecutor(1, mp_context=spawn) as pool:
                rows[case] = pool.submit(measure, case, folder, asked).result()
    if asked.json:
        print(json.dumps({"device": asked.device, "torch": torch.__version__, "cases": rows}))
        return
    print("| case | " + " | ".join(HEADINGS) + " |\n|" + "---|" * (len(HEADINGS) + 1))
    for case, found in rows.items():
        print(f"| {case} | " + " | ".join(_told(n, found.get(n)) for n in HEADINGS) + " |")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
