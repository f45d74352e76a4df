"""Parquet files: some columns, batch by batch, and never more than there is memory for.

A few bytes of Parquet can stand for any number of rows and for texts of any length: a value that
comes again takes next to nothing. So values are counted before they are unpacked, by what they will
take as rows in memory, and a file that unpacks to very many times its size is refused.

Source: https://parquet.apache.org/docs/file-format/data-pages/encodings/
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from hwlit.bounded_files import told_size
from hwlit.data.columns import check_columns, check_names
from hwlit.data.files import check_memory, open_file
from hwlit.errors import DataError

BATCH_ROWS = 10_000
ROW_TAKES, BYTE_TAKES = 500, 5  # memory of a row, and for each byte of its values, measured
# Real texts unpack to some five times the size of their file, at most to some twenty times.
MOST_TIMES, HARMLESS = 100, 512 << 20


def read_parquet(path: Path, wanted: Mapping[str, str]) -> dict[str, list[Any]]:
    """Return the values of some columns, by name; a column of another type is refused unread.

    Args:
        path: The file.
        wanted: The columns to read; to each, what the user can do where it is missing.

    Raises:
        DataError: The file is none, is damaged, lacks a column, or unpacks to very many times its
            size.
        ResourceError: It takes more memory than is free.
    """
    with open_file(path) as source:
        try:
            with parquet.ParquetFile(source) as file:
                schema, metadata = file.schema_arrow, file.metadata
                check_names(path, schema.names, wanted)
                check_columns(path, schema.names, wanted)
                texts = [name for name in wanted if _is_text(path, schema.field(name))]
                size = source.seek(0, 2)
                _check_unpacked(path, metadata.num_rows, 0, size)
                # Values that come again stay one each until they have been counted.
                with parquet.ParquetFile(
                    source, metadata=metadata, read_dictionary=texts
                ) as dictionaries:
                    return _values(path, dictionaries, list(wanted), size)
        except (pa.ArrowException, OSError, ValueError, LookupError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(
                f"{path} cannot be read as Parquet ({reason}); write it anew"
            ) from error


def _values(
    path: Path, file: parquet.ParquetFile, names: list[str], size: int
) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in names}
    rows = held = 0
    for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=names):
        rows += batch.num_rows
        held += sum(map(_held, batch.columns))
        _check_unpacked(path, max(rows, file.metadata.num_rows), held, size)
        for name in names:
            columns[name] += batch.column(name).to_pylist()
    if rows != file.metadata.num_rows:
        raise ValueError(f"it says that it has {file.metadata.num_rows} rows, and has {rows}")
    return columns


def _is_text(path: Path, field: pa.Field) -> bool:
    """Return whether a column holds texts, and refuse what is neither text nor number nor null."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return True
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not numbers and not pa.types.is_null(kind):
        several = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        raise DataError(
            f"{path} has the column {field.name!r} of type {str(kind)[:80]}; texts, numbers and "
            "true or false are read: choose another column or convert it"
            + (" (several labels a row, multi-label, are not learnt)" if several else "")
        )
    return False


def _held(column: pa.Array) -> int:
    """Return the bytes of the values of a column, each as often as it comes."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = pc.binary_length(column.dictionary)
    return int(pc.sum(lengths.cast(pa.int64()).take(column.indices)).as_py() or 0)


def _check_unpacked(path: Path, rows: int, held: int, size: int) -> None:
    needed = ROW_TAKES * rows + BYTE_TAKES * held
    if needed > max(MOST_TIMES * size, HARMLESS):
        raise DataError(
            f"{path} unpacks to {rows:,} rows, {told_size(needed)} of memory, from "
            f"{told_size(size)}: more than {MOST_TIMES} times its size, as a decompression bomb "
            "does; give a file whose texts differ"
        )
    check_memory(path, needed, f"{rows:,} rows")
