"""Tables that hang, unpack to gigabytes, bring code along, or are broken in ways that mislead."""

from __future__ import annotations

import base64
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from tools.hostile.case import MARK, Hostile, Stock

PREDICT = ("predict", "{stock}/finished", "--file")
FILES = ("fit", "SMALL", "--config", "text/files", "--data.label_column", "target", "--data.path")
HEADER = b"text,target\n"
Write = Callable[[Path], object]


def cases() -> list[Hostile]:
    """Return every case."""
    return [
        *_no_files(),
        *_texts(),
        *_json_lines(),
        *_ways_to_read(),
        *_parquet(),
        *_places(),
        *_numbers(),
    ]


def _case(
    name: str, told: str, file: str, write: Write, *before: str, kind: str = "answer"
) -> Hostile:
    def prepare(here: Path, stock: Stock) -> None:
        write(here / file)

    return Hostile(name, kind, (*(before or PREDICT), file), (3,), told, prepare)


def _bytes(content: bytes) -> Write:
    return lambda path: path.write_bytes(content)


def _sparse(start: bytes, size: int) -> Write:
    def write(path: Path) -> None:
        with path.open("wb") as file:
            file.write(start)
            file.truncate(size)

    return write


def _link(target: str) -> Write:
    return lambda path: path.symlink_to(target)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(os.path.relpath(path))  # its address may have 107 letters


def _no_files() -> list[Hostile]:
    """Return what is no plain file, or is one that never ends."""
    return [
        *(
            _case(f"a pipe named {name}", "is a named pipe", name, os.mkfifo, *before)
            for name, before in (
                ("x.csv", PREDICT),
                ("x.jsonl", PREDICT),
                ("x.parquet", PREDICT),
                ("x.txt", PREDICT),
                ("x.tsv", FILES),
            )
        ),
        _case("a link to a device without end", "is a device", "x.csv", _link("/dev/zero")),
        _case("a link to itself", "cannot be read", "x.csv", _link("x.csv")),
        _case("a folder named as a table", "is a directory", "x.parquet", os.mkdir),
        _case("a socket", "is a socket", "x.csv", _socket),
        _case("10 GiB of nothing", "NUL byte", "x.csv", _sparse(b"", 10 << 30)),
        _case("10 GiB of lines", "at most 1.0 GiB", "x.txt", _sparse(b"a\n", 10 << 30)),
        Hostile("a name of 5,000 letters", "answer", (*PREDICT, "x" * 5000), (3,), "too long"),
    ]  # fmt: skip


def _texts() -> list[Hostile]:
    """Return CSV, TSV and lines."""
    gzip = b"\x1f\x8b\x08\0" + bytes(100)
    long = b"a" * 11_000_000
    many = ",".join(f"c{i}" for i in range(300_000)).encode()
    return [
        _case("a gzip bomb named csv", "compressed by gzip", "x.csv", _bytes(gzip)),
        _case("a zip named csv", "zip archive", "x.csv", _bytes(b"PK\x03\x04" + bytes(99))),
        _case("a text of 11 million characters", "11,000,000 characters", "x.csv",
              _bytes(HEADER + long + b",1\n")),
        _case("such a text to train on", "11,000,000 characters", "x.csv",
              _bytes(HEADER + long + b",1\n"), "fit", "SMALL", "--data.path"),
        _case("a line of 11 million characters", "11,000,000 characters", "x.txt", _bytes(long)),
        _case("a label of a million characters", "label of 1,000,000 characters", "x.csv",
              _bytes(HEADER + b"a," + b"1" * 1_000_000 + b"\n"), *FILES),
        _case("a quote that is never closed", "quotes", "x.csv",
              _bytes(HEADER + b'"a,1\n' + b"b,0\n" * 300_000)),
        _case("300,000 columns", "no column 'text'", "x.csv", _bytes(many + b"\n" + many)),
        _case("300,000 columns of one name", "no column 'text'", "x.csv",
              _bytes(many + b",c7\n" + many)),
        _case("300,000 columns, two of them read", "'text' twice", "x.csv",
              _bytes(b"text,text," + many + b"\n" + many)),
        _case("300,000 columns and a row of one", "has 1 fields instead of 300000", "x.csv",
              _bytes(many.replace(b"c0", b"text", 1) + b"\n1\n")),
        _case("a NUL byte in a text", "NUL byte at byte 13", "x.csv", _bytes(HEADER + b"a\0b,1\n")),
        _case("a NUL byte behind a million", "NUL byte", "x.csv",
              _bytes(HEADER + b"a,1\n" * 300_000 + b"\0,1\n")),
        _case("half a character in UTF-16", "not UTF-16: byte 10", "x.csv",
              _bytes("text\n".encode("utf-16")[:10] + b"\0\xd8\n\0")),
        _case("UTF-16 without its mark", "iconv -f UTF-16LE", "x.csv",
              _bytes("text\na\n".encode("utf-16-le"))),
        _case("a delimiter that nobody reads", "parts its columns", "x.csv",
              _bytes(b"sep=\x1b\n" + HEADER + b"a,1\n"), kind="screen"),
        _case("a file of one stated delimiter", "has no rows", "x.csv", _bytes(b"sep=;\n")),
    ]  # fmt: skip


def _json_lines() -> list[Hostile]:
    deep = b'{"text": "a", "target": ' + b"[" * 200_000 + b"\n"
    keys = ", ".join(f'"k{i}": 0' for i in range(200_000))
    odd = {"infinity": "Infinity", "a number beyond all": "1e999", "no number": "NaN"}
    return [
        _case("brackets 200,000 deep", "line 1 is no JSON", "x.jsonl", _bytes(deep)),
        _case("a number of 5,000 digits", "line 1 is no JSON", "x.jsonl",
              _bytes(b'{"text": "a", "target": ' + b"1" * 5000 + b"}\n")),
        _case("200,000 keys of which one comes twice", "no column 'text'", "x.jsonl",
              _bytes(f'{{{keys}, "k7": 1}}\n'.encode())),
        _case("200,000 keys, one of them read and twice", "'text' twice", "x.jsonl",
              _bytes(f'{{{keys}, "text": 1, "text": 1}}\n'.encode())),
        *(
            _case(f"{what}, as a list of rows", told, "x.json", _bytes(content))
            for what, told, content in (
                ("brackets 200,000 deep", "line 1 is no JSON", b"[" * 200_000),
                ("objects 200,000 deep", "line 1 is no JSON", b'{"data":' * 200_000),
                ("objects 500 deep", "no column 'text'",
                 b"[" + b'{"a":' * 500 + b"1" + b"}" * 500 + b"]"),
                ("a million lists of nothing", "holds a list",
                 b"[" + b"[]," * 1_000_000 + b"[]]"),
                ("two lists of rows", "cannot be told",
                 b'{"a": [{"text": "x"}], "b": [{"text": 1}]}'),
                ("a list that ends nowhere", "line 1 is no JSON", b'[{"text": "a"},' * 100_000),
            )
        ),
        _case("half a character", "half a character", "x.jsonl",
              _bytes(b'{"text": "a\\ud800", "target": 1}\n')),
        *(
            _case(f"{name} as a label", "label", "x.jsonl",
                  _bytes(f'{{"text": "a", "target": {value}}}\n'.encode()), *FILES)
            for name, value in odd.items()
        ),
    ]  # fmt: skip


def _ways_to_read() -> list[Hostile]:
    """Return what the flags and a record say of how files are written."""
    told = {
        "encoding": ("bz2", "no text encoding"),
        "delimiter": ("\x1b[2J", "give comma"),
        "columns": ("[]", "is empty"),
    }
    return [
        Hostile(f"--data.{name} {value}", "screen",
                ("fit", "SMALL", "--config", "text/files", f"--data.{name}", value), (2,), sentence)
        for name, (value, sentence) in told.items()
    ] + [
        _case("columns of two lengths", "differ in their rows", "x.json",
              _bytes(b'{"text": ["a"], "target": [1, 2]}'), *FILES),
    ]  # fmt: skip


def _parquet() -> list[Hostile]:
    rows = 4_000_000
    texts = lambda n, text: pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), [text])  # noqa: E731
    bomb = parquet_of(text=texts(rows, "storm"), target=pa.array([0, 1] * (rows // 2), pa.int8()))
    return [
        _case("4 million rows in a few kilobytes", "unpacks to 4,000,000 rows", "x.parquet", bomb),
        _case("such rows to train on", "unpacks to 4,000,000 rows", "x.parquet", bomb, *FILES),
        _case("a text of 20 MB a thousand times", "unpacks to", "x.parquet",
              parquet_of(text=texts(1000, "a" * 20_000_000))),
        _case("one text of 50 MB", "50,000,000 characters", "x.parquet",
              parquet_of(text=["a" * 50_000_000])),
        _case("lists of lists", "of type list", "x.parquet", parquet_of(text=[[["a"]]])),
        _case("an endless list of nothing", "of type list", "x.parquet",
              parquet_of(text=pa.array([[None] * 1_000_000], pa.list_(pa.null())))),
        _case("bytes for texts", "of type binary", "x.parquet", parquet_of(text=[b"a"])),
        _case("a type that was pickled", "of type", "x.parquet", _pickled, kind="code"),
        _case("more rows in the footer than in the file", "Parquet", "x.parquet", _miscounted),
        _case("5,000 columns", "no column 'text'", "x.parquet",
              parquet_of(**{f"c{i}": [0] for i in range(5_000)})),
        _case("an encrypted footer", "cannot be read as Parquet", "x.parquet",
              _bytes(b"PARE" + bytes(100) + b"\x40\0\0\0PARE")),
        _case("a footer of 2 GiB", "cannot be read as Parquet", "x.parquet",
              _bytes(b"PAR1" + bytes(100) + b"\xff\xff\xff\x7fPAR1")),
    ]  # fmt: skip


def parquet_of(**columns: object) -> Write:
    """Return what writes a Parquet file of some columns."""

    def write(path: Path) -> None:
        table = pa.table(columns)
        parquet.write_table(table, path, compression="zstd", write_statistics=False)

    return write


def _pickled(path: Path) -> None:
    """Write a column of the type whose metadata pyarrow once unpickled."""
    pickle = f"cposix\nsystem\n(S'touch {MARK}'\ntR.".encode()
    kind = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle,
    }
    field = pa.field("text", pa.binary(), metadata=kind)
    pandas = {b"pandas": json.dumps({"columns": [base64.b64encode(pickle).decode()]}).encode()}
    parquet.write_table(pa.table([[b"a"]], schema=pa.schema([field], metadata=pandas)), path)


def _miscounted(path: Path) -> None:
    """Write three rows, and say there are 63: both are zigzag varints in the footer."""
    parquet_of(text=["a", "b", "c"])(path)
    content = path.read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    footer = content[start:].replace(b"\x16\x06", b"\x16\x7e", 1)
    path.write_bytes(content[:start] + footer)


def _places() -> list[Hostile]:
    """Return addresses: nothing is asked of the network."""
    return [
        Hostile(f"the address {address}", "code", (*FILES, address), (3,))
        for address in (
            "http://127.0.0.1:9/x.csv",
            "zip::http://127.0.0.1:9/x.zip",
            "s3://bucket/x.parquet",
            "memory://x.jsonl",
            "file:///etc/passwd",
            "/dev/stdin",
            "/proc/self/environ",
        )
    ]


def _numbers() -> list[Hostile]:
    """Return values that would start a thousand processes or fill the memory."""
    return [
        Hostile(
            f"{name} {value}", "answer", ("fit", "SMALL", f"--data.{name}", value), (2, 3), told
        )
        for name, value, told in (
            ("num_workers", "100000", "num_workers"),
            ("batch_size", "-1", "batch_size"),
            ("max_length", "1e12", "max_length"),
            ("label_names", "{a: {b: c}}", "label_names"),
            ("path", "{a: b}", ""),
            ("path", "[x.csv, y.csv]", ""),
        )
    ]
