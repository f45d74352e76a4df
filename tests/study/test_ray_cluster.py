import pytest

from hwlit.errors import UsageError
from hwlit.study import ray_cluster
from hwlit.study.left_behind import left_behind
from tests.study.test_run import calls, rows, run, write_study

ray = pytest.importorskip("ray", reason="the extra ray is not installed")


@pytest.fixture
def cluster():
    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_runs_are_submitted_and_a_dead_worker_is_a_failed_row(tmp_path, cluster):
    study = write_study(
        tmp_path, axes={"data": ["ok", "orphan", "nan"]}, resources={"cpus": 1, "gpus": 0}
    )
    out = tmp_path / "out"
    assert run(study, out, "--launcher", "ray") == 1
    found = rows(out)
    assert {name: row["status"] for name, row in found.items()} == {
        "ok": "ok", "orphan": "failed", "nan": "diverged",
    }  # fmt: skip
    assert "its worker was lost" in found["orphan"]["reason"]
    assert left_behind(out / "started/orphan.json", out / "runs/orphan", "stub.py") is None
    assert [len(calls(out, name)) for name in found] == [1, 1, 1]


def test_without_ray_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(UsageError, match=r"pip install \"hwlit\[ray\]\""):
        ray_cluster.connect(tmp_path, {})
