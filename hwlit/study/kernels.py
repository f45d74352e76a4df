"""What multiplied the integers of a quantised row, in a sentence."""

from __future__ import annotations

import statistics
from collections import Counter

from hwlit.errors import IntegrityError
from hwlit.records import Adapter


def kernels_told(adapter: Adapter) -> str:
    """Return which kernels were the fastest, at how many sizes, and by how much.

    Args:
        adapter: What a record says of its adapter.

    Returns:
        The sentence; empty where nothing was chosen.

    Raises:
        IntegrityError: The choices are not written as a run writes them.
    """
    try:
        base = {} if adapter.quantisation is None else adapter.quantisation.rest
        converted = adapter.rest.get("converts_to") or {}
        rows = (converted or base).get("kernels", [])
        counts = Counter(str(row["kernel"]) for row in rows)
        timed = [row for row in rows if row["seconds"]]
        gains = [row["seconds"]["fp32"] / row["seconds"][row["kernel"]] for row in timed]
        why = converted.get("why")
    except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
        raise IntegrityError(
            "the record's choice of kernels is damaged; run what wrote it again"
        ) from error
    if not rows:
        return ""
    taken = ", ".join(f"{name} at {count}" for name, count in counts.most_common())
    told = f"8-bit products by the fastest kernel at each of {len(rows)} sizes: {taken}"
    if gains:
        told += f"; {statistics.median(gains):.1f} times as fast as fp32 by the median"
    return f"{told}; {why}" if why else told
