import pytest

from hwlit.errors import UsageError
from hwlit.output import find_output, is_first_process


@pytest.mark.parametrize("name", ["WORLD_SIZE", "SLURM_NTASKS"])
def test_processes_started_from_outside_need_one_directory(name, monkeypatch, tmp_path):
    monkeypatch.setenv(name, "2")
    with pytest.raises(UsageError, match="give --output"):
        find_output(None, None, "run", "hwlit.adapters.lora.Lora")
    assert find_output(str(tmp_path), None, "run", "hwlit.adapters.lora.Lora") == tmp_path


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"])
def test_the_first_process_is_told_by_its_number(name, monkeypatch):
    assert is_first_process()
    monkeypatch.setenv(name, "1")
    assert not is_first_process()
