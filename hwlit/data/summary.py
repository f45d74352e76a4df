"""What a data set holds and how it was divided, in plain numbers for the record."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from hwlit.data.reading import UNLABELLED, Rows
from hwlit.data.splitting import Split, normalised
from hwlit.data.tokens import TokenRows
from hwlit.exports.stock_classifier import characters

FEW = 5  # test rows of a class; one of them moves its recall by 20 points or more


def fingerprint(files: Sequence[Rows], classes: Sequence[str]) -> str:
    """Return the SHA-256 of all texts and class names of the files, in their order.

    The name of no class is the empty text, which no class has.
    """
    digest = hashlib.sha256()
    for rows in files:
        digest.update(b"file %d " % len(rows.texts))
        columns = [rows.texts] if rows.pairs is None else [rows.texts, rows.pairs]
        for *texts, label in zip(*columns, rows.labels, strict=True):
            name = "" if label == UNLABELLED else classes[label]
            for value in (*(text.encode() for text in texts), name.encode()):
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
        Plain JSON. Counts are rows, lengths are tokens, shares lie between 0 and 1. `leakage` is
        the share of rows whose text, normalised, is in the training part; `test_in_file` is that of
        test rows before training rows with their text were dropped. `longest_text` is in
        characters. Rows without a label are counted as read and as dropped, and nowhere else. Of
        pairs a text is both sentences, and `shared_sentences` is the share of rows one of whose
        sentences is in a pair of the training part; of texts in windows there is their number,
        `windows`.
    """
    texts = [text for rows in files for text in rows.inputs]
    labelled = sum(len(rows.labelled) for rows in files)
    commonest = Counter(parts["train"].labels).most_common(1)[0][0]
    test = parts["test"].labels
    report = {
        "source": [rows.source for rows in files],
        "revision": files[0].revision,
        "encoding": [rows.encoding for rows in files],
        "notes": [list(rows.notes) for rows in files],
        "rows": {"read": len(texts)} | {name: len(part) for name, part in parts.items()},
        "empty_texts": sum(len(rows.empty) for rows in files),
        "dropped": {
            "text_also_in_test": len(split.leaked),
            "beyond_asked_size": split.unused,
            "empty_text": split.empty,
            "no_label": len(texts) - labelled,
        },
        "classes": {name: _balance(part, classes) for name, part in parts.items()},
        "majority_class_accuracy": test.count(commonest) / len(test),
        "truncated": {name: part.num_truncated for name, part in parts.items()},
        "mean_length": {name: float(part.lengths.mean()) for name, part in parts.items()},
        "longest_text": max(map(characters, texts)),
    }
    return report | _of_copies(files, split) | _of_pairs(files, split) | _of_windows(parts)


def _of_copies(files: Sequence[Rows], split: Split) -> dict[str, Any]:
    """Return how many labelled rows have the text of another, and how many of them leak."""
    keys = [[normalised(key) for key in rows.keys] for rows in files]
    labels = [rows.labels[row] for rows in files for row in rows.labelled]
    copies = [rows.keys[row] for rows in files for row in rows.labelled]
    levelled = {
        found[row] for rows, found in zip(files, keys, strict=True) for row in rows.labelled
    }
    return {
        "duplicates": len(copies) - len(set(copies)),
        "near_duplicates": len(copies) - len(levelled),
        "texts_with_two_labels": _contradictions(copies, labels),
        "leakage": {
            "test_in_file": _share(keys[-1], split.test, keys[0], split.train + split.leaked),
            "test": _share(keys[-1], split.test, keys[0], split.train),
            "validation": _share(keys[0], split.validation, keys[0], split.train),
        },
    }


def remarks(report: dict[str, Any]) -> str:
    """Return what a user should know about a data set, in one line; "" where there is nothing.

    Args:
        report: What `TextData.report` returned.
    """
    dropped, rows = report["dropped"], report["rows"]
    told = {
        "copies of texts": report["near_duplicates"],
        "texts with two labels": report["texts_with_two_labels"],
        "rows dropped for an empty text": dropped["empty_text"],
        "rows dropped for want of a label": dropped["no_label"],
        "empty texts kept": report["empty_texts"] - dropped["empty_text"],
        "training rows dropped because the test part has their text": dropped["text_also_in_test"],
    }
    parts = [f"{what} {count}" for what, count in told.items() if count]
    parts += remarks_on_classes(report["classes"])
    if cut := sum(report["truncated"].values()):
        share = 100 * cut / sum(rows[part] for part in report["truncated"])
        instead = "" if "shared_sentences" in report else ", --data.stride reads them in windows"
        parts.append(f"texts cut to {report['max_length']} tokens {cut} ({share:.2g} %{instead})")
    if shared := report.get("shared_sentences", {}).get("test"):
        parts.append(f"test pairs that share a sentence with a training pair {100 * shared:.2g} %")
    if any("byte order mark" in (encoding or "") for encoding in report["encoding"]):
        parts.append("a byte order mark left out")
    parts += dict.fromkeys(note for notes in report["notes"] for note in notes)
    return f"data: {'; '.join(parts)}" if parts else ""


def remarks_on_classes(classes: dict[str, dict[str, int]]) -> Iterator[str]:
    """Yield which parts lack a class, and what macro figures rest on where a class is rare."""
    meaning = {
        "train": "which cannot be learned",
        "validation": "on which no checkpoint is chosen",
        "test": "which macro figures leave out unless they are predicted",
    }
    names = {"train": "training", "validation": "validation", "test": "test"}
    for part, counts in classes.items():
        if absent := [name for name, count in counts.items() if not count]:
            first = ", ".join(repr(name[:40]) for name in absent[:3])
            more = ", ..." if len(absent) > 3 else ""
            yield (
                f"classes without a {names[part]} row {len(absent)} of {len(counts)} "
                f"({first}{more}), {meaning[part]}"
            )
    rows, rarest = min((count, name) for name, count in classes["test"].items() if count)
    if rows < FEW:
        yield f"test rows of the rarest class {rows} ({rarest[:40]!r}), on which macro figures rest"


def _share(
    ours: Sequence[str], our_rows: Sequence[int], theirs: Sequence[str], their_rows: Sequence[int]
) -> float:
    """Return the share of our rows whose text is among theirs."""
    found = {theirs[row] for row in their_rows}
    return sum(ours[row] in found for row in our_rows) / len(our_rows)


def _of_pairs(files: Sequence[Rows], split: Split) -> dict[str, Any]:
    """Return how many pairs share a sentence with the training part."""
    if files[0].pairs is None:
        return {}
    shares = {
        "test": _sharing(files[-1], split.test, files[0], split.train),
        "validation": _sharing(files[0], split.validation, files[0], split.train),
    }
    return {"shared_sentences": shares}


def _of_windows(parts: dict[str, TokenRows]) -> dict[str, Any]:
    """Return how many windows there are, where texts are read in windows."""
    counts = {name: part.num_windows for name, part in parts.items()}
    return {} if None in counts.values() else {"windows": counts}


def _sharing(ours: Rows, our_rows: Sequence[int], theirs: Rows, their_rows: Sequence[int]) -> float:
    """Return the share of our pairs one of whose sentences is among theirs."""
    found = {sentence for row in their_rows for sentence in _sentences(theirs, row)}
    return sum(not found.isdisjoint(_sentences(ours, row)) for row in our_rows) / len(our_rows)


def _sentences(rows: Rows, row: int) -> set[str]:
    """Return the sentences of a pair, normalised, less an empty one."""
    return {
        normalised(sentence) for sentence in (rows.texts[row], (rows.pairs or rows.texts)[row])
    } - {""}


def _contradictions(texts: Sequence[str], labels: Sequence[int]) -> int:
    seen: dict[str, set[int]] = {}
    for text, label in zip(texts, labels, strict=True):
        seen.setdefault(text, set()).add(label)
    return sum(len(found) > 1 for found in seen.values())


def _balance(part: TokenRows, classes: Sequence[str]) -> dict[str, int]:
    counts = Counter(part.labels)
    return {name: counts[label] for label, name in enumerate(classes)}
