"""The values of a label column as text, or None where a row has no label."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from hwlit.data.json_records import inner_names
from hwlit.data.labels import is_missing, label_text
from hwlit.data.tables import Table
from hwlit.errors import DataError

LONGEST_LABEL = 500  # characters; labels become names of classes


def label_values(table: Table, column: str, named: Collection[Any]) -> list[str | None]:
    """Return the labels of a table, one a row.

    Args:
        table: The table.
        column: The column of the labels.
        named: Labels that the user named: one of these is a label even if it reads "nan".

    Raises:
        DataError: A value is no label.
    """
    values: list[str | None] = []
    for row, cells in enumerate(table.rows):
        try:
            value = None if cells[column] == [] else label_text(cells[column])
        except TypeError as error:
            raise DataError(_no_label(table, row, column, error)) from error
        if value is None or (is_missing(value) and value not in named):
            values.append(None)
            continue
        if len(value) > LONGEST_LABEL:
            raise DataError(
                f"{table.path}: {table.place(row)} has a label of {len(value):,} characters, "
                f"and a label has at most {LONGEST_LABEL}; name the right column by "
                "--data.label_column"
            )
        table.check_characters(row, column, value)
        values.append(value)
    return values


def check_missing(table: Table, values: list[str | None], drop: bool, hint: str) -> None:
    """Refuse rows without a label.

    Args:
        table: The table, for the refusal.
        values: Its labels.
        drop: Whether such rows are to be dropped, which some others are to outlive.
        hint: What else the user can do with a file of unlabelled rows; "" for nothing.

    Raises:
        DataError: There are such rows and they are not to be dropped, or there are no others.
    """
    missing = [row for row, value in enumerate(values) if value is None]
    if missing and not drop:
        raise DataError(
            f"{table.path}: {len(missing):,} of {len(values):,} rows have no label, the first in "
            f"{table.place(missing[0])}; add them or remove the rows, or set "
            f"--data.missing_labels drop{hint}"
        )
    if len(missing) == len(values):
        raise DataError(
            f"{table.path}: none of its {len(values):,} rows has a label; add labels, or name the "
            f"right column by --data.label_column{hint}"
        )


def _no_label(table: Table, row: int, column: str, error: TypeError) -> str:
    cells = [cells[column] for cells in table.rows]
    if not isinstance(cells[row], dict | list):
        told = f"{table.path}: {table.place(row)} has the {column} {str(cells[row])[:80]}"
        return f"{told} ({error}); use text or numbers"
    several = (n for n, cell in enumerate(cells) if isinstance(cell, list) and len(cell) > 1)
    if (first := next(several, None)) is not None:
        return (
            f"{table.path}: {table.place(first)} has {len(cells[first])} labels in {column}, "
            f"{str(cells[first])[:80]}, and one label a row is learnt (no multi-label); give rows "
            "of one label, or another --data.label_column"
        )
    inner = ", ".join(inner_names({column: cells[row]}))[:300]
    return (
        f"{table.path}: {table.place(row)} has the {column} {str(cells[row])[:80]}, which is no "
        f"text or number but holds {inner}; name one of these by --data.label_column"
    )
