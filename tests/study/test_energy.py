import pytest

from hwlit.study.energy import CPU_ONLY, CPU_PART, MEASURED, energy_name, ranks_as_processor_time


def metered(**tags):
    parts = {part: f"{tag}: somehow" for part, tag in tags.items()}
    total = "estimated: somehow" if "estimated" in tags.values() else "measured: somehow"
    named = {"fit/energy": total} | {f"fit/energy/{part}": how for part, how in parts.items()}
    return {name: {"value": 1.0, "unit": "J", "method": how} for name, how in named.items()}


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
    readings = metered(**tags) | {"fit/wall_time": {"value": 1.0, "method": "measured: clock"}}
    assert energy_name(readings) == name
    assert ranks_as_processor_time(readings) == (name == CPU_ONLY)
