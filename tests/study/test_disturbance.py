"""Which figures of a run are of a machine that was not the run's alone."""

from pathlib import Path

import pytest

from hwlit.console import PlainConsole
from hwlit.records import record_of
from hwlit.study.disturbed import disturbances
from hwlit.study.show import in_unit, show

HOW = {"tag": "measured", "text": "so"}
UNITS = {
    "fit/step_time": "s", "fit/samples_per_second": "1/s", "fit/energy": "J",
    "fit/share_of_peak": "1", "fit/peak_memory": "B", "test/accuracy": "1", "test/wall_time": "s",
    "latency/base/batch_1/p50": "s", "latency/merged/batch_1/over_base": "1", "run/wall_time": "s",
}  # fmt: skip
PLAIN = {
    "schema": 2, "status": "ok", "absent": {},
    "readings": {name: {"value": 0.5, "unit": unit, "how": HOW} for name, unit in UNITS.items()},
}  # fmt: skip
MARKS = [
    {"phase": "fit", "cause": "run-queue wait", "value": 0.31, "limit": 0.05},
    {"phase": "latency", "cause": "steal", "value": 0.07, "limit": 0.05},
]
QUEUE, STEAL = "run-queue wait", "steal"


def record(**more):
    return record_of(PLAIN | more, Path("record.json"))


@pytest.mark.parametrize(
    ("name", "causes"),
    [
        ("fit/step_time", [QUEUE]),
        ("fit/samples_per_second", [QUEUE]),
        ("fit/energy", [QUEUE]),
        ("fit/share_of_peak", [QUEUE]),
        ("latency/base/batch_1/p50", [STEAL]),
        ("run/wall_time", [QUEUE, STEAL]),
        ("fit/peak_memory", []),
        ("test/accuracy", []),
        ("test/wall_time", []),
        ("latency/merged/batch_1/over_base", []),
    ],
)
def test_times_of_a_disturbed_phase_are_named_and_nothing_else(name, causes):
    assert [one.cause for one in disturbances(record(disturbed=MARKS), name)] == causes


@pytest.mark.parametrize("marks", [{}, {"disturbed": []}])
def test_a_record_without_marks_marks_nothing(marks):
    assert disturbances(record(**marks), "fit/step_time") == []


def test_a_row_shows_which_of_its_times_are_marked(capsys):
    show(record(disturbed=MARKS), PlainConsole(width=200))
    shown = capsys.readouterr().out.splitlines()
    marked = {line.split()[0] for line in shown if line.rstrip().endswith("measured, disturbed")}
    assert marked == {
        "fit/step_time", "fit/samples_per_second", "fit/energy", "fit/share_of_peak",
        "run/wall_time",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0, "0 FLOP"), (999.0, "999 FLOP"), (2.127e10, "21.27 GFLOP"), (3e18, "3,000 PFLOP")],
)
def test_flops_are_shown_with_a_prefix(value, shown):
    assert in_unit(value, "FLOP") == shown
