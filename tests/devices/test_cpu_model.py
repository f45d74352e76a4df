from pathlib import Path

import pytest

from hwlit.devices.cpu_model import read_cpu_model


def written(path: Path, *processors: str) -> Path:
    path.write_text("\n\n".join(processors) + "\n")
    return path


def processor(socket: int, flags: str = "fpu sse2") -> str:
    return f"processor\t: 0\nmodel name\t: Acme 9000\nphysical id\t: {socket}\nflags\t\t: {flags}"


@pytest.mark.parametrize(("sockets", "expected"), [((0, 0), 1), ((0, 1, 0, 1), 2)])
def test_sockets_are_counted_once_each(tmp_path, sockets, expected):
    cpuinfo = written(tmp_path / "cpuinfo", *(processor(socket) for socket in sockets))
    model = read_cpu_model(cpuinfo)
    assert (model.name, model.sockets) == ("Acme 9000", expected)


def test_hypervisor_flag_makes_it_virtual(tmp_path):
    assert read_cpu_model(written(tmp_path / "cpuinfo", processor(0, "fpu hypervisor"))).virtual


def test_arm_without_a_model_name_still_has_a_name(tmp_path):
    model = read_cpu_model(written(tmp_path / "cpuinfo", "processor\t: 0\nFeatures\t: fp asimd"))
    assert model.name
    assert model.sockets == 1


def test_system_without_procfs_still_has_a_name(tmp_path):
    assert read_cpu_model(tmp_path / "missing").name


@pytest.mark.parametrize(
    ("name", "siblings", "flags", "threads"),
    [
        ("AMD EPYC 7763 64-Core Processor", "2", "hypervisor", 128),
        ("AMD EPYC 7763 64-Core Processor", "2", "", 128),  # a virtual machine that hides it
        ("AMD EPYC 7763 64-Core Processor", "128", "", 128),
        ("AMD EPYC 7763 64-Core Processor", "64", "", 64),  # without SMT
        ("AMD Ryzen 5 1600 Six-Core Processor", "4", "hypervisor", 12),
        ("AMD FX(tm)-8350 Eight-Core Processor", "4", "hypervisor", 8),
        ("Hygon C86 7285 32-core Processor", "8", "hypervisor", 64),
        ("13th Gen Intel(R) Core(TM) i9-13900K", "32", "", 32),  # 8 cores of two threads, 16 of one
        ("13th Gen Intel(R) Core(TM) i9-13900K", "32", "hypervisor", None),
        ("Intel(R) Xeon(R) Processor @ 2.90GHz", "2", "hypervisor", None),
        ("QEMU Virtual CPU version 2.5+", "1", "hypervisor", None),
        ("Acme 0-Core Processor", "1", "hypervisor", None),
        ("Acme 9999-Core Processor", "1", "hypervisor", None),
        ("Acme 99999999999999999999-Core Processor", "1", "hypervisor", None),
    ],
)
def test_threads_are_those_of_the_processor_itself(tmp_path, name, siblings, flags, threads):
    lines = f"model name : {name}\nphysical id : 0\nsiblings : {siblings}\nflags : fpu {flags}"
    assert read_cpu_model(written(tmp_path / "cpuinfo", lines)).threads == threads


@pytest.mark.parametrize("siblings", ["", "many", "-2", "0", "²"])
def test_a_damaged_count_of_threads_is_passed_over(tmp_path, siblings):
    lines = f"model name : Acme\nphysical id : 0\nsiblings : {siblings}\nflags : fpu"
    model = read_cpu_model(written(tmp_path / "cpuinfo", lines))
    assert model.threads == model.shown_threads
