"""Batches of texts of like length, in an order that depends on seed and epoch alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hwlit.data.resuming import ResumableBatchSampler, seed_at
from hwlit.errors import DataError

WINDOW_BATCHES = 50


@dataclass(frozen=True)
class Row:
    """One tokenised text.

    Args:
        ids: Token ids, shape (length,); of a text in windows those of all windows, one after the
            other.
        label: Its class id.
        row_id: Its row in the file.
        types: Token types, of the ids' shape; None where all are 0.
        windows: Lengths of its windows, shape (windows,); None where the text is read whole.
    """

    ids: np.ndarray[Any, np.dtype[np.int32]]
    label: int
    row_id: int
    types: np.ndarray[Any, np.dtype[np.int8]] | None = None
    windows: np.ndarray[Any, np.dtype[np.int32]] | None = None

    def split(self) -> list[Row]:
        """Return each window as a row of its own; a text that is read whole is one."""
        if self.windows is None:
            return [self]
        ends = np.cumsum(self.windows)[:-1]
        ids = np.split(self.ids, ends)
        types = [None] * len(ids) if self.types is None else np.split(self.types, ends)
        return [Row(i, self.label, self.row_id, t) for i, t in zip(ids, types, strict=True)]


class LengthBatchSampler(ResumableBatchSampler[int]):
    """Batches of row numbers of like length.

    Shuffled, the rows are permuted, cut into windows of 50 batches, sorted by length within each
    window, cut into batches, and the batches permuted. Unshuffled, all rows are sorted by length,
    longest first, so that a batch too large for the memory fails at once.

    Over several processes, the batches are those that one process would see at `world_size` times
    the batch size, and each process takes its share of every batch. A last batch with fewer rows
    than processes is joined to the one before it, so that nobody is left without a row.

    Args:
        lengths: Number of tokens of each row.
        batch_size: Rows per batch and process.
        seed: Another seed gives another order.
        shuffle: Whether the order changes from epoch to epoch.
        rank: This process's number.
        world_size: Number of processes.
    """

    def __init__(
        self,
        lengths: Sequence[int] | np.ndarray[Any, Any],
        batch_size: int,
        seed: int,
        shuffle: bool,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if len(lengths) < world_size:
            raise DataError(
                f"{len(lengths)} rows cannot be divided among {world_size} processes; "
                "use fewer devices or more rows"
            )
        super().__init__(rank, world_size)
        self.lengths = torch.as_tensor(np.asarray(lengths, dtype=np.int64))
        self.batch_rows = batch_size * world_size
        self.seed = seed
        self.shuffle = shuffle

    def __len__(self) -> int:
        batches, rest = divmod(len(self.lengths), self.batch_rows)
        joined = batches > 0 and rest < self.world_size
        return batches if joined else batches + 1

    def batches(self) -> list[list[int]]:
        """Return the rows of each batch of the epoch, over all processes."""
        generator = torch.Generator().manual_seed(seed_at(self.seed, self.epoch))
        if self.shuffle:
            order = torch.randperm(len(self.lengths), generator=generator)
            windows = torch.split(order, WINDOW_BATCHES * self.batch_rows)
        else:
            windows = (torch.arange(len(self.lengths)),)
        batches = [
            batch
            for window in windows
            for batch in torch.split(self._by_length(window), self.batch_rows)
        ]
        if len(batches) > len(self):
            batches[-2:] = [torch.cat(batches[-2:])]
        if self.shuffle:
            batches = [batches[i] for i in torch.randperm(len(batches), generator=generator)]
        return [batch.tolist() for batch in batches]

    def _by_length(self, rows: Tensor) -> Tensor:
        return rows[torch.argsort(self.lengths[rows], descending=True, stable=True)]


class Collate:
    """Makes a batch of rows: pads to the longest of them, or to a fixed length.

    Args:
        pad_id: The token id to pad with.
        padding_side: "right" or "left".
        token_types: Whether the model reads token type ids.
        pad_to: The fixed length in tokens (a TPU compiles once per shape); None pads to the
            longest of the batch.
        weights: The weight of each class in the loss, by class id; None leaves weights out.
        pad_type: The token type to pad with.
    """

    def __init__(
        self,
        pad_id: int,
        padding_side: str,
        token_types: bool,
        pad_to: int | None = None,
        weights: Sequence[float] | None = None,
        pad_type: int = 0,
    ) -> None:
        self.pad_id = pad_id
        self.padding_side = padding_side
        self.token_types = token_types
        self.pad_to = pad_to
        self.weights = weights
        self.pad_type = pad_type

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """Return the batch.

        Args:
            rows: The rows of the batch.

        Returns:
            int64 tensors: `input_ids`, `attention_mask` and, where the model reads them,
            `token_type_ids` of shape (windows, tokens), a row being one window where texts are not
            read in windows; `labels` and `row_id` of shape (rows,). Where they are also `windows`,
            the number of windows of each row. With weights also `weight`, float32, (rows,).
        """
        windowed = rows[0].windows is not None
        windows = [window for row in rows for window in row.split()] if windowed else rows
        width = self.pad_to or max(len(window.ids) for window in windows)
        input_ids = np.full((len(windows), width), self.pad_id, dtype=np.int64)
        attention_mask = np.zeros((len(windows), width), dtype=np.int64)
        where = [self._place(len(window.ids), width) for window in windows]
        for i, window in enumerate(windows):
            input_ids[i, where[i]] = window.ids
            attention_mask[i, where[i]] = 1
        batch = {"input_ids": input_ids, "attention_mask": attention_mask}
        if self.token_types:
            batch["token_type_ids"] = np.full_like(input_ids, self.pad_type)
            if rows[0].types is not None or self.pad_type:
                for i, window in enumerate(windows):
                    kinds = 0 if window.types is None else window.types
                    batch["token_type_ids"][i, where[i]] = kinds
        batch["labels"] = np.array([row.label for row in rows], dtype=np.int64)
        batch["row_id"] = np.array([row.row_id for row in rows], dtype=np.int64)
        if windowed:
            counts = [0 if row.windows is None else len(row.windows) for row in rows]
            batch["windows"] = np.array(counts, dtype=np.int64)
        tensors = {name: torch.from_numpy(values) for name, values in batch.items()}
        if self.weights is not None:
            tensors["weight"] = torch.tensor([self.weights[row.label] for row in rows])
        return tensors

    def _place(self, length: int, width: int) -> slice:
        """Return where a text's tokens lie in its row."""
        return slice(width - length, width) if self.padding_side == "left" else slice(length)
