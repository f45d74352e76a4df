"""Little room: files that may not grow, and weights larger than the memory."""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from hwlit.exports.diffusers_lora import WEIGHTS
from hwlit.generation import TASK
from hwlit.networks.pipelines import pipeline_facts
from tools.hostile.case import Hostile, Stock

if sys.platform != "win32":
    import resource

DRAW = ("--base", "--prompt", "a mug", "--num_images", "2", "--out", "drawn")


def cases() -> list[Hostile]:
    """Return the cases; none where there are no such limits."""
    if sys.platform == "win32":
        return []
    texts = tuple(word for n in range(200) for word in ("--text", f"storm {n}"))
    merge = ("export", "evil", "--merged", "out")
    return [
        _limited("export --merged", merge, 20_000),
        _limited("export --merged, of a config", merge, 100),
        _limited("predict --output", ("predict", "evil", *texts, "--output", "out.csv"), 1_000),
        _limited("quantize", ("quantize", "evil", "--format", "int8", "--output", "out"), 100),
        _limited("fit", ("fit", "SMALL"), 30_000),
        _limited("export --kohya", ("export", "evil", "--kohya", "x.safetensors"), 100, _lora),
        _limited("generate", ("generate", "evil", *DRAW), 200, _drawing),
        Hostile(
            "weights of 9 GiB of holes where 8 are to be had", "answer",
            ("predict", "evil", "--text", "storm"), (6,), "out of memory", _holes,
            process=True, little_memory=True,
        ),
    ]  # fmt: skip


def _finished(here: Path, stock: Stock) -> None:
    stock.copy("finished", here / "evil")


def _lora(here: Path, stock: Stock) -> None:
    """Write what a run of LoRA on a picture model leaves."""
    adapter = here / "evil" / "adapter"
    adapter.mkdir(parents=True)
    tensors = {f"unet.a.lora_{side}.weight": torch.zeros(8, 8) for side in "AB"}
    save_file(tensors, adapter / WEIGHTS, {"lora_adapter_metadata": "{}"})
    _write_record(here / "evil")


def _write_record(run: Path) -> None:
    """Write the record of a run on pocket-sd."""
    record: dict[str, Any] = {"schema": 1, "status": "ok", "readings": {}, "absent": {}}
    record |= {"model": pipeline_facts("pocket-sd") | {"dtype": "float32"}}
    record |= {"adapter": {"name": "Lora", "class": "hwlit.adapters.lora.Lora"}}
    (run / "record.json").write_text(json.dumps(record))


def _drawing(here: Path, stock: Stock) -> None:
    """Write a run whose base alone is to draw."""
    (here / "evil").mkdir()
    _write_record(here / "evil")
    asked = {"sampling_steps": 1, "guidance": 1.0, "picture_size": None}
    config = {"model": {"class_path": TASK, "init_args": asked}}
    (here / "evil" / "config.yaml").write_text(json.dumps(config))


def _limited(
    name: str,
    arguments: tuple[str, ...],
    most: int,
    make: Callable[[Path, Stock], None] = _finished,
) -> Hostile:
    """Return a case in which no file may have more than so many bytes."""

    def prepare(here: Path, stock: Stock) -> None:
        make(here, stock)
        resource.setrlimit(
            resource.RLIMIT_FSIZE, (most, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
        )

    return Hostile(
        f"{name}: files of at most {most:,} bytes", "files", arguments, (6,), "File too large",
        prepare, _unlimited,
    )  # fmt: skip


def _unlimited(here: Path, printed: str) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    left = [path.name for path in here.rglob(".tmp-*")]
    assert not left, f"left behind: {left}"
    for checkpoint in here.rglob("*.ckpt"):
        manifest = checkpoint.with_name(checkpoint.name + ".manifest.json")
        assert manifest.is_file(), f"{checkpoint.name} has no manifest"


def _holes(here: Path, stock: Stock) -> None:
    path = stock.copy("finished", here / "evil") / "adapter" / "adapter_model.safetensors"
    size = 9 << 30
    header = json.dumps({"a": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}})
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
    os.truncate(path, 8 + len(header) + size)
