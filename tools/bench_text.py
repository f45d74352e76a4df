"""Time hwlit's training loop against transformers.Trainer with PEFT, paired, on the same tweets.

Three contenders train the same shape of classifier with the same LoRA on the same rows, on the CPU:

* ``hwlit``: task, data module and Lightning trainer with the defaults of ``hwlit fit``, with the
  loggers and monitors that a fit has;
* ``hf_common``: the recipe of most tutorials, every text padded to 256 tokens, fp32;
* ``hf_best``: its good options, dynamic padding and batches by length, in hwlit's precision.

Equal on all sides: rows, start weights, truncation, batch size, trainable parameters, dropout
rates, AdamW with its learning rate, decay and clipping, linear schedule, threads. Evaluation,
saving and progress bars are off. Left at each library's default: the AdamW implementation, the
attention kernel, how often the loss is logged. The start weights are random, for the time of a
step does not depend on their values.

The clock runs from the end of the last warm-up step to the end of the last step, waiting for data
included. Batches by length are not equal draws in a short run (``hf_best`` starts with the longer
rows), so its figure is token slots per second, padding included; against ``hf_common`` it is
samples per second. The mean length of the rows that each contender saw is printed beside them.

Rounds go A B C A B C, so that the machine's drift hits all alike, and each measurement has a fresh
process: the heap that padding to 256 leaves behind, process-wide settings of torch and the
precision that accelerate keeps would otherwise reach the next contender, and peak memory could
not be told apart. Where the system has fork servers, one imports the libraries once for all.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from lightning.pytorch import Callback, LightningModule, Trainer, seed_everything
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    BertConfig,
    DataCollatorWithPadding,
    DistilBertConfig,
    PretrainedConfig,
    PreTrainedModel,
    PrinterCallback,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
)
from transformers import Trainer as HFTrainer

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
from hwlit.networks.text import load_tokenizer
from hwlit.run import WARMUP_STEPS
from hwlit.tasks.text_classification import TextClassification

BATCH_SIZE, MAX_LENGTH, WEIGHT_DECAY = 16, 256, 0.01
LORA = Lora(rank=8, alpha=16)
CONTENDERS = ("hwlit", "hf_common", "hf_best")
FIGURES = {"hf_common": "samples_per_second", "hf_best": "token_slots_per_second"}
TARGETS = {"bert": ["query", "value"], "distilbert": ["q_lin", "v_lin"]}
HEADS = {"bert": ["classifier"], "distilbert": ["pre_classifier", "classifier"]}
BERT = {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}  # with 12 heads
BERT_QUICK = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
DISTILBERT_QUICK = {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2}


@dataclass(frozen=True)
class Job:
    """One measurement, as its process gets it.

    Args:
        contender: One of `CONTENDERS`.
        model: Folder with weights and tokenizer.
        data: CSV file of tweets, or "bundled".
        precision: Precision of the trainer, in Lightning's words.
        steps: Training steps, warm-up included.
        threads: Threads of torch.
        seed: Decides rows, their order and dropout.
    """

    contender: str
    model: str
    data: str
    precision: str
    steps: int
    threads: int
    seed: int


class Loop:
    """Times the steps after the warm-up and keeps what was in every batch.

    Args:
        steps: Training steps, warm-up included.
    """

    def __init__(self, steps: int) -> None:
        self.batches: list[dict[str, Any]] = []
        self._steps, self._done = steps, 0
        self._device = Cpu()
        self._start = self._seconds = 0.0
        self._peak = 0

    def step_ended(self) -> None:
        """Start the clock after the warm-up's last step and stop it after the last step."""
        self._done += 1
        if self._done == WARMUP_STEPS:
            self._device.reset_peak_memory()
            self._start = time.perf_counter()
        if self._done == self._steps:
            self._seconds = time.perf_counter() - self._start
            self._peak = int(self._device.peak_memory()["resident"].value)

    def figures(self) -> dict[str, Any]:
        """Return speed, memory and batches of the timed steps.

        Raises:
            UsageError: The training rows ended before the last step.
        """
        if self._done < self._steps:
            raise UsageError(f"--steps {self._steps} is above the {self._done} batches of an epoch")
        # A data loader may have made batches ahead that no step has used.
        masks = [b["attention_mask"] for b in self.batches[WARMUP_STEPS : self._steps]]
        rows, slots = sum(len(mask) for mask in masks), sum(mask.numel() for mask in masks)
        tokens = sum(int(mask.sum()) for mask in masks)
        return {
            "steps": self._done,
            "timed_s": self._seconds,
            "samples_per_second": rows / self._seconds,
            "token_slots_per_second": slots / self._seconds,
            "tokens_per_sample": tokens / rows,
            "token_slots_per_sample": slots / rows,
            "peak_memory_bytes": self._peak,
        }


class LightningSteps(Callback):
    """Tells the loop of Lightning's steps."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Pass a step on."""
        self._loop.batches.append(batch)
        self._loop.step_ended()


class TransformersSteps(TrainerCallback):
    """Tells the loop of transformers' steps; the batches come from `collate`."""

    def __init__(self, loop: Loop, collate: Any) -> None:
        self._loop, self._collate = loop, collate

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """Pass a step on."""
        self._loop.step_ended()

    def collate(self, rows: list[dict[str, Any]]) -> dict[str, Any]:
        """Make a batch and keep it."""
        batch = self._collate(rows)
        self._loop.batches.append(batch)
        return batch


def measure(job: Job) -> dict[str, Any]:
    """Train one contender and return its figures; runs in a process of its own."""
    quiet.silence()
    torch.set_num_threads(job.threads)
    seed_everything(job.seed, verbose=False)
    loop = Loop(job.steps)
    data = Tweets(
        tokenizer=job.model, max_length=MAX_LENGTH, path=job.data, seed=job.seed,
        batch_size=BATCH_SIZE,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        train = train_hwlit if job.contender == "hwlit" else train_transformers
        network, optimizer = train(job, data, loop, Path(scratch))
    learned = [p for p in network.parameters() if p.requires_grad]
    flags = {name: optimizer.defaults.get(name) for name in ("lr", "fused", "foreach")}
    return loop.figures() | {
        "trainable_parameters": sum(p.numel() for p in learned),
        "trainable_dtypes": sorted({str(p.dtype) for p in learned}),
        "optimizer": "AdamW, " + ", ".join(f"{name}={value}" for name, value in flags.items()),
        "attention": network.config._attn_implementation,
        "threads": torch.get_num_threads(),
        "train_rows": len(data.train_dataloader().dataset),
        "train_tokens_per_sample": float(data.train_dataloader().dataset.lengths.mean()),
    }


def train_hwlit(job: Job, data: Tweets, loop: Loop, scratch: Path) -> tuple[PreTrainedModel, Any]:
    """Train as `hwlit fit` does, without evaluation and saving."""
    settings = TRAINER_DEFAULTS | {
        "max_epochs": 1, "limit_train_batches": job.steps, "limit_val_batches": 0,
        "accelerator": "cpu", "precision": job.precision, "default_root_dir": scratch,
        "enable_checkpointing": False, "enable_progress_bar": False,
    }  # fmt: skip
    trainer = Trainer(
        logger=[TensorBoard(scratch), MetricsFile(scratch / "metrics.csv")], **settings
    )
    device = Cpu()
    monitors = [Phases(device, WARMUP_STEPS), Steps(device, WARMUP_STEPS), Predictions(data.labels)]
    trainer.callbacks.extend([*monitors, LightningSteps(loop)])
    model = TextClassification(
        LORA, job.model, data.labels, weight_decay=WEIGHT_DECAY, seed=job.seed
    )
    trainer.fit(model, datamodule=data)
    return model.network, trainer.optimizers[0]


def train_transformers(
    job: Job, data: Tweets, loop: Loop, scratch: Path
) -> tuple[PreTrainedModel, Any]:
    """Train as the documentation of transformers and PEFT shows it."""
    best = job.contender == "hf_best"
    tokenizer = load_tokenizer(job.model)
    collator = DataCollatorWithPadding(tokenizer) if best else default_data_collator
    observer = TransformersSteps(loop, collator)
    network = AutoModelForSequenceClassification.from_pretrained(
        job.model, num_labels=len(data.labels)
    )
    kind = network.config.model_type
    config = LoraConfig(
        task_type="SEQ_CLS", r=LORA.rank, lora_alpha=LORA.alpha, lora_dropout=LORA.dropout,
        target_modules=TARGETS[kind], modules_to_save=HEADS[kind],
    )  # fmt: skip
    settings = TrainingArguments(
        output_dir=str(scratch), use_cpu=True, max_steps=job.steps, seed=job.seed,
        per_device_train_batch_size=BATCH_SIZE, learning_rate=LORA.learning_rate,
        weight_decay=WEIGHT_DECAY, bf16=best and job.precision == "bf16-mixed",
        train_sampling_strategy="group_by_length" if best else "random",
        save_strategy="no", report_to="none", disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    trainer = HFTrainer(
        get_peft_model(network, config), settings, observer.collate,
        train_rows(data, tokenizer, padded=not best), callbacks=[observer],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer.model, trainer.optimizer


def train_rows(data: Tweets, tokenizer: Any, *, padded: bool) -> Dataset:
    """Return the rows that hwlit trains on as transformers takes them."""
    part = data.train_dataloader().dataset
    texts = data.read_file(str(data.path)).texts
    encoding = tokenizer(
        [texts[row] for row in part.row_ids], truncation=True, max_length=MAX_LENGTH,
        padding="max_length" if padded else False,
    )  # fmt: skip
    return Dataset.from_dict({**encoding, "labels": part.labels})


def write_model(folder: Path, shape: str, quick: bool) -> str:
    """Write a network of random weights and the MiniLM tokenizer, and return the folder."""
    tokenizer = load_tokenizer("minilm")
    config: PretrainedConfig
    if shape == "minilm":
        config = BertConfig(vocab_size=len(tokenizer), **(BERT | (BERT_QUICK if quick else {})))
    else:
        config = DistilBertConfig(
            vocab_size=len(tokenizer), **(DISTILBERT_QUICK if quick else {})
        )
        tokenizer.model_input_names = ["input_ids", "attention_mask"]  # as DistilBERT's own says
    network = AutoModelForSequenceClassification.from_config(config)
    network.base_model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)
