"""Stratified parts of a data set, with all copies of a text on one side.

Which part a text goes to depends on the seed and on the texts alone, not on their place in the file
nor on the order of a dict or set. Every class has a row in every part where it has enough texts:
three different ones, or two for training and test.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hwlit.errors import DataError

DEFAULT_TEST_SHARE = 0.2
# How many texts of a class a part leaves to those after it: test to validation and training.
LEFT_BY_TEST, LEFT_BY_VALIDATION = 2, 1

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
    label: int  # the commonest of its rows
    labels: frozenset[int]


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
        seed: Another seed gives another split.
        test_size: Rows to test on: a number (int), a share (float) of the test part or, without
            one, of the file; None takes the whole test part, or a fifth of the file. A share is
            at least one row of each class that has enough texts.
        validation_size: Rows to validate on: a number, or a share of the file; likewise.
        train_size: Limits the rows to train on to a stratified sample; None takes all.
        test_part: Texts and labels of a test part of its own.

    Returns:
        The rows of each part. Sizes are as asked, or smaller by less than a group of copies where
        the copies do not add up to the number, or where the rest would lack a class. A part may
        lack a class of few texts; those of one text alone are trained on.

    Raises:
        DataError: The sizes do not fit, or a part would be empty.
    """
    groups = _groups(texts, labels, seed)
    if test_part is None:
        asked = DEFAULT_TEST_SHARE if test_size is None else test_size
        test, groups = _taken(groups, "test_size", asked, len(texts), LEFT_BY_TEST)
        leaked, unused = [], 0
    else:
        in_test = {normalised(text) for text in test_part[0]}
        leaked = [row for group in groups if group.key in in_test for row in group.rows]
        groups = [group for group in groups if group.key not in in_test]
        if not groups:
            raise DataError(
                f"the test part holds the texts of all {len(texts)} training rows, and rows that "
                "are tested on are not trained on: none is left; give a test file of other texts"
            )
        test, unused = _limited(_groups(*test_part, seed), test_part[1], "test_size", test_size)
    validation, groups = _taken(
        groups, "validation_size", validation_size, len(texts), LEFT_BY_VALIDATION, len(leaked)
    )
    train, untrained = _limited(groups, labels, "train_size", train_size)
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
        found = [labels[row] for row in copies]
        groups.append(_Group(key, rank, copies, _commonest(found), frozenset(found)))
    return sorted(groups, key=lambda group: group.rank)


def _commonest(labels: list[int]) -> int:
    counts = Counter(labels)
    return min(counts, key=lambda label: (-counts[label], label))


def _quotas(counts: Counter[int], size: int) -> dict[int, int]:
    """Divide `size` among classes in proportion, by the method of the largest remainder."""
    total = counts.total()
    quotas = {label: size * count // total for label, count in counts.items()}
    by_remainder = sorted(counts, key=lambda label: (-(size * counts[label] % total), label))
    for label in by_remainder[: size - sum(quotas.values())]:
        quotas[label] += 1
    return quotas


def _taken(
    groups: list[_Group], name: str, asked: int | float, total: int, left: int, leaked: int = 0
) -> tuple[list[int], list[_Group]]:
    """Take whole groups, stratified; return the rows taken and the groups left.

    Args:
        groups: What can be taken.
        name: The argument that says how many, for the refusal.
        asked: A number of rows, or a share of `total`.
        total: Rows of the file.
        left: How many groups of each class the later parts need.
        leaked: Rows that were dropped before, because the test part has their texts.
    """
    texts = _texts_of_classes(groups)
    size = asked
    if isinstance(asked, float):
        size = max(1, round(asked * total), sum(count > left for count in texts.values()))
    if size >= total:
        raise DataError(f"{name} asks for {size} of {total} rows; choose a smaller {name}")
    rows = sum(len(group.rows) for group in groups)
    if size >= rows:
        dropped = f", and {leaked} are dropped, for the test part has their texts" if leaked else ""
        raise DataError(
            f"test_size and validation_size leave no row to train on ({size} of "
            f"{rows} rows asked for{dropped}); choose smaller sizes"
        )
    least = {label: min(left, max(1, count - 1)) for label, count in texts.items()}
    taken = _stratified(groups, int(size))
    if not _is_fair([group for group in groups if group.key in taken], texts, least):
        taken = _with_each_class(groups, int(size), dict(texts), least)
    if not taken:
        raise DataError(
            f"{name} would take the last text of a class, and {size} rows are asked for; give "
            "three different texts of each class or more"
        )
    found = [row for group in groups if group.key in taken for row in group.rows]
    return found, [group for group in groups if group.key not in taken]


def _texts_of_classes(groups: Sequence[_Group]) -> Counter[int]:
    """Return how many groups have a row of each class."""
    return Counter(label for group in groups for label in group.labels)


def _is_fair(taken: Sequence[_Group], texts: Mapping[int, int], least: Mapping[int, int]) -> bool:
    """Return whether a part has each class of two texts or more, and leaves enough of each."""
    inside = _texts_of_classes(taken)
    return all(
        (inside[label] > 0 or count < 2) and count - inside[label] >= least[label]
        for label, count in texts.items()
    )


def _stratified(groups: Sequence[_Group], size: int) -> set[str]:
    """Return the keys of groups that make up a size, each class by its share."""
    missing = _quotas(_rows_of_classes(groups), size)
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
    return taken


def _with_each_class(
    groups: Sequence[_Group], size: int, texts: dict[int, int], least: Mapping[int, int]
) -> set[str]:
    """Return the keys of groups as `_stratified` does, but one of each class before the rest.

    Args:
        groups: What can be taken.
        size: Rows to take.
        texts: How many groups of each class there are; what is taken is subtracted.
        least: How many of them are to be left.
    """
    counts = _rows_of_classes(groups)
    missing = Counter(_quotas(counts, size))
    taken: set[str] = set()
    seen: set[int] = set()
    room = size

    def take(group: _Group, most: int) -> bool:
        nonlocal room
        spare = all(texts[label] > least[label] for label in group.labels)
        if group.key in taken or not spare or len(group.rows) > min(room, most):
            return False
        taken.add(group.key)
        seen.update(group.labels)
        for label in group.labels:
            texts[label] -= 1
        missing[group.label] -= len(group.rows)
        room -= len(group.rows)
        return True

    holders: dict[int, list[_Group]] = {}
    for group in groups:
        for label in group.labels:
            holders.setdefault(label, []).append(group)
    # The commonest first: where the part is smaller than the classes are many, these count most.
    for label in sorted(holders, key=lambda label: (-counts[label], label)):
        if label not in seen:
            any(take(group, room) for group in holders[label])
    for group in groups:
        take(group, missing[group.label])
    for group in groups:
        take(group, room)
    return taken


def _rows_of_classes(groups: Sequence[_Group]) -> Counter[int]:
    """Return how many rows the groups of each class have."""
    counts: Counter[int] = Counter()
    for group in groups:
        counts[group.label] += len(group.rows)
    return counts


def _limited(
    groups: list[_Group], labels: Sequence[int], name: str, size: int | float | None
) -> tuple[list[int], int]:
    """Return a stratified sample of the groups' rows, and how many rows it leaves out."""
    rows = [row for group in groups for row in group.rows]
    if size is None:
        return rows, 0
    counts = Counter(labels[row] for row in rows)
    count = size if isinstance(size, int) else max(1, round(size * len(rows)), len(counts))
    if count > len(rows):
        raise DataError(f"{name} asks for {count} rows, but there are {len(rows)}; lower it")
    missing = _quotas(counts, count)
    if count >= len(counts):
        _fill_up(missing)
    sample = []
    for row in rows:
        if missing[labels[row]] > 0:
            missing[labels[row]] -= 1
            sample.append(row)
    return sample, len(rows) - count


def _fill_up(quotas: dict[int, int]) -> None:
    """Give a class without a row one of those of the class with the most."""
    for label in sorted(label for label, quota in quotas.items() if quota == 0):
        most = max(quotas, key=lambda other: (quotas[other], -other))
        quotas[most] -= 1
        quotas[label] = 1
