"""What a run asks of any data set, whatever its rows are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from lightning.pytorch import LightningDataModule


class Data(LightningDataModule, ABC):
    """A data set with its division into parts and a report about both."""

    batch_size: int

    @abstractmethod
    def report(self) -> dict[str, Any]:
        """Return what was read and how it was divided, as plain JSON.

        Holds at least `rows` (number of rows by part) and `fingerprint`.
        """
