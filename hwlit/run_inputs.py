"""What a finished run reads: single texts or pairs of sentences, whole or in windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hwlit.errors import DataError, IntegrityError, UsageError
from hwlit.exports.stock_classifier import Text
from hwlit.records import Record


def pair_column(run: Path, record: Record) -> str | None:
    """Return the column of the second sentences that a run read; None where it read single texts.

    Raises:
        IntegrityError: The record holds something else there.
    """
    column = record.data.rest.get("pair_column")
    if column is not None and not isinstance(column, str):
        raise IntegrityError(
            f"the record of {run} has {str(column)[:40]!r} as data.pair_column, which is no name; "
            "bring the run's own files back"
        )
    return column


def reads_pairs(run: Path, record: Record, texts: Sequence[Text]) -> bool:
    """Return whether a run reads pairs, as the texts are.

    Args:
        run: The run's directory.
        record: Its record.
        texts: What it is to label.

    Raises:
        UsageError: It reads pairs and the texts are single, or the other way round.
    """
    pairs = pair_column(run, record) is not None
    if pairs and isinstance(texts[0], str):
        raise UsageError(
            f"{run} reads pairs of sentences; give the second one of each by --pair, or a file"
        )
    if not pairs and not isinstance(texts[0], str):
        raise UsageError(f"{run} reads single texts; leave out --pair and --pair-column")
    return pairs


def read_stride(run: Path, record: Record, room: int) -> int | None:
    """Return the tokens that windows of a text share; None where texts are cut.

    Args:
        run: The run's directory.
        record: Its record.
        room: Tokens of the text in a window.

    Raises:
        IntegrityError: The record holds something else there.
    """
    stride = record.data.rest.get("stride")
    if stride is None or (type(stride) is int and 0 <= stride < room):
        return stride
    raise IntegrityError(
        f"the record of {run} has {str(stride)[:40]!r} as data.stride, where a whole number from 0 "
        f"to {room - 1} is needed; bring the run's own files back"
    )


def given_texts(texts: Sequence[str], pairs: Sequence[str] | None) -> list[Text]:
    """Return the texts of the command line, or the pairs where second sentences are given.

    Raises:
        UsageError: There are not as many of both.
    """
    if pairs is None:
        return list(texts)
    if len(pairs) != len(texts):
        raise UsageError(
            f"--text is given {len(texts)} times and --pair {len(pairs)} times; give a --pair for "
            "each --text, in the same order"
        )
    return list(zip(texts, pairs, strict=True))


def parted(lines: list[str], source: str, record: Record) -> list[Text]:
    """Return lines as the texts that they are: for a run of pairs with a tab between sentences.

    Args:
        lines: The lines.
        source: What to call them in an error.
        record: The run's record.

    Raises:
        DataError: A line has no tab, or more than one.
    """
    if record.data.rest.get("pair_column") is None:
        return list(lines)
    pairs: list[Text] = []
    for number, line in enumerate(lines, start=1):
        first, tab, second = line.partition("\t")
        if not tab or "\t" in second:
            raise DataError(
                f"{source}: line {number} has {line.count(chr(9))} tabs, and the run reads pairs: "
                "write both sentences on a line with one tab between them"
            )
        pairs.append((first, second))
    return pairs
