import pytest

from hwlit.devices.peaks import KINDS, TERA, peaks_of


@pytest.mark.parametrize(
    ("name", "bfloat16"),
    [
        ("NVIDIA A100-SXM4-40GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("NVIDIA H100 80GB HBM3", 989.5),
        ("NVIDIA H100 PCIe", 756.5),
        ("NVIDIA GeForce RTX 4090", 165.2),
    ],
)
def test_a_peak_is_of_an_exact_name(name, bfloat16):
    assert peaks_of(name).by_kind["bfloat16"] == bfloat16 * TERA


@pytest.mark.parametrize(
    "name",
    [
        "Intel(R) Xeon(R) Processor",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA A1000",
        "",
    ],
)
def test_another_device_with_a_like_name_has_none(name):
    assert peaks_of(name) is None


def test_a_unit_that_a_chip_lacks_has_no_peak():
    t4 = peaks_of("Tesla T4")
    assert "bfloat16" not in t4.by_kind
    assert t4.seconds({"bfloat16": 1.0}) is None


def test_kinds_of_numbers_each_have_their_own_peak():
    a100 = peaks_of("NVIDIA A100-SXM4-40GB")
    assert a100.seconds({"bfloat16": 312e12, "float32": 19.5e12}) == pytest.approx(2)


def test_dense_peaks_fall_from_half_to_full_precision():
    for name in ("NVIDIA L4", "NVIDIA L40S", "NVIDIA RTX A6000", "AMD Instinct MI300X"):
        numbers = [peaks_of(name).by_kind[kind] for kind in KINDS]
        assert numbers == sorted(numbers, reverse=True)
