import pytest

from hwlit.study.collect import collect
from hwlit.study.comparing import compared
from hwlit.study.energy import (
    CPU_ONLY,
    CPU_PART,
    MEASURED,
    common_name,
    energy_name,
    ranks_as_processor_time,
)
from hwlit.study.figures import pareto_figures
from tests.study.records import reading, write_run


def metered(**tags):
    parts = {part: f"{tag}: somehow" for part, tag in tags.items()}
    total = "estimated: somehow" if "estimated" in tags.values() else "measured: somehow"
    named = {"fit/energy": total} | {f"fit/energy/{part}": how for part, how in parts.items()}
    return {name: reading(name, (1.0, "J", how)) for name, how in named.items()}


@pytest.mark.parametrize(
    ("tags", "name"),
    [
        ({"cpu": "estimated"}, CPU_ONLY),
        ({"cpu": "measured"}, MEASURED),
        ({"cpu": "measured", "dram": "measured", "gpu": "measured"}, MEASURED),
        ({"cpu": "estimated", "gpu": "measured"}, CPU_PART),
        ({"cpu": "estimated", "dram": "measured"}, CPU_PART),
        ({}, MEASURED),
    ],
)
def test_energy_is_called_by_how_it_was_obtained(tags, name):
    readings = metered(**tags) | {"fit/wall_time": reading("fit/wall_time", (1.0, "s"))}
    assert energy_name(readings) == name
    assert ranks_as_processor_time(readings) == (name == CPU_ONLY)


def test_energies_of_two_kinds_in_one_table_have_the_plain_name():
    estimated, measured = metered(cpu="estimated"), metered(cpu="measured")
    assert common_name([estimated, estimated]) == CPU_ONLY
    assert common_name([estimated, measured]) == MEASURED
    assert common_name([]) == MEASURED


def test_the_plot_of_an_estimate_says_so(tmp_path):
    for name, joules in (("Full", 9.0), ("Lora", 5.0)):
        energy = (joules, "J", "estimated: TDP")
        readings = {"fit/energy": energy, "fit/energy/cpu": energy}
        right = [True] * 60 + [False] * 40
        write_run(tmp_path / name, name, config=name, readings=readings, right=right)
    figures = {f.name: f for f in pareto_figures(compared(collect([tmp_path]), None, None))}
    found = figures["pareto-energy"]
    assert found.title == f"quality against {CPU_ONLY}"
    assert found.layout["xaxis"]["title"]["text"] == f"{CPU_ONLY} of the train loop, J"
    assert "as processor time does" in found.note
    assert figures["pareto-time"].title == "quality against time"
