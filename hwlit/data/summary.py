"""What a data set holds and how it was divided, in plain numbers for the record."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hwlit.data.reading import Rows
from hwlit.data.splitting import Split, normalised
from hwlit.data.tokens import TokenRows


def fingerprint(files: Sequence[Rows], classes: Sequence[str]) -> str:
    """Return the SHA-256 of all texts and class names of the files, in their order."""
    digest = hashlib.sha256()
    for rows in files:
        digest.update(b"file %d " % len(rows.texts))
        for text, label in zip(rows.texts, rows.labels, strict=True):
            for value in (text.encode(), classes[label].encode()):
                digest.update(b"%d " % len(value) + value)
    return digest.hexdigest()


def summarise(
    files: Sequence[Rows], classes: Sequence[str], split: Split, parts: dict[str, TokenRows]
) -> dict[str, Any]:
    """Describe a data set and its parts.

    Args:
        files: The file that was divided and, where there is one, the test part.
        classes: The class names, in the order of their ids.
        split: How it was divided.
        parts: The parts "train", "validation" and "test".

    Returns:
        Plain JSON. Counts are rows, lengths are tokens, shares lie between 0 and 1.
    """
    texts = [text for rows in files for text in rows.texts]
    labels = [label for rows in files for label in rows.labels]
    commonest = Counter(parts["train"].labels).most_common(1)[0][0]
    test = parts["test"].labels
    return {
        "source": [rows.source for rows in files],
        "revision": files[0].revision,
        "rows": {"read": len(texts)} | {name: len(part) for name, part in parts.items()},
        "duplicates": len(texts) - len(set(texts)),
        "near_duplicates": len(texts) - len({normalised(text) for text in texts}),
        "texts_with_two_labels": _contradictions(texts, labels),
        "empty_texts": sum(not text.strip() for text in texts),
        "dropped": {"text_also_in_test": len(split.leaked), "beyond_asked_size": split.unused},
        "classes": {name: _balance(part, classes) for name, part in parts.items()},
        "majority_class_accuracy": test.count(commonest) / len(test),
        "truncated": {name: part.num_truncated for name, part in parts.items()},
        "mean_length": {name: float(part.lengths.mean()) for name, part in parts.items()},
    }


def _contradictions(texts: Sequence[str], labels: Sequence[int]) -> int:
    seen: dict[str, set[int]] = {}
    for text, label in zip(texts, labels, strict=True):
        seen.setdefault(text, set()).add(label)
    return sum(len(found) > 1 for found in seen.values())


def _balance(part: TokenRows, classes: Sequence[str]) -> dict[str, int]:
    counts = Counter(part.labels)
    return {name: counts[label] for label, name in enumerate(classes)}
