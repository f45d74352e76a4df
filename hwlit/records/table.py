"""The test rows as a file: one line per row, and per column what a reading sums up from."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hwlit.records.readings import RowKind, TestRows

FILE = "test_rows.csv"
ID, GROUP = "row_id", "group"


@dataclass(frozen=True)
class RowTable:
    """The test rows of a run.

    Args:
        row_ids: Their ids, ascending.
        columns: The counts by column, one for each row; None where a row has none.
        kinds: What kind of count each column holds.
        groups: The group of each row, where rows of one group are alike.
        truth: The column that must be the same for the rows of two runs to be paired.
    """

    row_ids: Sequence[int]
    columns: Mapping[str, Sequence[Any]]
    kinds: Mapping[str, RowKind]
    groups: Sequence[str] | None = None
    truth: str | None = None

    def to_csv(self) -> str:
        """Return the file's text: `row_id`, `group` where there is one, columns; empty for None."""
        shown = {} if self.groups is None else {GROUP: self.groups}
        shown |= self.columns
        file = io.StringIO()
        # Names of classes and prompts are quoted, for they may hold anything.
        writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow([ID, *shown])
        for row in zip(self.row_ids, *shown.values(), strict=True):
            writer.writerow(["" if value is None else value for value in row])
        return file.getvalue()

    def describe(self) -> TestRows:
        """Return what the record says about the file."""
        return TestRows(dict(self.kinds), len(self.row_ids), FILE, self.truth)


def general(prompt: str, identifier: str) -> str:
    """Return a prompt with `*` for each of the words that name the concept.

    Args:
        prompt: The prompt.
        identifier: The words; may be empty.
    """
    for word in identifier.split():
        prompt = re.sub(rf"(?<!\w){re.escape(word)}(?!\w)", "*", prompt, flags=re.IGNORECASE)
    return prompt
