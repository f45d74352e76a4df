import pytest
import torch

from hwlit.errors import ResourceError
from hwlit.trainer_settings import check_devices


@pytest.fixture
def old_gpu(monkeypatch):
    """A GPU such as the V100 or T4, for which torch says yes to bf16 unless asked exactly."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Tesla T4")


def asked(**settings):
    return {f"trainer.{name}": value for name, value in settings.items()}


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "bf16"])
def test_bf16_is_refused_where_a_gpu_would_emulate_it(precision, old_gpu):
    with pytest.raises(ResourceError, match="Tesla T4 has no bf16"):
        check_devices(asked(accelerator="auto", devices=1, precision=precision, strategy="auto"))


def test_a_gpu_without_bf16_has_other_precisions_and_a_processor_beside_it(old_gpu):
    for precision in ("16-mixed", "32-true", None):
        check_devices(asked(accelerator="auto", devices=1, precision=precision, strategy="auto"))
    check_devices(asked(accelerator="cpu", devices=1, precision="bf16-mixed", strategy="auto"))
