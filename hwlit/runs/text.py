"""A run of text classification: predictions, the export checked, latency on test rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from hwlit.callbacks.curves import Curves
from hwlit.callbacks.latency import Forward, Input
from hwlit.callbacks.loggers import TensorBoard
from hwlit.callbacks.monitor import Monitor
from hwlit.callbacks.predictions import Predictions
from hwlit.data.base import TextData
from hwlit.data.summary import remarks, remarks_on_classes
from hwlit.records import Exhibit, Reading, measured
from hwlit.runs.base import Run
from hwlit.tasks.text_classification import TextClassification
from hwlit.tasks.variants import Variants, requantised
from hwlit.written_files import replace_text

CHECKED_ROWS = 32
PREDICTIONS = "predictions.csv"


class TextRun(Run[TextClassification, TextData]):
    """Takes a classifier and its texts through one run."""

    task = TextClassification
    task_name = "text_classification"
    rows = TextData
    learns_from = "labelled texts"

    def _collectors(self) -> list[Monitor]:
        self._predictions = Predictions(self._model.labels)
        return [self._predictions, Curves(self._predictions)]

    def _load(self) -> str:
        with self._phases.phase("tokenise"):
            self._data.prepare_data()
            self._data.setup("fit")
        with self._phases.phase("load"):
            self._model.configure_model()
            self._model.check_token_types(self._data.largest_token_type)
            self._model.check_data(self._data.max_length, self._data.largest_token())
        return "\n".join(filter(None, [remarks(self._data.report()), *self._model.remarks]))

    def _export(self) -> None:
        texts = self._data.test_texts()
        text = self._predictions.to_csv(texts)
        replace_text(self._output, PREDICTIONS, text)
        shown = Exhibit("predictions", "texts", "test rows as predicted", PREDICTIONS)
        of_classes = (
            f"data: {told}" for told in remarks_on_classes(self._data.report()["classes"])
        )
        self._recorder.add({}, exhibits=[shown], remarks=[*self._model.remarks, *of_classes])
        self._write_rows(self._predictions.table())
        folder = self._output / "adapter"
        with self._phases.phase("export"):
            self._write_adapter(folder)
        with self._phases.phase("check"):
            count = min(CHECKED_ROWS, len(self._predictions.row_ids))
            report = self._model.check_export(
                folder,
                [texts[int(row)] for row in self._predictions.row_ids[:count]],
                self._predictions.logits[:count],
                self._data.max_length,
                stride=self._data.stride,
            )
            self._recorder.add({}, check=report)

    def _probe(self) -> None:
        device = self._trainer.strategy.root_device
        model = self._model.to(device)
        batches = {
            size: {name: tensor.to(device) for name, tensor in batch.items()}
            for size, batch in self._data.sample_batches((1, self._data.batch_size)).items()
        }
        inputs = {f"batch_{size}": Input(batch, _told(batch)) for size, batch in batches.items()}
        try:
            variants = model.variants()
        except torch.OutOfMemoryError:
            variants = Variants(
                {"unmerged": model.network},
                dict.fromkeys(("base", "merged"), "no memory for copies of the network"),
            )
        forwards = {name: self._forward(net) for name, net in variants.networks.items()}
        self._latency.probe(forwards, inputs)
        self._latency.missing(variants.absent)
        if variants.same:
            self._latency.same("the adapter adds none")
        if "merged" in forwards:
            with torch.inference_mode():
                trained = "unmerged" if "unmerged" in forwards else "base"
                outputs = [forwards[n](batches[max(batches)]) for n in ("merged", trained)]
            difference = (outputs[0] - outputs[1]).abs().max()
            how = measured("largest difference of logits that merging makes, one test batch")
            self._recorder.add({"adapter/merge_difference": Reading(float(difference), "1", how)})

        if model.adapter.rounds:
            del variants, forwards  # copies of the network, and another one is made
            with self._phases.phase("requantise"):
                self._requantise()

    def _requantise(self) -> None:
        """Test what comes of merging into the quantised base and quantising it again."""
        forward = self._forward(requantised(self._model.adapter, self._model.network))
        right = []
        with torch.inference_mode():
            for batch in self._data.test_dataloader():
                rows = {n: t.to(self._model.device) for n, t in batch.items() if n != "row_id"}
                right.append((forward(rows).argmax(-1) == rows["labels"]).cpu())
        before = self._predictions.logits.argmax(-1) == self._predictions.targets
        after = torch.cat(right).double().mean()
        self._recorder.add(
            {
                "adapter/requantised_accuracy_difference": Reading(
                    float(after - before.double().mean()), "1",
                    measured(
                        "test accuracy merged into the base and quantised again, less that of the "
                        "adapter beside it"
                    ), n=len(before),
                )
            }
        )  # fmt: skip

    def _forward(self, network: nn.Module) -> Forward:
        """Return the forward of a network in eval mode, in the trainer's precision."""
        network.eval()

        def forward(batch: dict[str, torch.Tensor]) -> torch.Tensor:
            with self._trainer.precision_plugin.forward_context():
                return self._model.logits(network, batch)

        return forward

    def _comparable(self) -> dict[str, Any]:
        return {
            "rows_tested": len(self._predictions.targets),
            "data_seed": self._data.seed,
            "max_length": self._data.max_length,
            **({} if self._data.stride is None else {"stride": self._data.stride}),
        }

    def _show(self, board: TensorBoard) -> None:
        board.add_predictions(self._predictions, self._data.test_texts())


def _told(batch: dict[str, torch.Tensor]) -> str:
    """Return what a batch is, for the readings of latency."""
    texts, (windows, tokens) = len(batch["row_id"]), batch["input_ids"].shape
    if "windows" not in batch:
        return f"{texts} x {tokens} tokens from the test rows"
    return f"{texts} of the test rows in {windows} windows, {windows} x {tokens} tokens"
