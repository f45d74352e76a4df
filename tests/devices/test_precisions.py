"""What the machine table says of precisions and devices."""

import pytest
import torch

from hwlit.devices import precisions, presence


def test_every_precision_is_tried_and_one_that_fails_says_why(monkeypatch):
    real = torch.nn.Linear

    def refusing(*args, dtype, **kwargs):
        if dtype == torch.float64:
            raise TypeError("no doubles here\nand more")
        return real(*args, dtype=dtype, **kwargs)

    monkeypatch.setattr(torch.nn, "Linear", refusing)
    trials = precisions.try_precisions(torch.device("cpu"))
    assert set(trials) == set(precisions.PRECISIONS)
    assert trials["32-true"].seconds > 0
    assert trials["64-true"].seconds is None
    assert trials["64-true"].error == "no doubles here"


@pytest.mark.parametrize(
    ("line", "unit"),
    [
        ("flags : fpu avx2 avx512_bf16 amx_bf16", "amx_bf16"),
        ("flags : fpu avx2 avx512_bf16", "avx512_bf16"),
        ("Features : fp asimd bf16", "bf16"),
        ("flags : fpu avx2", "none: emulated"),
    ],
)
def test_the_unit_that_multiplies_is_read_from_the_flags(line, unit, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(f"processor : 0\n{line}\n")
    monkeypatch.setattr(precisions, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(precisions.platform, "machine", lambda: "x86_64")
    assert precisions.try_precisions(torch.device("cpu"))["bf16-mixed"].unit == unit


def test_gpus_are_named_and_their_absence_has_a_reason(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    assert presence.find_cuda().names == ("GPU 0", "GPU 1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    assert "built without CUDA" in presence.find_cuda().reason
    monkeypatch.setattr(torch.version, "cuda", "12.8")
    assert "nvidia-smi" in presence.find_cuda().reason
