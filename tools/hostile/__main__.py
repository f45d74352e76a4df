"""Try every hostile input and print the table."""

from __future__ import annotations

import os
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tools.hostile.case import Stock, attack
from tools.hostile.corpus import corpus


def main(wanted: Sequence[str]) -> int:
    """Print one line per case as Markdown, and how many broke their promise.

    Args:
        wanted: Only cases whose name holds one of these; none takes all.
    """
    cases = [case for case in corpus() if not wanted or any(word in case.name for word in wanted)]
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        os.environ |= {"HF_HUB_OFFLINE": "1", "HWLIT_CACHE": str(Path(name, "cache"))}
        Path(name, "stock").mkdir()
        stock = Stock.prepare(Path(name, "stock"))
        print("| input | attacks | exit code | seconds | last line | held |")
        print("|---|---|---|---|---|---|")
        for number, case in enumerate(cases):
            place = Path(name, f"case{number}")
            place.mkdir()
            seen = attack(case, stock, place)
            last = ascii((seen.error.strip().splitlines() or [""])[-1])[1:-1]
            held = "; ".join(seen.broken) or "yes"
            told = last.replace(name, "").replace("|", "\\|")[:160]
            counts[case.kind] += 1
            counts["broken"] += bool(seen.broken)
            cells = (case.name, case.kind, str(seen.code), f"{seen.seconds:.1f}", told, held)
            print(f"| {' | '.join(cells)} |", flush=True)
    tried, broken = counts.total() - counts["broken"], counts.pop("broken")
    print(f"\n{tried} inputs ({dict(counts)}), of which {broken} broke a promise")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
