"""Time hwlit's training loop against transformers.Trainer with PEFT, paired, on the same tweets.

Three contenders train the same shape of classifier with the same LoRA on the same rows, on the CPU:

* ``hwlit``: what ``hwlit fit`` does by default, its loggers and monitors included;
* ``hf_common``: the recipe of most tutorials, every text padded to 256 tokens, fp32;
* ``hf_best``: its good options, dynamic padding and batches by length, in hwlit's precision.

Equal on all sides: rows, start weights (random: speed ignores values), truncation, batch size,
trainable parameters, dropout rates, AdamW with its rate, decay and clipping, linear schedule,
threads. Off: evaluation, saving, progress bars. Each library's own default: AdamW's
implementation, attention kernel, warm-up of the learning rate, logging.

The clock runs from the end of the warm-up to the end of the last step, waiting for data included.
Against ``hf_common`` count samples per second; against ``hf_best`` token slots per second, padding
included, for it begins with the longer rows. The mean length of the rows seen stands beside both.

Rounds go A B C A B C, so that the machine's drift hits all alike. Each measurement has a fresh
process, for the heap that padding to 256 leaves behind, process-wide settings of torch and the
precision that accelerate keeps would reach the next contender, and its peak memory too.
"""

from __future__ import annotations

import importlib.metadata
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from argparse import ArgumentParser, Namespace
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers as hf
from datasets import Dataset
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import LambdaCallback
from peft import LoraConfig, get_peft_model
from transformers.utils import logging as transformers_logging

from hwlit import quiet
from hwlit.adapters.lora import Lora
from hwlit.callbacks.loggers import MetricsFile, TensorBoard
from hwlit.callbacks.phases import Phases
from hwlit.callbacks.predictions import Predictions
from hwlit.callbacks.recorder import environment
from hwlit.callbacks.steps import Steps
from hwlit.cli import TRAINER_DEFAULTS
from hwlit.data.tweets import BUNDLED, Tweets
from hwlit.devices.cpu import Cpu
from hwlit.errors import HwlitError, UsageError
from hwlit.networks.text import find_pretrained, load_tokenizer
from hwlit.runs.base import WARMUP_STEPS
from hwlit.storage import write_text
from hwlit.tasks.text_classification import TextClassification

BATCH_SIZE, MAX_LENGTH, WEIGHT_DECAY = 16, 256, 0.01  # the decay is hwlit's default
LORA = Lora(rank=8, alpha=16)
SHOWN = {
    "samples_per_second": "samples/s", "token_slots_per_second": "token slots/s",
    "tokens_per_sample": "tokens a row", "token_slots_per_sample": "slots a row",
    "peak_memory_mib": "MiB at peak",
}  # fmt: skip
FIGURES = {"hf_common": "samples_per_second", "hf_best": "token_slots_per_second"}
TARGETS = {"bert": ["query", "value"], "distilbert": ["q_lin", "v_lin"]}
HEADS = {"bert": ["pooler", "classifier"], "distilbert": ["pre_classifier", "classifier"]}
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}  # with 12 heads
TINY = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


class Loop(hf.TrainerCallback):
    """Times the steps after the warm-up and keeps the batches, under either trainer."""

    def __init__(self, steps: int) -> None:
        self._batches: list[dict[str, Any]] = []
        self._steps, self._done, self._device = steps, 0, Cpu()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Start the clock after the warm-up's last step and stop it after the last step."""
        self._done += 1
        if self._done == WARMUP_STEPS:
            self._device.reset_peak_memory()
            self._start = time.perf_counter()
        if self._done == self._steps:
            self._seconds = time.perf_counter() - self._start
            self._peak_mib = self._device.peak_memory()["resident"].value / 2**20

    def keep(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch, which is counted after the run."""
        self._batches.append(batch)
        return batch

    def figures(self) -> dict[str, Any]:
        """Return speed, lengths and memory of the timed steps."""
        # A loader may have made batches ahead that no step has used.
        masks = [b["attention_mask"] for b in self._batches[WARMUP_STEPS : self._steps]]
        rows, slots = sum(len(mask) for mask in masks), sum(mask.numel() for mask in masks)
        tokens = sum(int(mask.sum()) for mask in masks)
        return {
            "steps": self._done, "timed_s": self._seconds, "peak_memory_mib": self._peak_mib,
            "samples_per_second": rows / self._seconds, "tokens_per_sample": tokens / rows,
            "token_slots_per_second": slots / self._seconds, "token_slots_per_sample": slots / rows,
        }  # fmt: skip


def measure(asked: Namespace, contender: str, model: str, seed: int) -> dict[str, Any]:
    """Train one contender and return its figures; runs in a process of its own."""
    quiet.silence()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(asked.threads)
    seed_everything(seed, verbose=False)
    data = Tweets(
        path=asked.data,
        tokenizer=model,
        max_length=MAX_LENGTH,
        batch_size=BATCH_SIZE,
        seed=seed,
        shuffle_seed=seed,
    )
    loop = Loop(asked.steps)
    with tempfile.TemporaryDirectory() as scratch:
        network, optimizer = TRAINERS[contender](asked, data, loop, Path(scratch))
    part = data.train_dataloader().dataset
    return loop.figures() | {
        "trainable_parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
        "adamw": {name: optimizer.param_groups[0].get(name) for name in ("fused", "foreach")},
        "attention": network.config._attn_implementation, "threads": torch.get_num_threads(),
        "train_rows": len(part), "train_tokens_per_sample": float(part.lengths.mean()),
    }  # fmt: skip


def train_hwlit(asked: Namespace, data: Tweets, loop: Loop, scratch: Path) -> tuple[Any, Any]:
    """Train as `hwlit fit` does, without evaluation and saving."""
    settings = {
        "max_epochs": -1, "max_steps": asked.steps, "limit_val_batches": 0, "accelerator": "cpu",
        "precision": asked.precision, "enable_checkpointing": False, "enable_progress_bar": False,
        "logger": [TensorBoard(scratch), MetricsFile(scratch / "metrics.csv")],
    }  # fmt: skip
    trainer = Trainer(default_root_dir=scratch, **(TRAINER_DEFAULTS | settings))
    device = Cpu()
    monitors = [Phases(device, WARMUP_STEPS), Steps(device, WARMUP_STEPS), Predictions(data.labels)]
    begun = LambdaCallback(on_train_batch_start=lambda *hook: loop.keep(hook[2]))
    trainer.callbacks += [*monitors, begun, LambdaCallback(on_train_batch_end=loop.on_step_end)]
    model = TextClassification(LORA, data.tokenizer, data.labels, seed=data.seed)
    trainer.fit(model, datamodule=data)
    return model.network, trainer.optimizers[0]


def train_transformers(
    asked: Namespace, data: Tweets, loop: Loop, scratch: Path, *, best: bool
) -> tuple[Any, Any]:
    """Train as the documentation of transformers and PEFT shows it."""
    tokenizer = load_tokenizer(data.tokenizer)
    collate = hf.DataCollatorWithPadding(tokenizer) if best else hf.default_data_collator
    network = hf.AutoModelForSequenceClassification.from_pretrained(data.tokenizer, num_labels=2)
    kind = network.config.model_type
    adapter = LoraConfig(
        task_type="SEQ_CLS", r=LORA.rank, lora_alpha=LORA.alpha, lora_dropout=LORA.dropout,
        target_modules=TARGETS[kind], modules_to_save=HEADS[kind],
    )  # fmt: skip
    settings = hf.TrainingArguments(
        output_dir=str(scratch), use_cpu=True, max_steps=asked.steps, seed=data.seed,
        per_device_train_batch_size=BATCH_SIZE, learning_rate=LORA.learning_rate,
        weight_decay=WEIGHT_DECAY, max_grad_norm=TRAINER_DEFAULTS["gradient_clip_val"],
        bf16=best and asked.precision == "bf16-mixed", save_strategy="no", report_to="none",
        train_sampling_strategy="group_by_length" if best else "random", disable_tqdm=True,
    )  # fmt: skip
    part, texts = data.train_dataloader().dataset, data.read_file(asked.data).texts
    rows, padding = [texts[row] for row in part.row_ids], False if best else "max_length"
    encoding = tokenizer(rows, truncation=True, max_length=MAX_LENGTH, padding=padding)
    if [sum(mask) for mask in encoding["attention_mask"]] != part.lengths.tolist():
        raise RuntimeError("the two sides do not train on the same tokens")
    trainer = hf.Trainer(
        get_peft_model(network, adapter), settings, lambda rows: loop.keep(collate(rows)),
        Dataset.from_dict({**encoding, "labels": part.labels}), callbacks=[loop],
    )  # fmt: skip
    trainer.remove_callback(hf.PrinterCallback)
    trainer.train()
    return trainer.model, trainer.optimizer


TRAINERS = {
    "hwlit": train_hwlit,
    "hf_common": partial(train_transformers, best=False),
    "hf_best": partial(train_transformers, best=True),
}


def write_model(folder: str, shape: str, tiny: bool) -> None:
    """Write a network of random weights and the MiniLM tokenizer."""
    kind, size = (hf.BertConfig, MINILM) if shape == "minilm" else (hf.DistilBertConfig, {})
    # DistilBERT's own tokenizers make no token types.
    inputs = ["input_ids", "attention_mask", *["token_type_ids"][: shape == "minilm"]]
    source = find_pretrained("minilm").location
    tokenizer = hf.AutoTokenizer.from_pretrained(source, model_input_names=inputs)
    config = kind(vocab_size=len(tokenizer), **(size | (TINY if tiny else {})))
    network = hf.AutoModelForSequenceClassification.from_config(config)
    network.base_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def compare(asked: Namespace, shape: str) -> dict[str, Any]:
    """Run all rounds of one shape, print them, and return rounds, medians and ratios."""
    # A fork server imports the libraries once for all; that is safe on Linux only.
    context = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
    context.set_forkserver_preload(["hwlit.cli", "accelerate", "transformers.trainer"])
    rounds = []
    with tempfile.TemporaryDirectory() as model:
        write_model(model, shape, asked.quick)
        for seed in range(asked.rounds):
            found: dict[str, Any] = {}
            for name in ("hwlit", *asked.against):
                with ProcessPoolExecutor(1, mp_context=context) as pool:
                    found[name] = pool.submit(measure, asked, name, model, seed).result()
            for name in ("trainable_parameters", "steps", "threads"):
                if len({figures[name] for figures in found.values()}) != 1:
                    raise RuntimeError(f"the contenders differ in {name}: {found}")
            rounds.append(found)
            show(f"{shape}, round {seed + 1} of {asked.rounds}", found)
    medians = {
        name: {key: statistics.median(found[name][key] for found in rounds) for key in SHOWN}
        for name in rounds[0]
    }
    show(f"{shape}, medians of {asked.rounds} rounds", medians)
    adamw = ", ".join(f"{name} {found[name]['adamw']}" for name in found)
    length = found["hwlit"]["train_tokens_per_sample"]
    print(f"  all training rows: {length:.1f} tokens a row; AdamW: {adamw}")
    return {"rounds": rounds, "medians": medians, "ratios": ratios(rounds)}


def ratios(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return hwlit's speed over the others', each by the figure that suits it, and print it."""
    found = {}
    for other in [name for name in rounds[0] if name in FIGURES]:
        figure = FIGURES[other]
        values = [one["hwlit"][figure] / one[other][figure] for one in rounds]
        spread = {"min": min(values), "median": statistics.median(values), "max": max(values)}
        words = " ".join(f"{name} {value:.2f}" for name, value in spread.items())
        each = ", ".join(f"{value:.2f}" for value in values)
        print(f"  hwlit / {other}, {figure}: {words} of {each}", flush=True)
        found[f"hwlit / {other}"] = {"figure": figure, "rounds": values, **spread}
    return found


def show(title: str, found: dict[str, dict[str, Any]]) -> None:
    """Print the figures of the three contenders."""
    print(title)
    for contender, figures in found.items():
        cells = (f"{figures[name]:10,.1f} {unit}" for name, unit in SHOWN.items())
        print(f"  {contender:9}" + "".join(cells), flush=True)


def run(asked: Namespace) -> dict[str, Any]:
    """Run all shapes and return the report."""
    if not hf.utils.is_accelerate_available():
        raise UsageError('transformers.Trainer needs accelerate: pip install "hwlit[bench]"')
    torch.set_num_threads(asked.threads)
    facts = environment(Cpu().describe())
    facts["versions"]["accelerate"] = importlib.metadata.version("accelerate")
    print(f"{facts['device']['name']}, {asked.threads} threads, {asked.precision}, {asked.data}")
    print(", ".join(" ".join(pair) for pair in facts["versions"].items()), flush=True)
    setting = vars(asked) | {
        "warmup_steps": WARMUP_STEPS, "batch_size": BATCH_SIZE, "max_length": MAX_LENGTH,
        "weight_decay": WEIGHT_DECAY, "lora": vars(LORA),
    }  # fmt: skip
    shapes = ("minilm", "distilbert") if asked.shape == "both" else (asked.shape,)
    results = {shape: compare(asked, shape) for shape in shapes}
    return {"setting": setting, "environment": facts, "shapes": results}


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, compare the contenders and return the exit code."""
    quiet.silence()
    transformers_logging.disable_progress_bar()
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", default=BUNDLED, help='CSV with text and target, or "bundled"')
    parser.add_argument("--shape", choices=("minilm", "distilbert", "both"), default="both")
    parser.add_argument("--precision", choices=("32-true", "bf16-mixed"), default="32-true")
    parser.add_argument("--against", choices=FIGURES, nargs="+", default=list(FIGURES))
    parser.add_argument("--rounds", type=int, default=3)
    # The Trainer sorts blocks of 50 batches by length: 50 timed steps see every length.
    parser.add_argument("--steps", type=int, default=55, help=f"{WARMUP_STEPS} of them warm-up")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--output", help="JSON file for all figures")
    parser.add_argument("--quick", action="store_true", help="2 rounds x 8 steps, tiny networks")
    asked = parser.parse_args(arguments)
    if asked.quick:
        asked.rounds, asked.steps = 2, 8
    if asked.steps <= WARMUP_STEPS or asked.rounds < 1 or asked.threads < 1:
        parser.error(f"give --steps above {WARMUP_STEPS}, and --rounds and --threads from 1")
    try:
        report = run(asked)
        if asked.output is not None:
            write_text(Path(asked.output), json.dumps(report, indent=1) + "\n")
    except HwlitError as error:
        print(f"bench_text: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
