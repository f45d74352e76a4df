import pyarrow as pa
import pytest
from pyarrow import parquet

from hwlit.data import parquet_files
from hwlit.data.parquet_files import read_parquet
from hwlit.errors import DataError

WANTED = {"text": "", "target": ""}


def written(path, compression="zstd", **columns):
    parquet.write_table(pa.table(columns), path / "x.parquet", compression=compression)
    return path / "x.parquet"


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())],
)
def test_texts_of_every_type_come_in_order_over_several_batches(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_files, "BATCH_ROWS", 7)
    texts = [None if i % 5 == 0 else f"text {i % 9}" for i in range(100)]
    targets = [i % 2 for i in range(100)]
    path = written(tmp_path, text=pa.array(texts).cast(kind), other=targets, target=targets)
    assert read_parquet(path, WANTED) == {"text": texts, "target": targets}


def test_texts_that_differ_are_no_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_files, "HARMLESS", 0)
    texts = [f"{i * 7919 % 100_003} of {i * 104_729 % 99_991}" for i in range(20_000)]
    path = written(tmp_path, text=texts, target=[i * 31 % 3 for i in range(20_000)])
    assert len(read_parquet(path, WANTED)["text"]) == 20_000


def test_a_few_equal_texts_are_no_bomb(tmp_path):
    path = written(tmp_path, text=["yes", "no"] * 50_000, target=[1, 0] * 50_000)
    assert path.stat().st_size < 10_000
    assert len(read_parquet(path, WANTED)["text"]) == 100_000


@pytest.mark.parametrize("length", [1, 1000])
def test_what_unpacks_to_very_much_is_refused_with_both_numbers(length, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_files, "HARMLESS", 1 << 20)
    path = written(tmp_path, text=["a" * length] * 50_000, target=[1] * 50_000)
    with pytest.raises(DataError, match=r"unpacks to 50,000 rows, .* of memory, from .* KiB: more"):
        read_parquet(path, WANTED)


def test_a_footer_that_counts_wrongly_is_refused(tmp_path):
    path = written(tmp_path, text=["a", "b", "c"], target=[0, 1, 0])
    content = path.read_bytes()
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    for other in (b"\x16\x04", b"\x16\x7e"):  # 2 and 63, as zigzag varints
        changed = content[start:].replace(b"\x16\x06", other, 1)  # of the file, not its parts
        path.write_bytes(content[:start] + changed)
        with pytest.raises(DataError, match="cannot be read as Parquet"):
            read_parquet(path, WANTED)


@pytest.mark.parametrize("value", [["a"], {"a": 1}, b"a"])
def test_a_column_of_another_type_is_refused_unread(value, tmp_path):
    path = written(tmp_path, text=[value], target=[1])
    with pytest.raises(DataError, match=r"has the column 'text' of type .*; texts, numbers"):
        read_parquet(path, WANTED)
