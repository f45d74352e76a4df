"""Peak FLOP/s of GPUs as their makers publish them: dense, at the clocks that they are sold at.

A peak is of one exact name, as the driver gives it: a laptop's chip, a part of a GPU (MIG) or
another form factor of the same chip has another one. `tf32` is fp32 that tensor cores multiply in
19 bits; of consumer cards the half precisions are those that add up in fp32, as torch has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

TERA = 1e12
# As torch.cuda.get_device_properties names it: what is published, and
# float16, bfloat16, tf32, float32 in TFLOP/s, 0 where the chip has no such unit.
_TABLE: Mapping[str, tuple[str, tuple[float, float, float, float]]] = {
    r"Tesla V100-SXM[23].*": ("NVIDIA V100 data sheet 2020", (125, 0, 0, 15.7)),
    r"Tesla V100-PCIE-.*": ("NVIDIA V100 data sheet 2020", (112, 0, 0, 14)),
    r"Tesla V100S-PCIE-.*": ("NVIDIA V100 data sheet 2020", (130, 0, 0, 16.4)),
    r"Tesla T4": ("NVIDIA T4 data sheet 2019", (65, 0, 0, 8.1)),
    r"NVIDIA A100-(SXM4|PCIE|PG509)-[48]0GB|NVIDIA A100 80GB PCIe": (
        "NVIDIA A100 data sheet 2021", (312, 312, 156, 19.5)),
    r"NVIDIA A30": ("NVIDIA A30 data sheet 2022", (165, 165, 82, 10.3)),
    r"NVIDIA A40": ("NVIDIA A40 data sheet 2022", (149.7, 149.7, 74.8, 37.4)),
    r"NVIDIA A10": ("NVIDIA A10 data sheet 2021", (125, 125, 62.5, 31.2)),
    r"NVIDIA A10G": ("NVIDIA A10G data sheet for AWS 2022", (70, 70, 35, 35)),
    r"NVIDIA RTX A6000": ("NVIDIA RTX A6000 data sheet 2021", (154.8, 154.8, 77.4, 38.7)),
    r"NVIDIA L4": ("NVIDIA L4 data sheet 2023, half of the sparse figures", (121, 121, 60, 30.3)),
    r"NVIDIA L40": ("NVIDIA L40 data sheet 2023", (181.05, 181.05, 90.5, 90.5)),
    r"NVIDIA L40S": ("NVIDIA L40S data sheet 2023", (362.05, 362.05, 183, 91.6)),
    r"NVIDIA RTX 6000 Ada Generation": (
        "NVIDIA Ada whitepaper 2022, appendix A", (364.2, 364.2, 182.1, 91.1)),
    r"NVIDIA GeForce RTX 3090": (
        "NVIDIA GA102 whitepaper 2021, appendix A", (71, 71, 35.6, 35.6)),
    r"NVIDIA GeForce RTX 4090": (
        "NVIDIA Ada whitepaper 2022, appendix A", (165.2, 165.2, 82.6, 82.6)),
    r"NVIDIA GeForce RTX 4080": (
        "NVIDIA Ada whitepaper 2022, appendix A", (97.5, 97.5, 48.7, 48.7)),
    r"NVIDIA H100 80GB HBM3|NVIDIA H200|NVIDIA GH200 .*": (
        "NVIDIA H100, H200 and GH200 data sheets 2024, half of the sparse figures",
        (989.5, 989.5, 494.5, 67)),
    r"NVIDIA H100 PCIe": (
        "NVIDIA H100 data sheet 2023, half of the sparse figures", (756.5, 756.5, 378, 51)),
    r"NVIDIA H100 NVL|NVIDIA H200 NVL": (
        "NVIDIA H100 and H200 data sheets 2024, half of the sparse figures",
        (835.5, 835.5, 417.5, 60)),
    r"AMD Instinct MI300X.*": ("AMD MI300X data sheet 2023", (1307.4, 1307.4, 653.7, 163.4)),
}  # fmt: skip
KINDS = ("float16", "bfloat16", "tf32", "float32")


@dataclass(frozen=True)
class Peaks:
    """What a device can do at most.

    Args:
        by_kind: FLOP/s by kind of number, as `KINDS` has them.
        source: Where they are published.
    """

    by_kind: Mapping[str, float]
    source: str

    def seconds(self, flops: Mapping[str, float]) -> float | None:
        """Return the least time for some FLOPs by kind of number; None where a peak is missing."""
        if any(kind not in self.by_kind for kind in flops):
            return None
        return sum(count / self.by_kind[kind] for kind, count in flops.items())


def peaks_of(name: str) -> Peaks | None:
    """Return the peaks of a device by its name; None where none is known."""
    for pattern, (source, numbers) in _TABLE.items():
        if re.fullmatch(pattern, name):
            known = {kind: n * TERA for kind, n in zip(KINDS, numbers, strict=True) if n}
            return Peaks(known, source)
    return None
