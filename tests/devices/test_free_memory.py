import psutil

from hwlit.devices.free_memory import free_memory


def test_the_limit_of_a_container_counts(tmp_path):
    assert 0 < free_memory(tmp_path) <= psutil.virtual_memory().total
    (tmp_path / "memory.stat").write_text("anon 300\nfile 9000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory(tmp_path) > 1000
    (tmp_path / "memory.max").write_text("1000\n")
    assert free_memory(tmp_path) == 700
