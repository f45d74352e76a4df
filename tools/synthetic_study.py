"""Writes a study of methods whose true accuracy is known, to see what is said of them.

python tools/synthetic_study.py FOLDER
python tools/synthetic_study.py FOLDER --seeds 5 --rows 7600 --behind 0 0 0 1 2 4 10

Each method is right on a row by a score of its own: the row's difficulty, what the method makes of
the row, and chance, in the shares .80, .10 and .10 of the variance; that gives the agreement that
fine-tuned classifiers have. Training noise moves a whole run. The best methods are right on 90 %.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from hwlit.records import (
    COST,
    Adapter,
    Data,
    Measure,
    Model,
    Reading,
    Record,
    Rows,
    TestRows,
    counted,
    estimated,
    measured,
    write_record,
)
from hwlit.statistics.combining import row_values
from hwlit.statistics.intervals import wilson

LABELS = ("negative", "neutral", "positive")
SHARES = (0.80, 0.10, 0.10)
SHARE = Measure("quality", "max", (0.0, 1.0), margin=0.01)
COLUMNS = ("label", "prediction")
BEHIND = (0.0, 0.0, 0.0, 1.0, 2.0, 4.0, 10.0)
NAMES = ("Full", "Lora", "Dora", "Adalora", "BitFit", "Prefix", "HeadOnly")


@dataclass(frozen=True)
class Plan:
    """What the truth is.

    Args:
        behind: How many points of accuracy each method is behind the best, (methods,).
        seeds: Runs of each method.
        rows: Test rows.
        noise: Standard deviation of a run by training, in points, of each method or of all.
        best: Accuracy of the best.
        divided_anew: Whether each seed has a fresh fifth of the data as its test rows.
        slower: Seconds of the train loop, as multiples of the first method's; as `behind`.
    """

    behind: Sequence[float] = BEHIND
    seeds: int = 3
    rows: int = 1520
    noise: Sequence[float] = (0.5,)
    best: float = 0.90
    divided_anew: bool = False
    slower: Sequence[float] = (1.0,)

    def of_all(self, values: Sequence[float], place: int) -> float:
        """Return the value of a method: its own, or the one that all have."""
        return values[place] if len(values) > 1 else values[0]


@dataclass(frozen=True)
class SyntheticRun:
    """One run: its method, its seed, its test rows and what it took."""

    method: str
    seed: int
    ids: NDArray[np.int64]
    truths: NDArray[np.int64]
    predictions: NDArray[np.int64]
    wall_time: float


def runs(plan: Plan, seed: int = 0) -> Iterator[SyntheticRun]:
    """Yield every run of a study.

    Args:
        plan: The truth.
        seed: Of the study; another one draws all anew.
    """
    random = np.random.default_rng(seed)
    pool = plan.rows * 5 if plan.divided_anew else plan.rows
    row, own, chance = (np.sqrt(share) for share in SHARES)
    hard = row * random.normal(size=pool)
    truths = random.choice(3, pool, p=(0.5, 0.3, 0.2))
    tests = [
        np.sort(random.choice(pool, plan.rows, replace=False))
        if plan.divided_anew else np.arange(pool)
        for _ in range(plan.seeds)
    ]  # fmt: skip
    for place, behind in enumerate(plan.behind):
        by_method = hard + own * random.normal(size=pool)
        for k, ids in enumerate(tests):
            noise = plan.of_all(plan.noise, place) * random.normal()
            accuracy = min(0.999, max(0.001, plan.best - (behind + noise) / 100))
            score = by_method[ids] + chance * random.normal(size=plan.rows)
            right = score < NormalDist().inv_cdf(accuracy)
            wrong = (truths[ids] + 1 + random.integers(0, 2, plan.rows)) % 3
            said = np.where(right, truths[ids], wrong)
            seconds = 60 * plan.of_all(plan.slower, place) * np.exp(0.03 * random.normal())
            yield SyntheticRun(_name(place), k, ids, truths[ids], said, float(seconds))


def record(run: SyntheticRun, file: str | None = "test_rows.csv") -> Record:
    """Return the record of a run; without a file its rows are in it."""
    right = float((run.truths == run.predictions).mean())
    low, high = wilson(right, len(run.ids), 1.96)
    f1, _ = row_values("f1_macro", [run.truths, run.predictions])
    found = {
        "test/accuracy": Reading(
            right, "1", measured("synthetic"), low, high, len(run.ids), "Wilson interval",
            replace(SHARE, primary=True), Rows("accuracy", COLUMNS),
        ),
        "test/f1_macro": Reading(
            f1, "1", measured("synthetic"), n=len(run.ids), measure=SHARE,
            rows=Rows("f1_macro", COLUMNS),
        ),
        "fit/wall_time": Reading(run.wall_time, "s", measured("synthetic"), measure=COST),
        "fit/energy": Reading(50 * run.wall_time, "J", estimated("50 W"), measure=COST),
        "fit/peak_memory": Reading(2.0**30, "B", measured("synthetic"), measure=COST),
        "params/trainable": Reading(1000, "1", counted("synthetic"), measure=COST),
    }  # fmt: skip
    values = {} if file else {name: list(column) for name, column in _columns(run).items()}
    return Record(
        status="ok", task="text_classification", name="synthetic", seed=run.seed, readings=found,
        absent={}, adapter=Adapter(run.method), model=Model(hub_id="synthetic", labels=LABELS),
        data=Data(source="synthetic", seed=0), comparability={"model": "synthetic"},
        test_rows=TestRows(dict.fromkeys(COLUMNS, "class"), len(run.ids), file, "label", values),
    )  # fmt: skip


def write(plan: Plan, folder: Path, seed: int = 0) -> None:
    """Write a directory for each run; none may be there."""
    for run in runs(plan, seed):
        own = folder / f"{run.method}-{run.seed}"
        own.mkdir(parents=True)
        write_record(record(run), own / "record.json")
        (own / "config.yaml").write_text(f"seed_everything: {run.seed}\nmethod: {run.method}\n")
        with (own / "test_rows.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            columns = _columns(run)
            writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))


def _columns(run: SyntheticRun) -> dict[str, Sequence[object]]:
    labels = np.array(LABELS)
    return {
        "row_id": run.ids.tolist(),
        "label": labels[run.truths].tolist(),
        "prediction": labels[run.predictions].tolist(),
    }


def _name(place: int) -> str:
    return NAMES[place] if place < len(NAMES) else f"Method{place:02d}"


def main() -> None:
    """Write the study that the command line asks for, and say what is true of it."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("folder", type=Path, help="where to write; must not exist")
    options.add_argument("--behind", type=float, nargs="+", default=list(BEHIND), metavar="POINTS")
    options.add_argument("--noise", type=float, nargs="+", default=[0.5], metavar="POINTS")
    options.add_argument("--slower", type=float, nargs="+", default=[1.0], metavar="TIMES")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--rows", type=int, default=1520)
    options.add_argument("--divided-anew", action="store_true", help="each seed has other rows")
    options.add_argument("--seed", type=int, default=0, help="of the study")
    asked = options.parse_args()
    plan = Plan(asked.behind, asked.seeds, asked.rows, asked.noise,
                divided_anew=asked.divided_anew, slower=asked.slower)  # fmt: skip
    asked.folder.mkdir(parents=True)
    write(plan, asked.folder, asked.seed)
    for place, behind in enumerate(plan.behind):
        print(f"{_name(place):10} true accuracy {plan.best - behind / 100:.3f}, "
              f"{plan.of_all(plan.slower, place):g} times the seconds")  # fmt: skip
    print(f"see: hwlit compare {asked.folder}; hwlit report {asked.folder}; "
          f"hwlit advise {asked.folder} --max-time 1h")  # fmt: skip


if __name__ == "__main__":
    main()
