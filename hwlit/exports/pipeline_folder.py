"""A whole diffusion pipeline, as `DiffusionPipeline.from_pretrained` reads it, old and new.

Layout: `model_index.json` and a folder per component; `learned.safetensors` with the learned
tensors alone, where they are not all of a component. transformers 5.6 took the level `text_model`
out of CLIPTextModel, and reads files with it and without; versions before it read nothing without,
and leave the weights random with a warning. Versions before 5 read a tokenizer from `vocab.json`
and `merges.txt`, which 5 no longer writes. So each file has the names that all of them read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from hwlit.errors import ResourceError
from hwlit.storage import replacing, write_text

Pipeline = Any  # of diffusers, whose lazy imports hide its types
LEARNED = "learned.safetensors"
PREFIX = "text_model."  # of each tensor of a CLIPTextModel
MARGIN = 64 * 2**20  # bytes for configs, tokenizers and what others write meanwhile


def write_pipeline_folder(
    folder: Path, pipeline: Pipeline, learned: Mapping[str, Tensor], base: str | None
) -> tuple[Path, ...]:
    """Write a pipeline whose weights are plain.

    Args:
        folder: Where to write; made if need be.
        pipeline: The pipeline; nothing in it is wrapped or quantised.
        learned: What was learned, by component and name in it, such as `unet.conv_in.weight`.
        base: Public name of the pretrained pipeline; None where it has none.

    Returns:
        The files that hold what was learned.

    Raises:
        ResourceError: The disk has no room for it, or cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    needed = pipeline_size(pipeline) + sum(tensor.nbytes for tensor in learned.values()) + MARGIN
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ResourceError(
            f"the pipeline needs {needed / 2**30:.2f} GiB and {folder} has {free / 2**30:.2f} GiB "
            "left; free some, or give another --output"
        )
    try:
        pipeline.save_pretrained(folder, safe_serialization=True)
        write_for_older_loaders(folder, pipeline)
    except OSError as error:
        raise ResourceError(f"cannot write {folder}: {error.strerror or error}") from error
    _name(folder, base)
    parts = {name.partition(".")[0] for name in learned}
    everything = {
        f"{part}.{name}"
        for part in parts
        for name, _ in pipeline.components[part].named_parameters()
    }
    if everything <= set(learned):
        return tuple(
            sorted(file for part in parts for file in (folder / part).glob("*.safetensors"))
        )
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in learned.items()}
    with replacing(folder / LEARNED) as file:
        file.write(save(tensors, metadata={"format": "pt"}))
    return (folder / LEARNED,)


def write_for_older_loaders(folder: Path, pipeline: Pipeline) -> None:
    """Give a saved pipeline the files and names that transformers 4 reads; newer read them too."""
    for name, part in pipeline.components.items():
        if isinstance(part, CLIPTokenizer):
            part.backend_tokenizer.model.save(str(folder / name))
        elif isinstance(part, CLIPTextModel):
            for path in (folder / name).glob("*.safetensors"):
                _prefix(path)


def _prefix(path: Path) -> None:
    """Begin the name of every tensor of a CLIPTextModel with `text_model.`."""
    with safe_open(path, "pt") as file:
        metadata, names = file.metadata(), list(file.keys())
    if all(name.startswith(PREFIX) for name in names):
        return
    tensors = {PREFIX + n.removeprefix(PREFIX): t for n, t in load_file(path).items()}
    with replacing(path) as out:
        out.write(save(tensors, metadata=metadata))


def _name(folder: Path, base: str | None) -> None:
    """Say in the configs what the weights began as; diffusers writes the path on this machine."""
    for path in (folder / "model_index.json", *folder.glob("*/config.json")):
        config = json.loads(path.read_text(encoding="utf-8"))
        if config.pop("_name_or_path", None) is not None:
            named = {} if base is None else {"_name_or_path": base}
            write_text(path, json.dumps(config | named, indent=2) + "\n")


def pipeline_size(pipeline: Pipeline) -> int:
    """Return the bytes of a pipeline's weights on disk."""
    modules = [part for part in pipeline.components.values() if isinstance(part, nn.Module)]
    return sum(tensor.nbytes for module in modules for tensor in module.state_dict().values())
