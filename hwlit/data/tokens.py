"""Token ids of a list of texts, computed once and kept on disk.

The file's name is a hash of all that the ids depend on, so an entry is never out of date; it is
read through a memory map, so that processes and workers share one copy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from torch.utils.data import Dataset
from tqdm.auto import tqdm
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hwlit.data.batching import Row
from hwlit.errors import IntegrityError, ResourceError, UsageError
from hwlit.exports.stock_classifier import Text, arguments, blank_token, characters
from hwlit.storage import cache_directory, verify, write_with_manifest

SCHEMA = 1
# Texts at once: a tokenizer takes some hundred bytes of memory a character before it cuts them.
CHUNK_TEXTS, CHUNK_CHARACTERS = 1000, 10_000_000
PROGRESS_DELAY_S = 2.0


@dataclass(frozen=True)
class Tokens:
    """The token ids of texts, one after the other, as views of the file on disk.

    Args:
        ids: int32, shape (tokens of all texts,).
        offsets: int64, shape (texts + 1,); text i has the ids from offsets[i] to offsets[i + 1].
        truncated: uint8, shape (texts,); 1 where the text was longer than the maximum.
        types: Token types, int8, of the ids' shape; None where all are 0.
        windows: Lengths of the windows of all texts, int32, shape (windows,); None where each text
            is one.
        window_offsets: int64, shape (texts + 1,), likewise: text i has the windows from
            window_offsets[i] to window_offsets[i + 1].
    """

    ids: np.ndarray[Any, np.dtype[np.int32]]
    offsets: np.ndarray[Any, np.dtype[np.int64]]
    truncated: np.ndarray[Any, np.dtype[np.uint8]]
    types: np.ndarray[Any, np.dtype[np.int8]] | None = None
    windows: np.ndarray[Any, np.dtype[np.int32]] | None = None
    window_offsets: np.ndarray[Any, np.dtype[np.int64]] | None = None

    @property
    def lengths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Number of tokens of each text, int64 of shape (texts,)."""
        return np.diff(self.offsets)

    def __getitem__(self, text: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        return self.ids[self.offsets[text] : self.offsets[text + 1]]

    def row(self, text: int, label: int) -> Row:
        """Return a text as what batches are made of."""
        types = windows = None
        if self.types is not None:
            types = self.types[self.offsets[text] : self.offsets[text + 1]]
        if self.windows is not None and self.window_offsets is not None:
            windows = self.windows[self.window_offsets[text] : self.window_offsets[text + 1]]
        return Row(self[text], label, text, types, windows)


class TokenRows(Dataset[Row]):
    """One part of a data set: some rows of a tokenised file.

    Args:
        tokens: The tokens of the whole file.
        labels: The class id of each row of the file.
        row_ids: Which rows of the file belong to the part.
    """

    def __init__(self, tokens: Tokens, labels: Sequence[int], row_ids: Sequence[int]) -> None:
        self.tokens = tokens
        self.row_ids = list(row_ids)
        self.labels = [labels[row] for row in row_ids]
        self.lengths = tokens.lengths[self.row_ids]
        self.num_truncated = int(tokens.truncated[self.row_ids].sum())

    @property
    def num_windows(self) -> int | None:
        """Number of windows of all rows; None where texts are not read in windows."""
        if self.tokens.window_offsets is None:
            return None
        return int(np.diff(self.tokens.window_offsets)[self.row_ids].sum())

    def __len__(self) -> int:
        return len(self.row_ids)

    def __getitem__(self, index: int) -> Row:
        return self.tokens.row(self.row_ids[index], self.labels[index])


def tokenise(
    texts: Sequence[Text],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    stride: int | None = None,
) -> Tokens:
    """Return the token ids of texts, from the disk where they were computed before.

    Args:
        texts: The texts, or the two sentences of each pair.
        tokenizer: A fast tokenizer; each text is encoded with its special tokens.
        max_length: Longer texts are cut to this many tokens; of a pair the longer sentence first.
        stride: Longer texts are not cut, but become windows of `max_length` tokens, special tokens
            in each, that share this many tokens with the one before. None cuts them.

    Returns:
        The tokens, memory-mapped. A text without any token gets one special token, for a model
        cannot read nothing.

    Raises:
        UsageError: The tokenizer cannot be used, or `max_length` or `stride` does not suit it.
        ResourceError: The cache cannot be written.
    """
    fast = _checked(tokenizer, max_length, bool(texts) and not isinstance(texts[0], str), stride)
    path = cache_directory() / "tokens" / f"{_key(texts, fast, max_length, stride)}.arrow"
    try:
        verify(path)
        return _opened(path)
    except (IntegrityError, pa.ArrowInvalid):
        batch = _encoded(texts, fast, max_length, stride)  # absent or damaged: compute it (again)

    def write(file: BinaryIO) -> None:
        with pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)

    try:
        write_with_manifest(path, write, {"schema": SCHEMA, "texts": len(texts)})
    except ResourceError as error:
        raise ResourceError(f"{error}; set HWLIT_CACHE to a directory with space") from error
    return _opened(path)


def _checked(
    tokenizer: PreTrainedTokenizerBase, max_length: int, pairs: bool, stride: int | None
) -> PreTrainedTokenizerFast:
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise UsageError(
            f"{tokenizer.name_or_path} has no fast tokenizer (tokenizer.json); choose another model"
        )
    special = tokenizer.num_special_tokens_to_add(pair=pairs)
    if pairs and special < tokenizer.num_special_tokens_to_add():
        raise UsageError(
            f"the tokenizer of {tokenizer.name_or_path} puts special tokens around one text and "
            "leaves them out of a pair: its tokenizer.json has no template for pairs; add one, or "
            "put both sentences into one column and leave out --data.pair_column"
        )
    least = special + (3 if pairs else 1)  # of a pair: both sentences, and what may part them
    if not least <= max_length <= tokenizer.model_max_length:
        raise UsageError(
            f"max_length is {max_length}, but {tokenizer.name_or_path} reads {least} to "
            f"{tokenizer.model_max_length} tokens; change --data.max_length"
        )
    if stride is not None and stride >= max_length - special:
        raise UsageError(
            f"--data.stride is {stride}, but a window of {max_length} tokens has room for "
            f"{max_length - special} tokens of the text, and the next one must begin later; give "
            "a smaller stride or a larger --data.max_length"
        )
    return tokenizer


def _key(
    texts: Sequence[Text], tokenizer: PreTrainedTokenizerFast, max_length: int, stride: int | None
) -> str:
    # Truncation and padding are the state of the last call, not settings of the tokenizer.
    backend = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": 0, "padding": 0}
    settings = [backend, tokenizer.truncation_side, blank_token(tokenizer), max_length, SCHEMA]
    if stride is not None:
        settings.append({"stride": stride})
    given = arguments(tokenizer, texts)
    if len(given) > 1:
        settings.append("pairs")
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for sentences in zip(*given, strict=True):
        for text in sentences:
            encoded = text.encode()
            digest.update(b"%d " % len(encoded) + encoded)
    return digest.hexdigest()


def _encoded(
    texts: Sequence[Text], tokenizer: PreTrainedTokenizerFast, max_length: int, stride: int | None
) -> pa.RecordBatch:
    """Return the tokens of texts as columns, one row a text; `_opened` reads them."""
    ids: list[np.ndarray[Any, np.dtype[np.int32]]] = []
    types: list[np.ndarray[Any, np.dtype[np.int8]]] = []
    truncated: list[bool] = []
    owners: list[int] = []  # the text of each window
    begun = 0
    blank = [blank_token(tokenizer)]
    settings: dict[str, Any] = {"truncation": True, "max_length": max_length}
    if stride is not None:
        settings |= {"stride": stride, "return_overflowing_tokens": True}
    with tqdm(total=len(texts), desc="tokenising", unit=" texts", delay=PROGRESS_DELAY_S) as bar:
        for chunk in _chunks(texts):
            encoded = tokenizer(*arguments(tokenizer, chunk), **settings)
            of = encoded.get("overflow_to_sample_mapping", range(len(chunk)))
            for text, encoding in zip(of, encoded.encodings, strict=True):
                ids.append(np.array(encoding.ids or blank, dtype=np.int32))
                types.append(np.array(encoding.type_ids or [0], dtype=np.int8))
                truncated.append(stride is None and bool(encoding.overflowing))
                owners.append(begun + text)
            begun += len(chunk)
            bar.update(len(chunk))
    return _columns(ids, types, truncated, None if stride is None else np.bincount(owners))


def _columns(
    ids: Sequence[np.ndarray[Any, Any]],
    types: Sequence[np.ndarray[Any, Any]],
    truncated: Sequence[bool],
    counts: np.ndarray[Any, Any] | None,
) -> pa.RecordBatch:
    """Return the columns of the file.

    Args:
        ids: Token ids of each window.
        types: Their types.
        truncated: Whether each text was cut.
        counts: Number of windows of each text; None where each text is one.
    """
    lengths = np.array([len(window) for window in ids], dtype=np.int64)
    firsts = np.arange(len(ids) + 1) if counts is None else np.cumsum([0, *counts], dtype=np.int64)
    offsets = np.cumsum([0, *lengths], dtype=np.int64)[firsts]
    columns = {
        "input_ids": pa.LargeListArray.from_arrays(offsets, np.concatenate(ids)),
        "truncated": pa.array(np.array(truncated, dtype=np.uint8)[firsts[:-1]]),
    }
    if (kinds := np.concatenate(types)).any():
        columns["token_types"] = pa.LargeListArray.from_arrays(offsets, kinds)
    if counts is not None:
        columns["windows"] = pa.LargeListArray.from_arrays(firsts, lengths.astype(np.int32))
    return pa.RecordBatch.from_arrays([*columns.values()], names=[*columns])


def _chunks(texts: Sequence[Text]) -> Iterator[list[Text]]:
    """Yield the texts in order, as many at once as memory is sure to hold."""
    chunk: list[Text] = []
    held = 0
    for text in texts:
        length = characters(text)
        if len(chunk) == CHUNK_TEXTS or (chunk and held + length > CHUNK_CHARACTERS):
            yield chunk
            chunk, held = [], 0
        chunk.append(text)
        held += length
    if chunk:
        yield chunk


def _opened(path: Path) -> Tokens:
    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    ids, names = batch.column("input_ids"), batch.schema.names
    types = batch.column("token_types").values.to_numpy() if "token_types" in names else None
    windows = batch.column("windows") if "windows" in names else None
    return Tokens(
        ids.values.to_numpy(),
        ids.offsets.to_numpy(),
        batch.column("truncated").to_numpy(),
        types,
        None if windows is None else windows.values.to_numpy(),
        None if windows is None else windows.offsets.to_numpy(),
    )
