"""Text files of the user's own: any columns, any classes."""

from __future__ import annotations

from typing import Any

from hwlit.data.arguments import unquoted
from hwlit.data.base import TextData
from hwlit.data.labels import Classes, find_classes, is_missing, label_text
from hwlit.data.reading import Rows
from hwlit.data.tables import Table, read_table
from hwlit.errors import DataError, UsageError

LONGEST_LABEL = 500  # characters; labels become names of classes


class TextFiles(TextData):
    """Your own labelled texts: `path`, and `test_path` where you have a test file.

    Files are read by their ending: .csv (commas), .tsv (tabs), .jsonl or .ndjson (one JSON object a
    line), all in UTF-8, or .parquet. A label is what its column holds, as text; a whole number in
    JSON or Parquet is written without its point (1.0 is "1"). Refused are empty labels (also "nan"
    and "null", unless `label_names` names them), labels that differ only in case, white space or
    the form of a number, and labels of the test file that the training file lacks.

    Args:
        text_column: The column of the text; in double quotes where YAML would change the name.
        label_column: The column of the label; likewise.
        pair_column: The column of the second sentence, where rows are pairs of sentences, such as
            premise and hypothesis: the first is in `text_column`. null reads single texts. Copies
            are rows that agree in both; a pair is empty if either of its sentences is.
        label_names: null takes the values found as names, sorted: numbers by size, others by code
            point. A list gives the values in the order of their ids or, where the values are 0, 1,
            2 and so on, their names. A mapping gives each value its name; values of one name are
            one class.
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
        table = self._table(self.test_path)
        labels = []
        for row, value in enumerate(self._values(table)):
            if value not in classes.ids:
                known = ", ".join(map(repr, classes.ids))[:300]
                raise DataError(
                    f"{self.test_path}: {table.place(row)} has the label {value[:80]!r}, which "
                    f"{self.path} lacks (it has {known}); correct or remove the row"
                )
            labels.append(classes.ids[value])
        return train, self._rows(self.test_path, table, labels)

    def columns(self) -> dict[str, Any]:
        """Return which columns were read and the class name of each label."""
        classes = self._training()[1]
        return {
            "text_column": self.text_column,
            "label_column": self.label_column,
            **({} if self.pair_column is None else {"pair_column": self.pair_column}),
            "label_names": {value: classes.names[i] for value, i in classes.ids.items()},
        }

    def _training(self) -> tuple[Rows, Classes]:
        if self._train is None or self._classes is None:
            if self.path is None:
                raise UsageError("there is no file to train on; give yours by --data.path")
            table = self._table(self.path)
            values = self._values(table)
            places: dict[str, str] = {}
            for row, value in enumerate(values):
                if value not in places:
                    places[value] = table.place(row)
            self._classes = find_classes(self.path, places, len(values), self.label_names)
            labels = [self._classes.ids[value] for value in values]
            self._train = self._rows(self.path, table, labels)
        return self._train, self._classes

    def _table(self, path: str) -> Table:
        wanted = {
            self.text_column: "name the column of the texts by --data.text_column",
            self.label_column: "name the column of the labels by --data.label_column",
        }
        if self.pair_column is not None:
            wanted[self.pair_column] = (
                "name the column of the second sentence by --data.pair_column"
            )
        return read_table(path, wanted, self.label_column)

    def _rows(self, path: str, table: Table, labels: list[int]) -> Rows:
        pairs = None if self.pair_column is None else table.texts(self.pair_column)
        texts, encoding = table.texts(self.text_column), table.encoding
        return Rows(texts, labels, path, encoding=encoding, pairs=pairs)

    def _values(self, table: Table) -> list[str]:
        """Return the labels of a file as text, and refuse missing ones."""
        named = self.label_names or ()
        values = []
        for row, values_of_row in enumerate(table.rows):
            found = values_of_row[self.label_column]
            try:
                value = label_text(found)
            except TypeError as error:
                raise DataError(
                    f"{table.path}: {table.place(row)} has the label {str(found)[:80]} ({error}); "
                    "use text or numbers"
                ) from error
            if value is None or (is_missing(value) and value not in named):
                raise DataError(
                    f"{table.path}: {table.place(row)} has no label ({found!r}); add it or remove "
                    "the row"
                )
            if len(value) > LONGEST_LABEL:
                raise DataError(
                    f"{table.path}: {table.place(row)} has a label of {len(value):,} characters, "
                    f"and a label has at most {LONGEST_LABEL}; name the right column by "
                    "--data.label_column"
                )
            values.append(value)
        return values
