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
from hwlit.exports.stock_classifier import blank_token
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
    """

    ids: np.ndarray[Any, np.dtype[np.int32]]
    offsets: np.ndarray[Any, np.dtype[np.int64]]
    truncated: np.ndarray[Any, np.dtype[np.uint8]]

    @property
    def lengths(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Number of tokens of each text, int64 of shape (texts,)."""
        return np.diff(self.offsets)

    def __getitem__(self, text: int) -> np.ndarray[Any, np.dtype[np.int32]]:
        return self.ids[self.offsets[text] : self.offsets[text + 1]]


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

    def __len__(self) -> int:
        return len(self.row_ids)

    def __getitem__(self, index: int) -> Row:
        row_id = self.row_ids[index]
        return Row(self.tokens[row_id], self.labels[index], row_id)


def tokenise(texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, max_length: int) -> Tokens:
    """Return the token ids of texts, from the disk where they were computed before.

    Args:
        texts: The texts.
        tokenizer: A fast tokenizer; texts are encoded singly, with its special tokens.
        max_length: Longer texts are cut to this many tokens.

    Returns:
        The tokens, memory-mapped. A text without any token gets one special token, for a model
        cannot read nothing.

    Raises:
        UsageError: The tokenizer cannot be used, or `max_length` does not suit it.
        ResourceError: The cache cannot be written.
    """
    fast = _checked(tokenizer, max_length)
    path = cache_directory() / "tokens" / f"{_key(texts, fast, max_length)}.arrow"
    try:
        verify(path)
        return _opened(path)
    except (IntegrityError, pa.ArrowInvalid):
        batch = _encoded(texts, fast, max_length)  # absent or damaged: compute it (again)

    def write(file: BinaryIO) -> None:
        with pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)

    try:
        write_with_manifest(path, write, {"schema": SCHEMA, "texts": len(texts)})
    except ResourceError as error:
        raise ResourceError(f"{error}; set HWLIT_CACHE to a directory with space") from error
    return _opened(path)


def _checked(tokenizer: PreTrainedTokenizerBase, max_length: int) -> PreTrainedTokenizerFast:
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise UsageError(
            f"{tokenizer.name_or_path} has no fast tokenizer (tokenizer.json); choose another model"
        )
    least = tokenizer.num_special_tokens_to_add() + 1
    if not least <= max_length <= tokenizer.model_max_length:
        raise UsageError(
            f"max_length is {max_length}, but {tokenizer.name_or_path} reads {least} to "
            f"{tokenizer.model_max_length} tokens; change --data.max_length"
        )
    return tokenizer


def _key(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, max_length: int) -> str:
    # Truncation and padding are the state of the last call, not settings of the tokenizer.
    backend = json.loads(tokenizer.backend_tokenizer.to_str()) | {"truncation": 0, "padding": 0}
    settings = [backend, tokenizer.truncation_side, blank_token(tokenizer), max_length, SCHEMA]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for text in texts:
        encoded = text.encode()
        digest.update(b"%d " % len(encoded) + encoded)
    return digest.hexdigest()


def _encoded(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, max_length: int
) -> pa.RecordBatch:
    ids: list[np.ndarray[Any, np.dtype[np.int32]]] = []
    truncated: list[bool] = []
    blank = [blank_token(tokenizer)]
    with tqdm(total=len(texts), desc="tokenising", unit=" texts", delay=PROGRESS_DELAY_S) as bar:
        for chunk in _chunks(texts):
            for encoding in tokenizer(chunk, truncation=True, max_length=max_length).encodings:
                if any(encoding.type_ids):
                    raise UsageError(
                        f"{tokenizer.name_or_path} gives single texts token types other than 0, "
                        "which hwlit does not support; choose another model"
                    )
                ids.append(np.array(encoding.ids or blank, dtype=np.int32))
                truncated.append(bool(encoding.overflowing))
            bar.update(len(chunk))
    offsets = np.cumsum([0, *(len(row) for row in ids)], dtype=np.int64)
    columns = [
        pa.LargeListArray.from_arrays(offsets, np.concatenate(ids)),
        pa.array(np.array(truncated, dtype=np.uint8)),
    ]
    return pa.RecordBatch.from_arrays(columns, names=["input_ids", "truncated"])


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    """Yield the texts in order, as many at once as memory is sure to hold."""
    chunk: list[str] = []
    characters = 0
    for text in texts:
        if len(chunk) == CHUNK_TEXTS or (chunk and characters + len(text) > CHUNK_CHARACTERS):
            yield chunk
            chunk, characters = [], 0
        chunk.append(text)
        characters += len(text)
    if chunk:
        yield chunk


def _opened(path: Path) -> Tokens:
    batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
    ids = batch.column("input_ids")
    return Tokens(
        ids.values.to_numpy(), ids.offsets.to_numpy(), batch.column("truncated").to_numpy()
    )
