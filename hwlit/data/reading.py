"""Labelled rows, and how the dedicated data sets read theirs from CSV files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hwlit.data.columns import check_names, told_names
from hwlit.data.content import check_length, read_content
from hwlit.data.csv_records import Record, check_swallowed, read_records, split_lines
from hwlit.data.dialects import Dialect
from hwlit.errors import DataError
from hwlit.exports.stock_classifier import Text

BORDER = " \0 "  # between the sentences of a pair, where one text stands for both
UNLABELLED = -1


@dataclass(frozen=True)
class Rows:
    """Labelled texts in the order of the file that they came from; the position is the row id.

    Args:
        texts: One text per row.
        labels: One class id per row; `UNLABELLED` for a row that is in no part for want of one.
        source: The file or the hub data set that was read.
        revision: The commit of the hub data set, where known.
        bare: The texts without what was put before them, where something was: rows that agree in
            these are copies of one another. None where they are the texts.
        encoding: How the file was encoded, where that is known.
        notes: How the file was read, where the file itself decided that.
        pairs: The second sentence of each row, where rows are pairs of sentences.
    """

    texts: list[str]
    labels: list[int]
    source: str
    revision: str | None = None
    bare: list[str] | None = None
    encoding: str | None = None
    notes: tuple[str, ...] = ()
    pairs: list[str] | None = None

    @property
    def labelled(self) -> list[int]:
        """The numbers of the rows that have a label."""
        return [row for row, label in enumerate(self.labels) if label != UNLABELLED]

    @property
    def inputs(self) -> Sequence[Text]:
        """What the tokenizer reads: one text per row, or both sentences of a pair."""
        return self.texts if self.pairs is None else list(zip(self.texts, self.pairs, strict=True))

    @property
    def keys(self) -> list[str]:
        """What tells copies: one text per row, without what was put before it; both of a pair."""
        if self.pairs is not None:
            return [BORDER.join(pair) for pair in zip(self.texts, self.pairs, strict=True)]
        return self.texts if self.bare is None else self.bare

    @property
    def empty(self) -> list[int]:
        """The labelled rows whose text, or one of whose sentences, is nothing but white space."""
        columns = [self.keys] if self.pairs is None else [self.texts, self.pairs]
        return [row for row in self.labelled if not all(texts[row].strip() for texts in columns)]


@dataclass(frozen=True)
class Form:
    """Which columns of a file hold the text and the label.

    Args:
        text: The columns that make up the text, joined by one space.
        label: The column with the class.
        values: The class id of each value that the label column may hold.
        columns: The names of all columns where the file has no header, else None.
        before: Columns whose values are put before the text; see `with_fields`.
    """

    text: tuple[str, ...]
    label: str
    values: Mapping[str, int]
    columns: tuple[str, ...] | None = None
    before: tuple[str, ...] = ()

    def fits(self, columns: Sequence[str]) -> bool:
        """Return whether all columns that this form reads are among `columns`."""
        return {*self.before, *self.text, self.label} <= set(columns)


def with_fields(text: str, fields: Mapping[str, str | None]) -> str:
    """Return a text with named fields before it, as in "keyword: wild fire | the text".

    Args:
        text: The text.
        fields: Value by name; "%20" in it is a space, and a field without a value is left out.
    """
    values = {name: " ".join((v or "").replace("%20", " ").split()) for name, v in fields.items()}
    return " | ".join([*(f"{name}: {value}" for name, value in values.items() if value), text])


def read_rows(path: str | Path, forms: Sequence[Form]) -> Rows:
    """Read a labelled CSV file.

    Args:
        path: The file.
        forms: The accepted forms; the first whose columns are all in the file is taken.

    Returns:
        The rows, in the order of the file.

    Raises:
        DataError: See `read_csv`.
    """
    rows, encoding, notes = _read(Path(path), forms[0].columns, forms)
    form = next(form for form in forms if form.fits(list(rows[0])))
    bare = [" ".join(row[column] for column in form.text) for row in rows]
    labels = [form.values[row[form.label]] for row in rows]
    if not form.before:
        return Rows(bare, labels, str(path), encoding=encoding, notes=notes)
    texts = [
        with_fields(text, {name: row[name] for name in form.before})
        for text, row in zip(bare, rows, strict=True)
    ]
    return Rows(texts, labels, str(path), bare=bare, encoding=encoding, notes=notes)


def read_csv(
    path: str | Path, columns: Sequence[str] | None = None, forms: Sequence[Form] = ()
) -> list[dict[str, str]]:
    """Read a CSV file without losing or changing a row.

    Args:
        path: The file.
        columns: The names of the columns of a file without a header; None takes the first record.
        forms: The accepted forms. With them, missing and doubled columns, unknown labels and rows
            swallowed by stray quotes are refused too.

    Returns:
        One dict per row, column name to text as written ("NA", "None" and "" stay text).

    Raises:
        DataError: The file cannot be read, is no text, is empty, or holds a record that is broken
            or ambiguous; the message names the line or byte.
    """
    return _read(Path(path), columns, forms)[0]


def _read(
    path: Path, columns: Sequence[str] | None, forms: Sequence[Form]
) -> tuple[list[dict[str, str]], str, tuple[str, ...]]:
    """Return the rows of a CSV file, its encoding, and how it was read."""
    dialect = Dialect(columns=None if columns is None else tuple(columns))
    content = read_content(path, "CSV", dialect)
    lines = split_lines(content.text)

    def check(names: list[str], delimiter: str) -> None:
        if forms:
            form = _matching_form(path, names, forms)
            check_names(path, names, (*form.before, *form.text, form.label))

    found = read_records(path, lines, dialect, ",", columns or (), check)
    names, records = found.names, found.records
    if forms:
        form = _matching_form(path, names, forms)
        label = names.index(form.label)
        check_swallowed(path, found, lines, {label: form.values.__contains__}, dialect)
        for record in records:
            _check_label(path, record, label, form)
            check_length(path, f"line {record.first}", max(record.fields, key=len))
    rows = [dict(zip(names, record.fields, strict=True)) for record in records]
    return rows, content.encoding, found.notes


def _matching_form(path: Path, names: list[str], forms: Sequence[Form]) -> Form:
    for form in forms:
        if form.fits(names):
            return form
    wanted = " or ".join(", ".join([*form.before, *form.text, form.label]) for form in forms)
    raise DataError(
        f"{path} lacks a column: it has {told_names(names)}, needed are {wanted}; "
        "rename the columns in its first line"
    )


def _check_label(path: Path, record: Record, label: int, form: Form) -> None:
    value = record.fields[label]
    if value not in form.values:
        known = ", ".join(map(repr, form.values))
        raise DataError(
            f"{path}: line {record.first} has the unknown {form.label} {value[:80]!r}; "
            f"known are {known}: correct or remove the row"
        )
