"""The order of a concept's rows: endless in training, fixed elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from hwlit.data.concept_rows import Ask
from hwlit.data.resuming import ResumableBatchSampler, seed_at
from hwlit.errors import DataError


class ConceptBatchSampler(ResumableBatchSampler[Ask]):
    """Training batches: as many rows of the concept, then as many of the class where it has any.

    Each kind is an endless row of permutations of its pictures, begun anew in every epoch.

    Args:
        num_instances: Number of the concept's pictures.
        num_classes: Number of class pictures; 0 where there is no prior.
        batch_size: Rows of each kind per batch and process.
        steps: Batches per epoch.
        seed: Another seed gives another order.
        rank: This process's number.
        world_size: Number of processes.
    """

    def __init__(
        self,
        num_instances: int,
        num_classes: int,
        batch_size: int,
        steps: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        super().__init__(rank, world_size)
        self.num_instances, self.num_classes = num_instances, num_classes
        self.batch_rows = batch_size * world_size
        self.steps = steps
        self.seed = seed

    def __len__(self) -> int:
        return self.steps

    def batches(self) -> list[list[Ask]]:
        """Return the rows of each batch of the epoch, over all processes."""
        instances = self._endless("instance", self.num_instances)
        batches = [self._asks(step, instances, 0) for step in range(self.steps)]
        if not self.num_classes:
            return batches
        classes = self._endless("class", self.num_classes)
        return [
            # a number of rows that the processes divide evenly, so each has as many of both kinds
            [*batch, *self._asks(step, classes, self.num_instances)]
            for step, batch in enumerate(batches)
        ]

    def _endless(self, kind: str, count: int) -> list[int]:
        wanted = self.steps * self.batch_rows
        generator = torch.Generator().manual_seed(seed_at(self.seed, self.epoch, kind))
        rounds = [torch.randperm(count, generator=generator) for _ in range(-(-wanted // count))]
        return torch.cat(rounds)[:wanted].tolist()

    def _asks(self, step: int, order: Sequence[int], first: int) -> list[Ask]:
        start = step * self.batch_rows
        return [
            Ask(first + number, first + number, seed_at(self.seed, self.epoch, start + i, first))
            for i, number in enumerate(order[start : start + self.batch_rows])
        ]


class FixedBatchSampler(ResumableBatchSampler[Any]):
    """The same rows in the same order in every epoch, each once over all processes.

    A last batch with fewer rows than processes is joined to the one before it.

    Args:
        rows: What the data set is asked by, row by row.
        batch_size: Rows per batch and process.
        rank: This process's number.
        world_size: Number of processes.
    """

    def __init__(
        self, rows: Sequence[Any], batch_size: int, rank: int = 0, world_size: int = 1
    ) -> None:
        if len(rows) < world_size:
            raise DataError(
                f"{len(rows)} rows cannot be divided among {world_size} processes; "
                "use fewer devices or more rows"
            )
        super().__init__(rank, world_size)
        self.rows = rows
        self.batch_rows = batch_size * world_size

    def __len__(self) -> int:
        return len(self.batches())

    def batches(self) -> list[Sequence[Any]]:
        """Return the rows of each batch, over all processes."""
        starts = range(0, len(self.rows), self.batch_rows)
        batches = [self.rows[start : start + self.batch_rows] for start in starts]
        if len(batches) > 1 and len(batches[-1]) < self.world_size:
            batches[-2:] = [[*batches[-2], *batches[-1]]]
        return batches
