"""Batches that a resumed run goes on with, in an order that depends on seed and epoch alone.

A run that is resumed, or spread over other workers, must see the same batches; nothing here draws
from the global random numbers or remembers what was drawn before.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.trainer.states import TrainerFn
from torch.utils.data import DataLoader, Dataset, Sampler

from hwlit.errors import DataError

Index = TypeVar("Index")  # what a data set is asked by
Order = TypeVar("Order", bound="ResumableBatchSampler[Any]")


class ResumableBatchSampler(Sampler[list[Index]], ABC, Generic[Index]):
    """The batches of an epoch, each divided among the processes.

    Over several processes, the batches are those that one process would see at `world_size` times
    the batch size, and each process takes its share of every batch.

    Args:
        rank: This process's number.
        world_size: Number of processes.
    """

    def __init__(self, rank: int = 0, world_size: int = 1) -> None:
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0
        self._resume: tuple[int, int] | None = None

    @abstractmethod
    def batches(self) -> Sequence[Sequence[Index]]:
        """Return the batches of the epoch over all processes."""

    @property
    def sampler(self) -> ResumableBatchSampler[Index]:
        """Itself: Lightning calls `set_epoch` on a batch sampler's `sampler` only."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of `epoch`; Lightning calls this before every epoch."""
        self.epoch = epoch

    def resume(self, epoch: int, batches: int) -> None:
        """Leave out the first `batches` batches the next time that `epoch` is served."""
        self._resume = (epoch, batches)

    @property
    def first_batch(self) -> int:
        """Number of batches that the next iteration leaves out."""
        return self._resume[1] if self._resume and self._resume[0] == self.epoch else 0

    def __iter__(self) -> Iterator[list[Index]]:
        first = self.first_batch
        self._resume = None
        for batch in self.batches()[first:]:
            yield list(batch[self.rank :: self.world_size])


class ResumableLoader(DataLoader[Any], Generic[Order]):
    """A DataLoader that knows how many batches of the epoch it has served.

    Its iterator starts at the first batch asked for, not before: Lightning makes the iterator first
    and sets the epoch afterwards, and workers that had begun already would serve another order.

    Args:
        dataset: The rows.
        batch_sampler: Their order.
        settings: Further arguments of `torch.utils.data.DataLoader`.
    """

    def __init__(self, dataset: Dataset[Any], batch_sampler: Order, **settings: Any) -> None:
        super().__init__(dataset, batch_sampler=batch_sampler, **settings)
        self.order = batch_sampler
        self._position = (0, 0)

    def __iter__(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        first = self.order.first_batch
        for served, batch in enumerate(super().__iter__(), start=first + 1):
            self._position = (self.order.epoch, served)
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the position: the epoch, and the batches of it that were served."""
        epoch, served = self._position
        return {"epoch": self.order.epoch, "served": served if epoch == self.order.epoch else 0}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue at a position that `state_dict` returned."""
        self._position = (state["epoch"], state["served"])
        self.order.set_epoch(state["epoch"])
        self.order.resume(*self._position)


class ResumableData(LightningDataModule, ABC):
    """A data set whose training goes on at the batch after a checkpoint.

    The batches are divided among the processes here, so the Trainer must be run with
    `use_distributed_sampler=False`.
    """

    batch_size: int  # rows per training batch and process
    # Settings that other data sets have and this one has no use for, each with the reason.
    not_taken: ClassVar[Mapping[str, str]] = {}

    def __init__(self) -> None:
        super().__init__()
        self._train_loader: ResumableLoader[Any] | None = None
        self._position: dict[str, Any] | None = None

    @abstractmethod
    def report(self) -> dict[str, Any]:
        """Return what was read, as plain JSON.

        `fingerprint`, `source`, and `rows` by part are in it.
        """

    def __str__(self) -> str:
        """Return the name alone: Lightning would make every loader, and the parser asks for it."""
        return type(self).__name__

    @property
    def place(self) -> tuple[int, int]:
        """This process's number, and the number of processes."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def resumed(self, loader: ResumableLoader[Order]) -> ResumableLoader[Order]:
        """Return the loader of the training batches, at the position to go on from."""
        if self._position is not None:
            loader.load_state_dict(self._position)
        self._train_loader = loader
        return loader

    def state_dict(self) -> dict[str, Any]:
        """Return the position in the training rows, and which rows these are."""
        if self._train_loader is None:
            return {}
        return self._train_loader.state_dict() | {"fingerprint": self.report()["fingerprint"]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue training at the position of a checkpoint.

        Raises:
            DataError: The checkpoint was written while training on other rows.
        """
        # Lightning restores the loader's own state too, but drops it where the optimizer asked for
        # the number of steps before; a test from a checkpoint restores as well and continues none.
        if self.trainer is None or self.trainer.state.fn != TrainerFn.FITTING:
            return
        if state_dict["fingerprint"] != self.report()["fingerprint"]:
            source = self.report()["source"]
            raise DataError(
                f"{source if isinstance(source, str) else source[0]} holds other rows than those "
                "that the checkpoint was trained on; give the same data or start a new run"
            )
        self._position = state_dict


def loader_settings(seed: int, num_workers: int) -> dict[str, Any]:
    """Return the arguments that all loaders share."""
    return {
        "num_workers": num_workers,
        "persistent_workers": num_workers > 0,
        "pin_memory": torch.cuda.is_available(),
        # of its own, so that making an iterator draws nothing from the global random numbers
        "generator": torch.Generator().manual_seed(seed),
    }


def seed_at(seed: int, *position: int | str) -> int:
    """Return a seed that depends on the run's seed and a position, and on nothing before it."""
    # hashed, so that epoch 1 of seed 0 is not epoch 0 of seed 1
    text = " ".join(map(str, ("order", seed, *position)))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
