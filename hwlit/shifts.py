"""A finished run of SVDiff: its shifts on the base again, at any strength, or as a LoRA file."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from hwlit.adapters.svdiff import FILES, SVDiff, as_lora, load_shifts, set_strength
from hwlit.errors import IntegrityError, UsageError
from hwlit.exports.diffusers_lora import write_diffusers_lora
from hwlit.networks.diffusion import DiffusionNetwork, load_diffusion
from hwlit.networks.pipelines import weights_sha256
from hwlit.paths import is_local
from hwlit.records import Record, need, read_run, using

CLASS = f"{SVDiff.__module__}.{SVDiff.__qualname__}"


def learned_shifts(record: Record) -> bool:
    """Return whether a record is that of a run of SVDiff."""
    return record.adapter.class_ == CLASS


def shifted(run: Path, record: Record) -> tuple[SVDiff, DiffusionNetwork]:
    """Return a run's adapter and its network with the shifts on it, not folded, on the CPU.

    The SVD is taken in the precision that it was trained in, for its directions depend on it.

    Raises:
        IntegrityError: The base has changed, or the run lacks its shifts.
    """
    model, settings = record.model, record.adapter.rest
    check_base(run, record)
    with using(run):
        adapter = SVDiff(
            targets=tuple(settings["sites"]),
            norms=settings["norms"],
            norms_per_channel=settings["norms_per_channel"],
            norm_rate=settings["norm_rate"],
        )
        dtype, learns = vars(torch)[str(model.dtype)], bool(model.rest["train_text_encoder"])
    assert model.pretrained is not None  # `check_base` needs it
    network = load_diffusion(model.pretrained, dtype, learns)
    adapter.attach(network)
    load_shifts(network, _read(run))
    return adapter, network.eval()


def folded(run: Path, record: Record, strength: float, dtype: torch.dtype) -> DiffusionNetwork:
    """Return a run's network of plain weights, its shifts scaled; see `shifted`."""
    adapter, network = shifted(run, record)
    set_strength(network, strength)
    adapter.merge(network)
    return network.to(dtype)


def export_lora(run: Path, folder: Path, rank: int) -> float:
    """Write a run of SVDiff as a LoRA file that stock diffusers reads.

    Args:
        run: The run's directory.
        folder: Where to write, new or empty.
        rank: Directions kept of each layer, those of the largest shifts.

    Returns:
        The relative error: of what was learned, the root of the share of squares left out.

    Raises:
        UsageError: The run is of another method, the folder holds something, or the rank is out of
            range.
        IntegrityError: The base has changed, or the run lacks its shifts.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"--lora {folder} holds something already; give a new folder")
    record = read_run(run)
    need(run, record, "model.pretrained", "model.sha256", "model.hub_id", "model.dtype")
    need(run, record, "adapter.name", "adapter.class_")
    if not learned_shifts(record):
        raise UsageError(
            f"{run} is a run of {record.adapter.name}; --lora writes runs of SVDiff as LoRA"
        )
    _, network = shifted(run, record)
    lora = as_lora(network, rank)
    base = str(record.model.hub_id)
    local = is_local(str(record.model.pretrained))  # where a folder has its whole path
    facts = {
        **({} if local else {"base_model": base}),
        "made_from": f"SVDiff shifts, rank {rank}",
        "relative_error": f"{lora.relative_error:.6g}",
    }
    write_diffusers_lora(folder, lora.config, lora.tensors, facts)
    return lora.relative_error


def check_base(run: Path, record: Record) -> None:
    """Compare the base model with the one that a run was trained on.

    Raises:
        IntegrityError: Its weights differ, or the record does not name them.
    """
    need(run, record, "model.pretrained", "model.sha256")
    name, trained_on = str(record.model.pretrained), str(record.model.sha256)
    if weights_sha256(name) != trained_on:
        raise IntegrityError(
            f"the weights of {name} are not those that {run} was trained on (sha256 "
            f"{trained_on[:12]}…); bring these back, or train again"
        )


def _read(run: Path) -> dict[str, dict[str, Tensor]]:
    paths = [run / "adapter" / name for name in FILES.values()]
    try:
        found = {path.name: load_file(path) for path in paths if path.is_file()}
    except (SafetensorError, OSError) as error:
        raise IntegrityError(f"the shifts of {run} are damaged ({error}); train again") from error
    if not found:
        raise IntegrityError(f"{run} holds no shifts (adapter/{FILES['unet']}); train again")
    return found
