import os
import subprocess
import sys

import pytest

from hwlit.devices.host_memory import HostMemory
from hwlit.devices.processes import descendants


@pytest.fixture
def child(request):
    """A live child with the environment that the test asks for."""
    environment = {**os.environ, **request.param}
    script = [sys.executable, "-c", "print('up', flush=True); input()"]
    with subprocess.Popen(
        script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        process.stdout.readline()
        yield process
        process.communicate("\n")


@pytest.mark.parametrize("child", [{}, {"LOCAL_RANK": "0"}], indirect=True)
def test_a_worker_belongs_to_us(child):
    assert child.pid in {process.pid for process in descendants()}
    assert "plus 1 live child" in HostMemory().current().how.text


@pytest.mark.parametrize("child", [{"LOCAL_RANK": "1"}], indirect=True)
def test_another_rank_is_measured_by_itself(child, monkeypatch):
    assert child.pid not in {process.pid for process in descendants()}
    assert "live child" not in HostMemory().current().how.text
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert child.pid in {process.pid for process in descendants()}
