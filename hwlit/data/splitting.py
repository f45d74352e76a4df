"""Stratified parts of a data set, with all copies of a text on one side.

Which part a text goes to depends on the seed and on the text alone, not on its place in the file
nor on the order of a dict or set.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from hwlit.errors import DataError

DEFAULT_TEST_SHARE = 0.2

_ADDRESS = re.compile(r"(?:https?://|www\.)\S+")
_MENTION = re.compile(r"(?<!\w)@\w+")


@dataclass(frozen=True)
class Split:
    """Which rows belong to which part, each list ascending.

    Args:
        train: Rows of the file to train on.
        validation: Rows of the file to validate on.
        test: Rows to test on: of the test part where the data set has one, else of the file.
        leaked: Rows of the file that were dropped because the test part holds their text.
        unused: Number of rows left out because `train_size` or `test_size` limits a part.
        empty: Number of rows left out because their text is empty.
    """

    train: list[int]
    validation: list[int]
    test: list[int]
    leaked: list[int]
    unused: int
    empty: int = 0

    def renumbered(self, file: Sequence[int], test: Sequence[int], empty: int) -> Split:
        """Return the division of whole files, where this is one of some of their rows.

        Args:
            file: The rows of the file that were divided.
            test: The rows of the test part, or of the file where there is none.
            empty: Number of rows that were left out.
        """
        return Split(
            train=[file[row] for row in self.train],
            validation=[file[row] for row in self.validation],
            test=[test[row] for row in self.test],
            leaked=[file[row] for row in self.leaked],
            unused=self.unused,
            empty=empty,
        )


@dataclass(frozen=True)
class _Group:
    """All rows with one normalised text; groups are ordered by a hash of seed and text."""

    key: str
    rank: bytes
    rows: list[int]
    label: int


def normalised(text: str) -> str:
    """Return what copies of a text share.

    Unicode forms, case and white space are levelled; addresses and @mentions become one mark each.
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _MENTION.sub("@", _ADDRESS.sub("://", text))
    return " ".join(text.split())


def split(
    texts: Sequence[str],
    labels: Sequence[int],
    *,
    classes: Sequence[str],
    seed: int,
    test_size: int | float | None,
    validation_size: int | float,
    train_size: int | None = None,
    test_part: tuple[Sequence[str], Sequence[int]] | None = None,
) -> Split:
    """Divide a data set into training, validation and test rows.

    Args:
        texts: The texts of the file.
        labels: The class id of each text.
        classes: The class names, in the order of their ids.
        seed: Another seed gives another split.
        test_size: Rows to test on: a number (int), a share (float) of the test part or, without
            one, of the file; None takes the whole test part, or a fifth of the file.
        validation_size: Rows to validate on: a number, or a share of the file.
        train_size: Limits the rows to train on to a stratified sample; None takes all.
        test_part: Texts and labels of a test part of its own.

    Returns:
        The rows of each part. Sizes are as asked, or smaller by less than a group of copies where
        the copies do not add up to the number.

    Raises:
        DataError: The sizes do not fit, or a part lacks a class.
    """
    groups = _groups(texts, labels, seed)
    if test_part is None:
        asked = DEFAULT_TEST_SHARE if test_size is None else test_size
        test, groups = _taken(groups, _count("test_size", asked, len(texts)))
        leaked, unused, test_labels = [], 0, labels
    else:
        in_test = {normalised(text) for text in test_part[0]}
        leaked = [row for group in groups if group.key in in_test for row in group.rows]
        groups = [group for group in groups if group.key not in in_test]
        test, unused = _limited(_groups(*test_part, seed), test_part[1], "test_size", test_size)
        test_labels = test_part[1]
    validation, groups = _taken(groups, _count("validation_size", validation_size, len(texts)))
    train, untrained = _limited(groups, labels, "train_size", train_size)
    _check_classes(classes, labels, {"training": train, "validation": validation})
    _check_classes(classes, test_labels, {"test": test})
    return Split(
        sorted(train), sorted(validation), sorted(test), sorted(leaked), unused + untrained
    )


def _groups(texts: Sequence[str], labels: Sequence[int], seed: int) -> list[_Group]:
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        rows.setdefault(normalised(text), []).append(row)
    groups = []
    for key, copies in rows.items():
        rank = hashlib.blake2b(f"{seed} {key}".encode(), digest_size=16).digest()
        groups.append(_Group(key, rank, copies, _commonest([labels[row] for row in copies])))
    return sorted(groups, key=lambda group: group.rank)


def _commonest(labels: list[int]) -> int:
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


def _count(name: str, size: int | float, total: int) -> int:
    count = size if isinstance(size, int) else max(1, round(size * total))
    if count >= total:
        raise DataError(f"{name} asks for {count} of {total} rows; choose a smaller {name}")
    return count


def _quotas(counts: Counter[int], size: int) -> dict[int, int]:
    """Divide `size` among classes in proportion, by the method of the largest remainder."""
    total = counts.total()
    quotas = {label: size * count // total for label, count in counts.items()}
    by_remainder = sorted(counts, key=lambda label: (-(size * counts[label] % total), label))
    for label in by_remainder[: size - sum(quotas.values())]:
        quotas[label] += 1
    return quotas


def _taken(groups: list[_Group], size: int) -> tuple[list[int], list[_Group]]:
    """Take whole groups, stratified; return the rows taken and the groups left."""
    counts: Counter[int] = Counter()
    for group in groups:
        counts[group.label] += len(group.rows)
    if size >= counts.total():
        raise DataError(
            f"test_size and validation_size leave no row to train on ({size} of "
            f"{counts.total()} rows asked for); choose smaller sizes"
        )
    missing = _quotas(counts, size)
    taken: set[str] = set()
    for group in groups:
        if len(group.rows) <= missing[group.label]:
            missing[group.label] -= len(group.rows)
            taken.add(group.key)
    short = sum(missing.values())
    for group in groups:  # what one class cannot make up of whole groups, another one may
        if group.key not in taken and len(group.rows) <= short:
            short -= len(group.rows)
            taken.add(group.key)
    rows = [row for group in groups if group.key in taken for row in group.rows]
    return rows, [group for group in groups if group.key not in taken]


def _limited(
    groups: list[_Group], labels: Sequence[int], name: str, size: int | float | None
) -> tuple[list[int], int]:
    """Return a stratified sample of the groups' rows, and how many rows it leaves out."""
    rows = [row for group in groups for row in group.rows]
    if size is None:
        return rows, 0
    count = size if isinstance(size, int) else max(1, round(size * len(rows)))
    if count > len(rows):
        raise DataError(f"{name} asks for {count} rows, but there are {len(rows)}; lower it")
    missing = _quotas(Counter(labels[row] for row in rows), count)
    sample = []
    for row in rows:
        if missing[labels[row]] > 0:
            missing[labels[row]] -= 1
            sample.append(row)
    return sample, len(rows) - count


def _check_classes(
    classes: Sequence[str], labels: Sequence[int], parts: dict[str, list[int]]
) -> None:
    for part, rows in parts.items():
        present = {labels[row] for row in rows}
        for label, name in enumerate(classes):
            if label not in present:
                raise DataError(
                    f"the {part} part ({len(rows)} rows) has no row of the class {name!r}; "
                    "give more rows of it or a larger part"
                )
