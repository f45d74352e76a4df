import pytest

from hwlit.console import PlainConsole
from hwlit.study.disturbance import is_disturbed
from hwlit.study.show import in_unit, show

RECORD = {
    "readings": {
        "fit/step_time": {"unit": "s", "value": 0.1},
        "fit/samples_per_second": {"unit": "1/s", "value": 7},
        "fit/energy": {"unit": "J", "value": 7},
        "fit/share_of_peak": {"unit": "1", "value": 0.2},
        "fit/peak_memory": {"unit": "B", "value": 7},
        "test/accuracy": {"unit": "1", "value": 0.9},
        "test/wall_time": {"unit": "s", "value": 1},
        "latency/base/batch_1/p50": {"unit": "s", "value": 1},
        "latency/merged/batch_1/over_base": {"unit": "1", "value": 1},
        "run/wall_time": {"unit": "s", "value": 9},
    },
    "disturbed": [
        {"phase": "fit", "cause": "run-queue wait", "value": 0.31, "limit": 0.05},
        {"phase": "latency", "cause": "steal", "value": 0.07, "limit": 0.05},
    ],
}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("fit/step_time", "run-queue wait 31 % in fit (limit 5 %)"),
        ("fit/samples_per_second", "run-queue wait 31 % in fit (limit 5 %)"),
        ("fit/energy", "run-queue wait 31 % in fit (limit 5 %)"),
        ("fit/share_of_peak", "run-queue wait 31 % in fit (limit 5 %)"),
        ("latency/base/batch_1/p50", "steal 7 % in latency (limit 5 %)"),
        (
            "run/wall_time",
            "run-queue wait 31 % in fit (limit 5 %), steal 7 % in latency (limit 5 %)",
        ),
        ("fit/peak_memory", None),
        ("test/accuracy", None),
        ("test/wall_time", None),
        ("latency/merged/batch_1/over_base", None),
        ("fit/energy/gpu", None),  # is not there
    ],
)
def test_times_of_a_disturbed_phase_are_named_and_nothing_else(name, why):
    assert is_disturbed(RECORD, name) == why


@pytest.mark.parametrize("disturbed", [{}, {"disturbed": []}])
def test_a_record_without_marks_marks_nothing(disturbed):
    assert is_disturbed({"readings": RECORD["readings"]} | disturbed, "fit/step_time") is None


def test_a_row_shows_which_of_its_times_are_marked(capsys):
    readings = {n: r | {"method": "measured: so"} for n, r in RECORD["readings"].items()}
    record = RECORD | {"readings": readings, "status": "ok", "absent": {}}
    show(record, PlainConsole(width=200))
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
