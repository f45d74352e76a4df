import io

from hwlit.console import PlainConsole
from hwlit.study.show import show

ESTIMATE = {"value": 700.0, "unit": "J", "method": "estimated: x", "low": 122.5, "high": 1505.0}


def shown(readings, phases=()):
    out = io.StringIO()
    record = {"status": "ok", "readings": readings, "absent": {}, "phases": list(phases)}
    show(record, PlainConsole(file=out, width=200))
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
    told = "fit/energy (CPU only, estimated) 700.0 J 122.5 J - 1505.0 J, assumed estimated"
    assert line(out, "fit/energy (") == told.split()
    assert "2562.0" in line(out, "fit/energy_codecarbon (with RAM, idle)")
    assert line(out, "phase")[-4:] == ["energy", "(CPU", "only,", "estimated)"]
    assert "ranks runs as processor time does" in out


def test_what_hardware_counts_is_called_energy():
    reading = {"value": 700.0, "unit": "J", "method": "measured: RAPL"}
    out = shown({"fit/energy": reading, "fit/energy/cpu": reading})
    assert line(out, "fit/energy") == ["fit/energy", "700.0", "J", "measured"]
    assert "processor time" not in out
