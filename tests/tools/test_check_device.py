from dataclasses import replace

import pytest

from hwlit.__main__ import main
from hwlit.records import read_record
from tests.conftest import speed_up, tiny_arguments
from tools.check_device import problems


@pytest.fixture(scope="module")
def record(tiny_models, tiny_csv, tmp_path_factory):
    output = tmp_path_factory.mktemp("checked") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HWLIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        speed_up(monkeypatch)
        assert main(tiny_arguments(tiny_models, tiny_csv, output)) == 0
    return read_record(output)


def of_two(record, accelerator):
    """What two such devices would give."""
    peak = record.readings["fit/peak_memory"]
    readings = record.readings | {f"fit/peak_memory/rank_{rank}": peak for rank in (0, 1)}
    readings["fit/peak_memory"] = replace(peak, value=2 * peak.value, low=None, high=None)
    device = replace(record.device, kind={"gpu": "cuda"}.get(accelerator, accelerator))
    parallel = record.parallel | {"world_size": 2}
    return replace(record, readings=readings, device=device, parallel=parallel)


def test_a_whole_row_has_no_problems(record):
    assert problems(record, "cpu", 1) == []
    assert problems(of_two(record, "cpu"), "cpu", 2) == []


def test_a_row_of_another_device_has_them_all(record):
    told = "\n".join(problems(record, "gpu", 2))
    for words in ("measured as cpu", "missing: fit/energy/gpu", "'measured: CUDA events'"):
        assert words in told
    for words in ("1 processes, not 2", "not the sum", "not that of 2 GPUs"):
        assert words in told


@pytest.mark.parametrize("name", ["fit/peak_memory/resident", "latency/base/batch_1/p50"])
def test_what_is_missing_is_named(name, record):
    readings = {other: one for other, one in record.readings.items() if other != name}
    made = replace(record, readings=readings)
    assert any(name in line for line in problems(made, "cpu", 1))


def test_rows_that_were_not_tested_are_named(record):
    accuracy = record.readings["test/accuracy"]
    fewer = {"test/accuracy": replace(accuracy, n=accuracy.n - 1)}
    made = replace(record, readings=record.readings | fewer)
    assert problems(made, "cpu", 1) == ["31 rows were tested"]
