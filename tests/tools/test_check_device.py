import copy
import json

import pytest

from hwlit.__main__ import main
from tests.conftest import speed_up, tiny_arguments
from tools.check_device import problems


@pytest.fixture(scope="module")
def record(tiny_models, tiny_csv, tmp_path_factory):
    output = tmp_path_factory.mktemp("checked") / "run"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("HWLIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        speed_up(monkeypatch)
        assert main(tiny_arguments(tiny_models, tiny_csv, output)) == 0
    return json.loads((output / "record.json").read_text())


def of_two(record, accelerator):
    """What two such devices would give."""
    made = copy.deepcopy(record)
    peak = made["readings"]["fit/peak_memory"]
    made["readings"] |= {f"fit/peak_memory/rank_{rank}": dict(peak) for rank in (0, 1)}
    peak["value"] *= 2
    made["parallel"]["world_size"] = 2
    made["device"]["kind"] = {"gpu": "cuda"}.get(accelerator, accelerator)
    return made


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
    made = copy.deepcopy(record)
    del made["readings"][name]
    assert any(name in line for line in problems(made, "cpu", 1))


def test_rows_that_were_not_tested_are_named(record):
    made = copy.deepcopy(record)
    made["readings"]["test/accuracy"]["n"] -= 1
    assert problems(made, "cpu", 1) == ["31 rows were tested"]
