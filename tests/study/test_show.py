import io
import json
from pathlib import Path

import pytest

from hwlit.console import PlainConsole
from hwlit.records import record_of
from hwlit.study.collect import collect
from hwlit.study.comparing import compared
from hwlit.study.latency import OVER_BASE, UNMERGED_OVER_BASE
from hwlit.study.show import show
from tests.study.records import write_run

ESTIMATE = {"value": 700.0, "unit": "J", "method": "estimated: x", "low": 122.5, "high": 1505.0}


def shown(readings, phases=()):
    out = io.StringIO()
    record = {"schema": 1, "status": "ok", "readings": readings, "absent": {}}
    read = record_of(record | {"phases": list(phases)}, Path("record.json"))
    show(read, PlainConsole(file=out, width=200))
    return out.getvalue()


def line(text, start):
    (found,) = (row for row in text.splitlines() if row.startswith(start))
    return found.split()


def test_an_estimate_of_energy_says_so_wherever_it_stands():
    phase = {"name": "train", "wall_time": 1.0, "share": 1.0, "peak_memory": {}}
    out = shown(
        {
            "fit/energy": ESTIMATE,
            "fit/energy/cpu": ESTIMATE,
            "fit/energy_codecarbon": {"value": 2562.0, "unit": "J", "method": "estimated: y"},
        },
        [phase | {"energy": {"cpu": 700.0}}],
    )
    told = "fit/energy (CPU only, estimated) 700.0 J (122.5 - 1,505 J) estimated"
    assert line(out, "fit/energy (") == told.split()
    assert "2562.0" in line(out, "fit/energy_codecarbon (RAM, idle)")
    assert line(out, "phase")[-4:] == ["energy", "(CPU", "only,", "estimated)"]
    assert "ranks runs as processor time does" in out


def test_what_hardware_counts_is_called_energy():
    reading = {"value": 700.0, "unit": "J", "method": "measured: RAPL"}
    out = shown({"fit/energy": reading, "fit/energy/cpu": reading})
    assert line(out, "fit/energy") == ["fit/energy", "700.0", "J", "measured"]
    assert "processor time" not in out


OLD_RECORD = {"schema": 1, "status": "ok", "absent": {}}
OLD = {"value": 1.01, "unit": "1", "method": "measured: ratio of medians", "n": 60}
NEW = {"value": 1.05, "unit": "1", "method": "measured: turn by turn", "n": 9} | {
    "low": 0.98, "high": 1.12
}  # fmt: skip


def timed(over_base=None, **seconds):
    found = {
        f"latency/{name}/batch_1/p50": {"value": value, "unit": "s", "method": "measured: clock"}
        for name, value in seconds.items()
    }
    return found | ({"latency/merged/batch_1/over_base": over_base} if over_base else {})


@pytest.mark.parametrize(
    ("readings", "told", "ratio"),
    [
        (timed(NEW, base=0.1, merged=0.0958), "1.05x (0.98-1.12)", 1.05),
        (timed(OLD, base=0.1, merged=0.0958), "0.96x", 0.958),
        (timed(base=0.1, merged=0.1), "1.00x", 1.0),
        # Once over the quantised base, in the page over the one in full precision.
        (timed(OLD, reference=0.2, base=0.1, merged=0.1), "0.50x", 0.5),
        (timed(OLD, base=0.0, merged=0.1), None, None),
        (timed(NEW | {"low": 0}, base=0.1, merged=0.1), None, None),
        (timed(merged=0.1), None, None),
    ],
)
def test_a_run_has_one_ratio_to_its_base_on_every_page(tmp_path, readings, told, ratio):
    folder = write_run(tmp_path / "run", config="run")
    (folder / "record.json").write_text(json.dumps(OLD_RECORD | {"readings": readings}))
    words = line(shown(readings), "merged/batch_1")[3:]
    assert " ".join(words) == (told or "")
    (row,) = compared(collect([tmp_path]), None, None).rows
    assert row.value(OVER_BASE) == (None if ratio is None else pytest.approx(ratio))
    assert UNMERGED_OVER_BASE not in row.readings
    if ratio is not None and "(" in told:
        assert (row.readings[OVER_BASE].low, row.readings[OVER_BASE].high) == (0.98, 1.12)


def test_ratios_of_several_runs_are_averaged_as_logs(tmp_path):
    for seed, ratio in enumerate((0.5, 2.0)):
        folder = write_run(tmp_path / str(seed), seed=seed, config="run")
        turns = timed(NEW | {"value": ratio}, base=0.1, merged=0.1)
        record = OLD_RECORD | {"readings": turns, "seed": seed}
        (folder / "record.json").write_text(json.dumps(record))
    (row,) = compared(collect([tmp_path]), None, None).rows
    found = row.readings[OVER_BASE]
    assert (found.value, found.least, found.most) == (pytest.approx(1), 0.5, 2)
