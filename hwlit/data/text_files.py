"""Text files of the user's own: any columns, any classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from hwlit.data.arguments import unquoted
from hwlit.data.base import TextData
from hwlit.data.dialects import Dialect, dialect_of
from hwlit.data.label_values import check_missing, label_values
from hwlit.data.labels import DOUBTFUL, Classes, find_classes
from hwlit.data.reading import UNLABELLED, Rows
from hwlit.data.tables import DELIMITED, Table, read_table
from hwlit.errors import DataError, UsageError

NOT_GIVEN = Dialect(flags=True)
TO_LABEL = "; to label it, use hwlit predict RUN --file"


class TextFiles(TextData):
    """Your own labelled texts: `path`, and `test_path` where you have a test file.

    Files are read by their ending: .csv (commas), .tsv (tabs), .jsonl or .ndjson (one JSON object a
    line), .json (a list of objects, or one a line) or .parquet. Text is UTF-8, or UTF-16 with a
    byte order mark. A label is what its column holds, as text; a whole number is written without
    its point (1.0 is "1"). Refused are empty labels (also "nan" and "null", unless `label_names`
    names them), labels that differ only in case, white space or the form of a number, labels of the
    test file that the training file lacks, several labels in one row, and scores such as 3.5
    (unless `label_names` names them).

    Args:
        text_column: The column of the text; in double quotes where YAML would change the name. In
            JSON, a.b is the value b in the object a, and a.0 the only item of the list a.
        label_column: The column of the label; likewise.
        pair_column: The column of the second sentence, where rows are pairs of sentences, such as
            premise and hypothesis: the first is in `text_column`. null reads single texts. Copies
            are rows that agree in both; a pair is empty if either of its sentences is.
        label_names: null takes the values found as names, sorted: numbers by size, others by code
            point. A list gives the values in the order of their ids or, where the values are 0, 1,
            2 and so on, their names. A mapping gives each value its name; values of one name are
            one class.
        missing_labels: What to do with rows without a label, in the test file too: stop with an
            "error", as null does, or "drop" them. The report counts them.
        delimiter: What parts the columns of .csv and .tsv: comma, semicolon, tab or pipe. null
            takes the comma for .csv and the tab for .tsv, unless the first line is sep=; or alike.
        quotes: "standard", or null, reads .csv and .tsv with quotes around texts that hold a
            delimiter, a line end or a quote (doubled there). "none" takes quotes for letters, as in
            the files of GLUE: a text cannot hold a delimiter or a line end then.
        columns: The names of all columns in their order, for .csv and .tsv without a header, such
            as [source, label, mark, sentence] for CoLA; null reads them from the first line.
        encoding: The encoding of files that are not UTF-8 and have no byte order mark, by its name
            in Python: cp1252 (Windows, western Europe), latin_1, utf_16_le, shift_jis, gb18030.
        max_length: Longer texts are cut to this many tokens.
        kwargs: See `TextData`.
    """

    def __init__(
        self,
        *,
        text_column: str = "text",
        label_column: str = "label",
        label_names: list[str] | dict[str, str] | None = None,
        pair_column: str | None = None,
        missing_labels: Literal["error", "drop"] | None = None,
        delimiter: str | None = None,
        quotes: Literal["standard", "none"] | None = None,
        columns: list[str] | None = None,
        encoding: str | None = None,
        max_length: int = 128,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_length=max_length, **kwargs)
        if text_column == label_column:
            raise UsageError(
                f"--data.text_column and --data.label_column are both {text_column!r}; "
                "give two different columns"
            )
        self.text_column = unquoted(text_column)
        self.label_column = unquoted(label_column)
        self.label_names = label_names
        # Null where not given: a config of a run that began before these settings agrees with it.
        self.missing_labels = missing_labels or "error"
        self.dialect = dialect_of(encoding, delimiter, quotes or "standard", columns)
        self._check_formats()
        self.pair_column = None if pair_column is None else unquoted(pair_column)
        if self.pair_column in (self.text_column, self.label_column):
            raise UsageError(
                f"--data.pair_column is {self.pair_column!r}, which is the column of the "
                f"{'text' if self.pair_column == self.text_column else 'label'} too; name the "
                "column of the second sentence"
            )
        if self.pair_column is not None and self.stride is not None:
            raise UsageError(
                "--data.stride and --data.pair_column exclude each other: windows are made of "
                "single texts, and of a pair the longer sentence is cut; leave one out"
            )
        self._classes: Classes | None = None
        self._train: Rows | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The class names in the order of their ids; the first time this reads the training file.

        Raises:
            DataError: The file cannot be read as it is.
            UsageError: There is no path.
        """
        return self._training()[1].names

    def read_files(self) -> tuple[Rows, Rows | None]:
        """Read the training file and the test file, if there is one."""
        train, classes = self._training()
        if self.test_path is None:
            return train, None
        table = self._table(self.test_path, TO_LABEL)
        values = self._values(table, TO_LABEL)
        ids = [None if value is None else classes.id_of(value) for value in values]
        for row, (value, label) in enumerate(zip(values, ids, strict=True)):
            if value is not None and label is None:
                known = ", ".join(map(repr, classes.ids))[:300]
                same = len({label for label in values if label is not None}) == 1
                hidden = TO_LABEL if same else ""  # -1 in all rows, as in GLUE
                raise DataError(
                    f"{self.test_path}: {table.place(row)} has the label {value[:80]!r}, which "
                    f"{self.path} lacks (it has {known}); correct or remove the row{hidden}"
                )
        return train, self._rows(table, self.test_path, values, classes)

    def columns(self) -> dict[str, Any]:
        """Return which columns were read and the class name of each label."""
        classes = self._training()[1]
        return {
            "text_column": self.text_column,
            "label_column": self.label_column,
            **({} if self.pair_column is None else {"pair_column": self.pair_column}),
            "label_names": {value: classes.names[i] for value, i in classes.ids.items()},
            "missing_labels_policy": self.missing_labels,
            **({} if self.dialect == NOT_GIVEN else {"dialect": self.dialect.as_record()}),
        }

    def _training(self) -> tuple[Rows, Classes]:
        if self._train is None or self._classes is None:
            if self.path is None:
                raise UsageError("there is no file to train on; give yours by --data.path")
            table = self._table(self.path)
            values = self._values(table)
            places: dict[str, str] = {}
            for row, value in enumerate(values):
                if value is not None and value not in places:
                    places[value] = table.place(row)
            labelled = len(values) - values.count(None)
            self._classes = find_classes(self.path, places, labelled, self.label_names)
            self._train = self._rows(table, self.path, values, self._classes)
        return self._train, self._classes

    def _rows(self, table: Table, path: str, values: list[str | None], classes: Classes) -> Rows:
        """Return the rows of a file whose labels are known."""
        ids = [UNLABELLED if value is None else classes.id_of(value) for value in values]
        labels = [label for label in ids if label is not None]
        pointed = {v for v in set(values) if v is not None and v not in classes.ids}
        notes = table.notes + (("labels such as 1.0 read as 1",) if pointed else ())
        doubtful = sorted({v for v in set(values) if v is not None and v.casefold() in DOUBTFUL})
        if doubtful and not self.label_names:
            notes += (f"labels taken as classes though they may mean none {', '.join(doubtful)}",)
        texts = table.texts(self.text_column)
        pairs = None if self.pair_column is None else table.texts(self.pair_column)
        return Rows(texts, labels, path, encoding=table.encoding, notes=notes, pairs=pairs)

    def _table(self, path: str, hint: str = "") -> Table:
        wanted = {
            self.text_column: "name the column of the texts by --data.text_column",
            self.label_column: f"name the column of the labels by --data.label_column{hint}",
        }
        if self.pair_column is not None:
            wanted[self.pair_column] = (
                "name the column of the second sentence by --data.pair_column"
            )
        return read_table(path, wanted, self.label_column, self.dialect)

    def _values(self, table: Table, hint: str = "") -> list[str | None]:
        values = label_values(table, self.label_column, self.label_names or ())
        check_missing(table, values, self.missing_labels == "drop", hint)
        return values

    def _check_formats(self) -> None:
        """Refuse settings of .csv and .tsv where no file is one."""
        paths = [path for path in (self.path, self.test_path) if path is not None]
        given = {
            "delimiter": self.dialect.delimiter,
            "columns": self.dialect.columns,
            "quotes": self.dialect.quotes if self.dialect.quotes != "standard" else None,
        }
        if paths and not any(Path(path).suffix.lower() in DELIMITED for path in paths):
            for name, value in given.items():
                if value is not None:
                    raise UsageError(
                        f"--data.{name} is of .csv and .tsv, and {paths[0]} is none; leave it out"
                    )
