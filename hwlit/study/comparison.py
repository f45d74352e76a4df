"""Many runs as one table: a row for each method, each beside the baseline and the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hwlit.records import Direction, Reading
from hwlit.study.caveats import caveats
from hwlit.study.collect import Run
from hwlit.study.costs import CostRatio, Costs
from hwlit.study.curves import best_validation
from hwlit.study.evidence import Evidence
from hwlit.study.latency import OVER_BASE, is_latency
from hwlit.study.methods import Method
from hwlit.study.pooling import Pooled
from hwlit.study.quality import direction_of
from hwlit.study.verdicts import Verdict, Verdicts


@dataclass
class Row:
    """One method with everything that is known of it.

    Args:
        method: Label and runs.
        readings: Quantities over its seeds, by name.
        verdict: Against the baseline; None for the baseline itself.
        against_best: Against the method with the best quality; None for that one.
        may_be_best: Whether it is not shown to be below the best.
        rival: Whether it is of the baseline's task, on its data.
        flags: What makes it unequal to the baseline, in words.
        notes: Why a quantity is missing, by name.
    """

    method: Method
    readings: dict[str, Pooled] = field(default_factory=dict)
    verdict: Verdict | None = None
    against_best: Verdict | None = None
    may_be_best: bool = False
    rival: bool = True
    flags: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)

    @property
    def is_top(self) -> bool:
        """Whether it may be the best, or is shown to be equal to what looks best."""
        equal = self.against_best is not None and self.against_best.word == "equal"
        return self.may_be_best or equal

    @property
    def label(self) -> str:
        """Name for people."""
        return self.method.label

    @property
    def quantised(self) -> bool:
        """Whether it learned nothing itself, and rounds what another run learned."""
        return self.method.runs[0].record.source is not None

    @property
    def trained(self) -> bool:
        """Whether parameters of it learned."""
        return bool(self.value("params/trainable")) and not self.quantised

    @property
    def caveats(self) -> list[str]:
        """What is to be kept in mind of it, in words."""
        return caveats(self.method)

    def value(self, name: str) -> float | None:
        """Return the mean of a quantity; None where it is missing."""
        found = self.readings.get(name)
        return None if found is None else found.value

    def has_whole(self, name: str) -> bool:
        """Return whether every run has a quantity, of some left out as disturbed."""
        found = self.readings.get(name)
        return found is not None and found.seeds + found.left_out == len(self.method.runs)


@dataclass
class Comparison:
    """All methods beside the baseline.

    Args:
        name: What is compared.
        metric: What quality is.
        mode: "max" or "min".
        margin: How great a difference of it is still as good as none; None where nobody says.
        rows: In the order in which they were found, baseline first.
        failed: Runs without a row.
        left_out: Files that cannot be read, with the reason.
        waiting: How many cells have not ended.
        latency_input: What latencies are of, such as `batch_1`.
        evidence: What is known of the test rows.
        choose: The validation metric by which a method is chosen; None where none is.
        verdicts: On every pair of the methods that are ranked; None where no run finished.
    """

    name: str
    metric: str
    mode: Direction
    margin: float | None
    rows: list[Row]
    failed: list[Run]
    left_out: list[tuple[Path, str]]
    waiting: int
    latency_input: str | None
    evidence: Evidence
    choose: str | None = None
    verdicts: Verdicts | None = None
    _costs: dict[str, Costs] = field(default_factory=dict)
    _cheapest: dict[str, Row | None] = field(default_factory=dict)
    _derived: dict[str, dict[int, float]] = field(default_factory=dict)

    @property
    def baseline(self) -> Row | None:
        """What the others are compared with; None where nothing finished."""
        return self.rows[0] if self.rows else None

    def cheapest(self, name: str) -> Row | None:
        """Return the row that costs of a name are held against: of those that train, the least."""
        if name not in self._cheapest:
            self._cheapest[name] = self._find_cheapest(name)
        return self._cheapest[name]

    def _find_cheapest(self, name: str) -> Row | None:
        known = [row for row in self.rivals() if row.trained and row.has_whole(name)]
        known = [row for row in known if row.value(name) and not row.readings[name].disturbed]
        return self.least(known, name) if known else None

    def least(self, rows: Sequence[Row], name: str) -> Row:
        """Return the row that costs least; at least one row.

        By the ratios over the seeds that two have in common, for means may be of other seeds.
        """
        found, passed = min(rows, key=lambda row: row.value(name) or 0.0), []
        while found not in passed:
            passed.append(found)
            for row in rows:
                ratio = self.costs(name).between(row.method, found.method)
                if row not in passed and ratio is not None and ratio.value < 1:
                    found = row
                    break
        return found

    def ratio(self, row: Row, name: str) -> CostRatio | None:
        """Return a cost over that of the method that trains and costs least.

        None where either has it of some of its runs only or not at all, where its times are not
        its machine's alone, where it was not trained, or where it is what the verdicts are on.
        """
        if name == self.metric or is_quality(row, name):
            return None  # the verdicts say how these differ
        least = self.cheapest(name)
        if least is None or not row.rival or not row.has_whole(name):
            return None
        if not row.value(name) or row.readings[name].disturbed:
            return None
        if not (row.trained or is_latency(name) or row.quantised):
            return None
        return self.costs(name).between(row.method, least.method)

    def derive(self, name: str, readings: Mapping[int, Reading]) -> None:
        """Keep what runs took of a cost that is no reading of their records, by run."""
        own = self._derived.setdefault(name, {})
        own |= {place: reading.value for place, reading in readings.items()}

    def costs(self, name: str) -> Costs:
        """Return the ratios of one cost between the methods on the baseline's data."""
        if name not in self._costs:
            rivals = [row.method for row in self.rivals() if name in row.readings]
            self._costs[name] = Costs(rivals, name, self._derived.get(name))
        return self._costs[name]

    def best(self) -> Row | None:
        """Return the row with the best quality on the baseline's data."""
        return next(iter(self.ordered(self.ranked())), None)

    def ordered(self, rows: Sequence[Row]) -> list[Row]:
        """Return rows by their quality, the best first."""
        sign = 1 if self.mode == "min" else -1
        return sorted(rows, key=lambda row: sign * (row.value(self.metric) or 0.0))

    def chosen(self) -> list[Row]:
        """Return the row that validation chooses, then those that are equal there; or nothing."""
        if self.choose is None:
            return []
        mode = direction_of([run.record for row in self.rows for run in row.method.runs],
                            self.choose)  # fmt: skip
        known = [(best_validation(row.method, self.choose, mode), row) for row in self.ranked()]
        values = [(value, row) for value, row in known if value is not None]
        best = (max if mode == "max" else min)((value for value, _ in values), default=None)
        return [row for value, row in values if value == best]

    def ranked(self) -> list[Row]:
        """Return the rows that have a quality, and are of the baseline's task and data.

        Where the quality is a time, those are left out whose every run was disturbed.
        """
        known = [row for row in self.rivals() if self.metric in row.readings]
        return [row for row in known if not row.readings[self.metric].disturbed]

    def rivals(self) -> list[Row]:
        """Return the rows of the baseline's task, on its data."""
        return [row for row in self.rows if row.rival]

    def latency(self, variant: str, percentile: str) -> str:
        """Return the name of the reading of a latency in the table."""
        return f"latency/{variant}/{self.latency_input}/{percentile}"

    def latency_cost(self) -> tuple[str, str]:
        """Return the reading by which latencies are ranked, and what it is in words.

        Where several rows have the same base network, it is what each run timed in turns; else
        seconds.
        """
        seconds, of_what = self.latency("merged", "p50"), f"{self.latency_input}, merged, median"
        if sum(OVER_BASE in row.readings for row in self.rows) < 2:
            return seconds, f"latency ({of_what})"
        return OVER_BASE, f"latency over the unquantised base's ({of_what})"


def is_quality(row: Row, name: str) -> bool:
    """Return whether a reading of a row tells what the method is good for."""
    found = row.readings.get(name)
    return found is not None and found.measure.role == "quality"
