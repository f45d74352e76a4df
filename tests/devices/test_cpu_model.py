from pathlib import Path

import pytest

from hwlit.devices.cpu_model import CpuModel, read_cpu_model


def written(path: Path, *processors: str) -> Path:
    path.write_text("\n\n".join(processors) + "\n")
    return path


def processor(socket: int, flags: str = "fpu sse2") -> str:
    return f"processor\t: 0\nmodel name\t: Acme 9000\nphysical id\t: {socket}\nflags\t\t: {flags}"


@pytest.mark.parametrize(("sockets", "expected"), [((0, 0), 1), ((0, 1, 0, 1), 2)])
def test_sockets_are_counted_once_each(tmp_path, sockets, expected):
    cpuinfo = written(tmp_path / "cpuinfo", *(processor(socket) for socket in sockets))
    assert read_cpu_model(cpuinfo) == CpuModel("Acme 9000", sockets=expected)


def test_hypervisor_flag_makes_it_virtual(tmp_path):
    assert read_cpu_model(written(tmp_path / "cpuinfo", processor(0, "fpu hypervisor"))).virtual


def test_arm_without_a_model_name_still_has_a_name(tmp_path):
    model = read_cpu_model(written(tmp_path / "cpuinfo", "processor\t: 0\nFeatures\t: fp asimd"))
    assert model.name
    assert model.sockets == 1


def test_system_without_procfs_still_has_a_name(tmp_path):
    assert read_cpu_model(tmp_path / "missing").name
