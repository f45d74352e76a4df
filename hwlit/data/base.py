"""What all text data sets share: arguments, parts, batches and the report."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

from hwlit.data.arguments import at_least, class_weights, part_size, seed_in_range, workers
from hwlit.data.batching import Collate, LengthBatchSampler
from hwlit.data.reading import Form, Rows, read_rows
from hwlit.data.resuming import ResumableData, ResumableLoader, loader_settings
from hwlit.data.splitting import Split, split
from hwlit.data.summary import fingerprint, summarise
from hwlit.data.tokens import TokenRows, tokenise
from hwlit.errors import DataError, UsageError
from hwlit.exports.stock_classifier import Text, separator
from hwlit.networks.text import load_tokenizer

Batches = ResumableLoader[LengthBatchSampler]


@dataclass(frozen=True)
class _Prepared:
    files: list[Rows]  # the file, and the test part where there is one
    split: Split
    parts: dict[str, TokenRows]
    collate: Collate
    weights: tuple[float, ...] | None  # of the classes, in training
    report: dict[str, Any]


class TextData(ResumableData, ABC):
    """A labelled text data set, from a local file or from the hub; its batches are made by length.

    Args:
        tokenizer: Name or path of the model whose tokenizer is used.
        max_length: Longer texts are cut to this many tokens.
        stride: Reads longer texts in windows of `max_length` tokens, special tokens in each, that
            share this many tokens (0 or more) with the window before; null cuts them. The logits of
            a text are the mean over its windows, in training as in the test, so that a text weighs
            and counts once however long it is (Sun et al., 2019, "How to fine-tune BERT for text
            classification", pool fractions of a text by their mean). A batch has all windows of its
            texts; where they are more than four a text, training computes part of the forward pass
            twice to save memory.
        path: A local CSV file to read instead of the hub's data set.
        test_path: A local CSV file to test on, instead of a part of `path`.
        seed: Divides the data: which rows train, validate and test, and which of them a
            `train_size` or `test_size` takes. Nothing else follows from it, so that runs with
            other random weights and orders share their test rows.
        shuffle_seed: Decides the order of the training rows; the CLI links it from
            seed_everything.
        batch_size: Rows per training batch and process.
        eval_batch_size: Rows per validation or test batch and process.
        test_size: Rows to test on, a number or a share; null takes the whole test part, or a fifth
            of the rows where the data set has no test part.
        validation_size: Rows to validate on, a number or a share of the rows outside a test part.
        train_size: Trains on a stratified sample of this many rows; null takes all.
        num_workers: Worker processes that make batches; tokens are ready on disk, so 0 is fast.
        pad_to_max_length: Whether all batches have `max_length` tokens, as a TPU wants it.
        empty_texts: What to do with texts of nothing but white space: "keep" them, "drop" their
            rows, or stop with an "error". The report counts them.
        class_weights: Weights of the classes in the training loss: null weighs all rows alike,
            "balanced" weighs all classes alike, a mapping such as {spam: 2.5} weighs the rows of
            these classes, the others by 1. Validation and test are never weighted.
    """

    forms: tuple[Form, ...] = ()

    def __init__(
        self,
        *,
        tokenizer: str,
        max_length: int,
        path: str | None = None,
        test_path: str | None = None,
        seed: int = 0,
        shuffle_seed: int = 0,
        batch_size: int = 16,
        eval_batch_size: int = 64,
        test_size: int | float | None = None,
        validation_size: int | float = 0.1,
        train_size: int | None = None,
        num_workers: int = 0,
        pad_to_max_length: bool = False,
        empty_texts: Literal["keep", "drop", "error"] = "keep",
        class_weights: Literal["balanced"] | dict[str, float] | None = None,
        stride: int | None = None,
    ) -> None:
        super().__init__()
        self.tokenizer = tokenizer
        self.max_length = at_least(1, "max_length", max_length)
        self.path = path
        self.test_path = test_path
        self.seed = seed_in_range("seed", seed)
        self.shuffle_seed = seed_in_range("shuffle_seed", shuffle_seed)
        self.batch_size = at_least(1, "batch_size", batch_size)
        self.eval_batch_size = at_least(1, "eval_batch_size", eval_batch_size)
        self.test_size = None if test_size is None else part_size("test_size", test_size)
        self.validation_size = part_size("validation_size", validation_size)
        self.train_size = None if train_size is None else at_least(1, "train_size", train_size)
        self.num_workers = workers(num_workers)
        self.pad_to_max_length = pad_to_max_length
        self.empty_texts = empty_texts
        self.class_weights = class_weights
        self.stride = None if stride is None else at_least(0, "stride", stride)
        if stride is not None and pad_to_max_length:
            raise UsageError(
                "--data.stride and --data.pad_to_max_length exclude each other: texts have "
                "different numbers of windows, so batches cannot have one shape; leave one out"
            )
        if test_path is not None and path is None:
            raise UsageError("--data.test_path needs --data.path, the file to train on")
        self._prepared: _Prepared | None = None

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of their ids."""

    def read_hub(self) -> tuple[Rows, Rows | None]:
        """Read the hub's data set: the rows to divide, and its test part where it has one."""
        raise UsageError("there is no file to train on; give yours by --data.path")

    def read_file(self, path: str) -> Rows:
        """Read one local file."""
        return read_rows(path, self.forms)

    def read_files(self) -> tuple[Rows, Rows | None]:
        """Read the rows to divide, and the test part where there is one."""
        if self.path is None:
            return self.read_hub()
        test = None if self.test_path is None else self.read_file(self.test_path)
        return self.read_file(self.path), test

    def columns(self) -> dict[str, Any]:
        """Return which columns were read, plain data for the record, where files differ in them."""
        return {}

    def prepare_data(self) -> None:
        """Read, divide and tokenise the data set; a second call returns at once.

        Raises:
            DataError: The rows cannot be read or divided as asked.
            UsageError: `max_length` does not suit the tokenizer, or a weight no class.
        """
        if self._prepared is not None:
            return
        train, test = self.read_files()
        files = [train] if test is None else [train, test]
        division = self._divided(files)
        parts, collate = self._tokenised(files, division)
        weights = None
        if self.class_weights is not None:
            weights = class_weights(self.class_weights, self.labels, parts["train"].labels)
        report = summarise(files, self.labels, division, parts) | {
            "fingerprint": fingerprint(files, self.labels),
            "max_length": self.max_length,
            "seed": self.seed,
            "class_weights": weights and dict(zip(self.labels, weights, strict=True)),
            "empty_texts_policy": self.empty_texts,
            **({} if self.stride is None else {"stride": self.stride}),
            **self._told_pairs(files[0]),
            **self.columns(),
        }
        self._prepared = _Prepared(files, division, parts, collate, weights, report)

    def setup(self, stage: str) -> None:
        """Make the parts ready on every process; all stages share one division."""
        self.prepare_data()

    def train_dataloader(self) -> Batches:
        """Return the training batches, shuffled anew in every epoch."""
        return self.resumed(self._loader("train", self.batch_size, shuffle=True))

    def val_dataloader(self) -> Batches:
        """Return the validation batches, each row once over all processes."""
        return self._loader("validation", self.eval_batch_size, shuffle=False)

    def test_dataloader(self) -> Batches:
        """Return the test batches, each row once over all processes."""
        return self._loader("test", self.eval_batch_size, shuffle=False)

    def test_rows(self) -> list[tuple[int, str, int]]:
        """Return row id, text and class id of every test row, ascending by row id."""
        rows = self._ready().files[-1]
        return [(row, rows.texts[row], rows.labels[row]) for row in self._ready().split.test]

    def test_texts(self) -> dict[int, Text]:
        """Return the text of every test row, or both sentences of its pair, by row id."""
        rows = self._ready().files[-1].inputs
        return {row: rows[row] for row in self._ready().split.test}

    @property
    def largest_token_type(self) -> int:
        """The largest token type that the model is given; 0 where it is given none."""
        ready = self._ready()
        kinds = (
            [part.tokens.types for part in ready.parts.values()]
            if ready.collate.token_types
            else []
        )
        return max((int(types.max()) for types in kinds if types is not None), default=0)

    def report(self) -> dict[str, Any]:
        """Return what was read and how it was divided, as plain JSON; see `summarise`."""
        return self._ready().report

    def sample_batches(self, sizes: Sequence[int]) -> dict[int, dict[str, torch.Tensor]]:
        """Return one batch of test rows per size, of typical lengths: what latency is measured on.

        The rows lie evenly along the test part's lengths, from the middle outwards for one row.

        Args:
            sizes: Rows per batch; a size above the test part's rows is cut to them.
        """
        part, collate = self._ready().parts["test"], self._ready().collate
        order = torch.argsort(torch.as_tensor(part.lengths), stable=True)
        batches = {}
        for size in (min(size, len(part)) for size in sizes):
            middles = (torch.arange(size, dtype=torch.double) + 0.5) * len(part) / size
            batches[size] = collate([part[int(order[int(place)])] for place in middles])
        return batches

    def largest_token(self) -> int:
        """Return the largest token id of all texts and of what pads them."""
        ready = self._ready()
        return max(ready.collate.pad_id, *(int(p.tokens.ids.max()) for p in ready.parts.values()))

    def _ready(self) -> _Prepared:
        self.prepare_data()
        assert self._prepared is not None
        return self._prepared

    def _divided(self, files: Sequence[Rows]) -> Split:
        """Divide the files, less the rows that are dropped for want of a text or a label."""
        kept = [self._kept(rows) for rows in files]
        texts = [[rows.keys[row] for row in rest] for rows, rest in zip(files, kept, strict=True)]
        labels = [
            [rows.labels[row] for row in rest] for rows, rest in zip(files, kept, strict=True)
        ]
        division = split(
            texts[0],
            labels[0],
            seed=self.seed,
            test_size=self.test_size,
            validation_size=self.validation_size,
            train_size=self.train_size,
            test_part=(texts[1], labels[1]) if len(files) > 1 else None,
        )
        empty = sum(len(r.labelled) - len(rest) for r, rest in zip(files, kept, strict=True))
        return division.renumbered(kept[0], kept[-1], empty)

    def _kept(self, rows: Rows) -> list[int]:
        """Return the numbers of the rows that are not dropped for want of a text or a label."""
        empty = rows.empty
        if empty and self.empty_texts == "error":
            raise DataError(
                f"{rows.source} has {len(empty)} empty texts, the first in row {empty[0]} (rows "
                "are counted from 0); fill or remove them, or set --data.empty_texts drop or keep"
            )
        left_out = set(empty) if self.empty_texts == "drop" else set()
        return [row for row in rows.labelled if row not in left_out]

    def _told_pairs(self, rows: Rows) -> dict[str, str]:
        """Return what stands between the sentences of pairs, where the tokenizer marks none."""
        between = "" if rows.pairs is None else separator(load_tokenizer(self.tokenizer))
        return {"pair_separator": between} if between else {}

    def _tokenised(
        self, files: Sequence[Rows], division: Split
    ) -> tuple[dict[str, TokenRows], Collate]:
        tokenizer = load_tokenizer(self.tokenizer)
        if not isinstance(tokenizer.pad_token_id, int):
            raise UsageError(f"the tokenizer {self.tokenizer} has no padding token")
        tokens = [tokenise(rows.inputs, tokenizer, self.max_length, self.stride) for rows in files]
        parts = {
            "train": TokenRows(tokens[0], files[0].labels, division.train),
            "validation": TokenRows(tokens[0], files[0].labels, division.validation),
            "test": TokenRows(tokens[-1], files[-1].labels, division.test),
        }
        collate = Collate(
            tokenizer.pad_token_id,
            tokenizer.padding_side,
            "token_type_ids" in tokenizer.model_input_names,
            self.max_length if self.pad_to_max_length else None,
            pad_type=tokenizer.pad_token_type_id,
        )
        return parts, collate

    def _loader(self, name: str, batch_size: int, shuffle: bool) -> Batches:
        part = self._ready().parts[name]
        collate = copy.copy(self._ready().collate)
        collate.weights = self._ready().weights if name == "train" else None
        return ResumableLoader(
            part,
            LengthBatchSampler(part.lengths, batch_size, self.shuffle_seed, shuffle, *self.place),
            collate_fn=collate,
            **loader_settings(self.shuffle_seed, self.num_workers),
        )
