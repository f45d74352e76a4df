"""Text classification: cross-entropy over the logits of a sequence classifier."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import (
    BinaryF1Score,
    BinaryPrecision,
    BinaryRecall,
    MulticlassAccuracy,
    MulticlassF1Score,
    MulticlassPrecision,
    MulticlassRecall,
)
from transformers import PreTrainedModel

from hwlit.adapters.base import Adapter
from hwlit.adapters.quantized_state import quantized_layers
from hwlit.errors import IntegrityError, UsageError
from hwlit.exports.model_card import text_model_card
from hwlit.exports.peft_folder import write_peft_folder
from hwlit.exports.quantized_folder import write_quantized_folder
from hwlit.exports.reload import check_reload
from hwlit.exports.stock_classifier import (
    ADAPTER,
    INTEGERS,
    QUANTIZATION,
    WINDOWS_AT_ONCE,
    Text,
    window_logits,
)
from hwlit.exports.transformers_folder import write_transformers_folder
from hwlit.networks.label_names import match_names, output_tensors, own_labels
from hwlit.networks.limits import Limits
from hwlit.networks.text import (
    find_pretrained,
    load_classifier,
    load_tokenizer,
    revision,
    weights_folder,
    weights_sha256,
)
from hwlit.records import Record
from hwlit.tasks.base import Schedule, Task
from hwlit.tasks.padding_check import padding_remark, padding_share
from hwlit.tasks.precision import computing_dtype
from hwlit.tasks.quantized_check import batched_logits, check_quantized

Batch = dict[str, Tensor]
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class TextClassification(Task):
    """Classifies texts with any sequence classifier of transformers.

    Args:
        adapter: Which parameters learn, and in what form; brings its own learning rate.
        pretrained: `minilm` for the offline weights, a local folder, or a hub id such as
            distilbert/distilbert-base-uncased.
        labels: Class names in id order; the CLI links them from the data.
        gradient_checkpointing: Recompute activations in the backward pass: less memory, more time.
        optimizer: The optimizer; its learning rate is the adapter's, and its weight decay is for
            matrices alone: biases and norms are never decayed.
        warmup: Share of the steps over which the learning rate rises from 0.
        schedule: How the learning rate goes on after the warm-up.
        seed: Seed of the fresh weights and of every step; the CLI links it from seed_everything.
    """

    network: PreTrainedModel
    best_by = "val/accuracy"

    def __init__(
        self,
        adapter: Adapter,
        pretrained: str = "minilm",
        labels: tuple[str, ...] = ("0", "1"),
        gradient_checkpointing: bool = False,
        optimizer: OptimizerCallable = torch.optim.AdamW,
        warmup: float = 0.06,
        schedule: Schedule = "linear",
        seed: int = 0,
    ) -> None:
        super().__init__(adapter, optimizer, warmup, schedule, seed)
        self.save_hyperparameters(logger=False)
        if len(labels) < 2:
            raise UsageError(f"a classifier needs two labels or more, got {list(labels)}")
        self.pretrained = pretrained
        self.labels = tuple(labels)
        self.gradient_checkpointing = gradient_checkpointing
        self.fresh: tuple[str, ...] = ()
        self.head, self.remarks = "", list[str]()
        self.limits = Limits(None, None)
        self.unread: tuple[str, ...] = ()
        self.reads_padding = False
        metrics = classification_metrics(len(labels))
        self.validation_metrics = metrics.clone(prefix="val/")
        self.test_metrics = metrics.clone(prefix="test/")
        # Batches differ in size, so the loss is averaged over rows, not over batches.
        self.validation_loss = MeanMetric()
        self.test_loss = MeanMetric()

    def build(self, dtype: torch.dtype) -> tuple[nn.Module, tuple[str, ...]]:
        """Load the classifier with a head for the labels; the first time padding is tried.

        Raises:
            UsageError: It cannot be used, or reads padding as if it were text.
        """
        loaded = load_classifier(self.pretrained, self.labels, dtype)
        self.fresh, self.head, self.limits = loaded.fresh, loaded.head, loaded.limits
        self.unread = loaded.unread
        if not self._built:
            network, tokenizer = loaded.network, loaded.tokenizer
            share = padding_share(network, tokenizer, loaded.limits, self.pretrained)
            told = padding_remark(share, dtype)
            self.reads_padding = told is not None
            self.remarks = [*loaded.remarks, *filter(None, [told])]
        if self.gradient_checkpointing:
            loaded.network.gradient_checkpointing_enable({"use_reentrant": False})  # type: ignore[no-untyped-call]
        return loaded.network, loaded.heads

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Return the names of the metrics that training and validation log."""
        own = ("train/loss", "train/grad_norm", "val/loss")
        return (*map(str, self.validation_metrics), *own)

    def model_facts(self) -> dict[str, Any]:
        """Return the name, revision, hash and shape of the pretrained network."""
        source = find_pretrained(self.pretrained)
        return {
            # A folder by its absolute path, so that the run can be used from elsewhere.
            "pretrained": "minilm" if self.pretrained == "minilm" else source.location,
            "hub_id": source.hub_id,
            "revision": revision(self.pretrained),
            "sha256": weights_sha256(self.pretrained),
            "architecture": type(self.network).__name__,
            "labels": list(self.labels),
            "fresh": list(self.fresh),
            "head": self.head,
            "remarks": self.remarks,
            "dtype": str(self.frozen_dtype).removeprefix("torch."),
            "gradient_checkpointing": self.gradient_checkpointing,
        }

    def check_data(self, max_length: int, largest_token: int) -> None:
        """Compare what the data gives with what the network reads.

        Args:
            max_length: Tokens after which a text is cut.
            largest_token: The largest token id of all texts and of what pads them.

        Raises:
            UsageError: The network has fewer positions, or no row for that token.
        """
        self.limits.check_length(self.pretrained, max_length)
        if self.limits.tokens is not None and largest_token >= self.limits.tokens:
            self.limits.check(self.pretrained, load_tokenizer(self.pretrained), [largest_token])

    def logits(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return the logits of a network, (rows, labels) in fp32, for a padded batch.

        Those of a text in windows are the mean over these. In training, more windows than fit
        together go through the network in turns, and in the backward pass once more: of each turn
        only the inputs are kept (Chen et al., 2016, "Training deep nets with sublinear memory
        cost").
        """

        def forward(inputs: Batch) -> Tensor:
            logits: Tensor = network(**inputs).logits
            return logits.float()

        inputs = {name: batch[name] for name in INPUTS if name in batch}
        if "windows" not in batch:
            return forward(inputs)
        counts = batch["windows"].tolist()
        if torch.is_grad_enabled() and sum(counts) > WINDOWS_AT_ONCE * len(counts):
            return window_logits(partial(checkpoint, forward, use_reentrant=False), inputs, counts)
        return window_logits(forward, inputs, counts)

    def check_token_types(self, largest: int) -> None:
        """Refuse token types that the network knows no embedding of.

        Args:
            largest: The largest that it will be given.

        Raises:
            UsageError: Its config has fewer.
        """
        known = getattr(self.network.config, "type_vocab_size", None)
        if isinstance(known, int) and 0 < known <= largest:
            raise UsageError(
                f"the tokenizer of {self.pretrained} gives token types up to {largest}, and the "
                f"model's config knows {known} (type_vocab_size); take token_type_ids out of "
                "model_input_names in a copy of its tokenizer_config.json"
            )

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits of the network, (rows, labels) in fp32, for a padded batch."""
        return self.logits(self.used, batch)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the cross-entropy, averaged over the rows of the batch by their weights.

        Several processes average over the rows of all; of gradients that are accumulated, each
        batch counts alike.
        """
        logits, labels = self(batch), batch["labels"]
        weight = batch.get("weight", torch.ones_like(labels, dtype=logits.dtype))
        losses = functional.cross_entropy(logits, labels, reduction="none")
        own = (weight * losses).sum() / weight.sum()
        loss, mean = self.over_processes(own, weight.sum())
        self.log("train/loss", self.finite(mean), prog_bar=True)
        return self.penalised(loss)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what was learned, and which class each row of the head stands for."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["labels"] = list(self.labels)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Compare classes, names and shapes in the checkpoint with those here.

        Raises:
            IntegrityError: They differ.
        """
        super().on_load_checkpoint(checkpoint)
        if (found := checkpoint.get("labels")) != list(self.labels):
            raise IntegrityError(
                f"the checkpoint was trained on the classes {found}, the data has "
                f"{list(self.labels)}; give the data of the run that wrote it, or its label_names"
            )

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Update the validation metrics."""
        logits = self(batch)
        self._update(logits, batch, self.validation_metrics, self.validation_loss)

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics over all rows."""
        self.log("val/loss", self.validation_loss.compute(), prog_bar=True)
        self.log_dict(self.validation_metrics.compute())
        self.validation_metrics.reset()
        self.validation_loss.reset()

    def test_step(self, batch: Batch, batch_idx: int) -> Batch:
        """Update the test metrics and return the logits, for observers to collect."""
        logits = self(batch)
        self._update(logits, batch, self.test_metrics, self.test_loss)
        return {"row_id": batch["row_id"], "labels": batch["labels"], "logits": logits}

    def on_test_epoch_end(self) -> None:
        """Log the test metrics over all rows."""
        self.log("test/loss", self.test_loss.compute())
        self.log_dict(self.test_metrics.compute())
        self.test_metrics.reset()
        self.test_loss.reset()

    def export(self, folder: Path) -> tuple[Path, ...]:
        """Write what was learned in the ecosystem's own format; return the files that hold it."""
        tokenizer = load_tokenizer(self.pretrained)
        config = self.adapter.peft_config(self.network)
        if config is None:
            plain = self.network
            if self.adapter.wraps:
                plain = copy.deepcopy(plain)
                self.adapter.merge(plain)
            if self.adapter.converts:
                layers = quantized_layers(plain)
                return (write_quantized_folder(folder, plain, tokenizer, layers),)
            return (write_transformers_folder(folder, plain, tokenizer, self.learned_state()),)
        # Loaders that take the names of the classes from the base find them in its order.
        order = match_names(self.labels, own_labels(weights_folder(self.pretrained)))
        rows = {} if order is None else dict.fromkeys(output_tensors(self.network), order)
        file = write_peft_folder(
            folder,
            self.network,
            config,
            self.adapter.peft_state(self.network),
            self.heads,
            self._base_name(),
            revision(self.pretrained),
            tokenizer,
            self.adapter.base_config(self.network),
            [self.labels[index] for index in order or range(len(self.labels))],
            rows,
        )
        return (file,)

    def _base_name(self) -> str:
        """Return what loaders find the base by: a public id, or an absolute path."""
        source = find_pretrained(self.pretrained)
        public = self.pretrained == "minilm" or not Path(source.location).is_dir()
        return source.hub_id if public else source.location

    def card(self, record: Record) -> str:
        """Return the model card for a run's record."""
        files = set()
        if self.adapter.peft_config(self.network) is not None:
            quantised = self.adapter.base_config(self.network) is not None
            files = {ADAPTER, QUANTIZATION} if quantised else {ADAPTER}
        elif self.adapter.converts:
            files = {INTEGERS}
        return text_model_card(record, files)

    def check_export(
        self,
        folder: Path,
        texts: Sequence[Text],
        logits: Tensor,
        max_length: int,
        fresh: bool = True,
        stride: int | None = None,
    ) -> dict[str, Any]:
        """Reload the export, in a fresh process or in this one, and compare logits of these texts.

        Raises:
            IntegrityError: It does not reload equal.
        """
        if self.adapter.converts:
            converted: nn.Module = copy.deepcopy(self.network)
            self.adapter.merge(converted)
            # As it is read back: in fp32, whatever precision the frozen weights had.
            converted = converted.float().eval()
            return check_quantized(folder, converted, texts, logits, max_length, stride)
        location = find_pretrained(self.pretrained).location
        dtype = computing_dtype(self.trainer.precision)
        if not (self.adapter.rounds or self.reads_padding):
            return check_reload(
                folder, location, texts, logits, max_length, dtype,
                fresh=fresh, labels=self.labels, stride=stride,
            )  # fmt: skip
        if self.adapter.rounds and dtype == torch.float32:
            dtype = torch.bfloat16  # other kernels for a quantised base agree to as many digits
        network: nn.Module = self.network
        with self.trainer.precision_plugin.forward_context():
            batched = batched_logits(network.eval(), folder, texts, max_length, stride)
        spread = float((batched - logits).abs().max())
        report = check_reload(
            folder, location, texts, batched, max_length, dtype,
            fresh=fresh, spread=spread, labels=self.labels, stride=stride,
        )  # fmt: skip
        return report | {"batching_difference": spread}

    def _update(
        self, logits: Tensor, batch: Batch, metrics: MetricCollection, loss: MeanMetric
    ) -> None:
        losses = functional.cross_entropy(logits, batch["labels"], reduction="none")
        loss.update(losses)
        metrics.update(logits.argmax(dim=-1), batch["labels"])


def classification_metrics(num_labels: int) -> MetricCollection:
    """Return the metrics of a classifier, each with its average in its name.

    Accuracy is the share of rows that are right (micro); F1, precision and recall are macro unless
    they say otherwise; two classes have those of the positive class (id 1) as well.
    """
    metrics: dict[str, Any] = {
        "accuracy": MulticlassAccuracy(num_labels, average="micro"),
        "f1_macro": MulticlassF1Score(num_labels, average="macro"),
        "f1_weighted": MulticlassF1Score(num_labels, average="weighted"),
        "precision_macro": MulticlassPrecision(num_labels, average="macro"),
        "recall_macro": MulticlassRecall(num_labels, average="macro"),
    }
    if num_labels == 2:
        metrics |= {
            "f1_positive": BinaryF1Score(),
            "precision_positive": BinaryPrecision(),
            "recall_positive": BinaryRecall(),
        }
    return MetricCollection(metrics)
