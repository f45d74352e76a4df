"""Singular value decompositions of weights, computed once and kept on disk.

One file for each matrix, named by a hash of its values: it is never out of date, networks that
share weights share it, and what was interrupted goes on where it stopped.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from tqdm.auto import tqdm

from hwlit.errors import IntegrityError, ResourceError
from hwlit.storage import cache_directory, manifest_path, verify, write_with_manifest

SCHEMA = 1
PROGRESS_DELAY_S = 2.0


@dataclass(frozen=True)
class Decomposition:
    """The thin SVD of a weight as a matrix of outputs by all else: W = U diag(s) V^T.

    Args:
        u: (outputs, values), in the precision of the weight.
        s: (values,), fp32 or finer, descending.
        vt: (values, *the weight's other sizes), in the precision of the weight.
        source: `computed`, `read` from the disk, or `damaged` there and computed again.
    """

    u: Tensor
    s: Tensor
    vt: Tensor
    source: str


def decompose_all(weights: Mapping[str, Tensor]) -> dict[str, Decomposition]:
    """Return the SVD of each weight; of weights on the meta device the shapes alone.

    Args:
        weights: Weights of linear layers and convolutions by name, (outputs, ...).

    Raises:
        ResourceError: The cache cannot be written.
    """
    folder = cache_directory() / "svd"
    if all(weight.is_meta for weight in weights.values()):
        return {name: _shapes(weight) for name, weight in weights.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # One process computes; others that want the same wait for it and read.
        with FileLock(folder / ".lock"):
            bar = tqdm(weights.items(), desc="svd", unit=" matrices", delay=PROGRESS_DELAY_S)
            return {name: _decomposed(weight, folder) for name, weight in bar}
    except (OSError, ResourceError) as error:
        reason = f"cannot write {folder}: {error}" if isinstance(error, OSError) else error
        raise ResourceError(f"{reason}; set HWLIT_CACHE to a directory with space") from error


def _decomposed(weight: Tensor, folder: Path) -> Decomposition:
    path = folder / f"{_key(weight)}.safetensors"
    there, source = manifest_path(path).exists() or path.exists(), "computed"
    try:
        verify(path)
        found, source = load_file(path), "read"
    except (IntegrityError, SafetensorError):
        if there:
            source = "damaged"
            tqdm.write(f"hwlit: {path} is damaged; it is computed again", file=sys.stderr)
        found = decompose(weight)
        _keep(path, found, weight)
    found = {name: tensor.to(weight.device) for name, tensor in found.items()}
    return Decomposition(found["u"], found["s"], found["vt"].view(-1, *weight.shape[1:]), source)


def _keep(path: Path, found: dict[str, Tensor], weight: Tensor) -> None:
    tensors = {name: tensor.cpu().contiguous() for name, tensor in found.items()}

    def write(file: BinaryIO) -> None:
        file.write(save(tensors))

    write_with_manifest(path, write, {"schema": SCHEMA, "shape": list(weight.shape)})


def decompose(weight: Tensor) -> dict[str, Tensor]:
    """Return u, s and vt of a weight as a matrix; computed in fp32 or finer."""
    matrix = weight.detach().flatten(1)
    fine = torch.promote_types(weight.dtype, torch.float32)
    u, s, vt = torch.linalg.svd(matrix.to(fine), full_matrices=False)
    return {"u": u.to(weight.dtype), "s": s, "vt": vt.to(weight.dtype)}


def _shapes(weight: Tensor) -> Decomposition:
    values = min(weight.shape[0], math.prod(weight.shape[1:]))
    s = weight.new_empty(values, dtype=torch.promote_types(weight.dtype, torch.float32))
    vt = weight.new_empty(values, *weight.shape[1:])
    return Decomposition(weight.new_empty(weight.shape[0], values), s, vt, "computed")


def _key(weight: Tensor) -> str:
    digest = hashlib.sha256(f"{SCHEMA} {weight.dtype} {tuple(weight.shape)}".encode())
    plain = weight.detach().cpu().contiguous().flatten()
    digest.update(plain.view(torch.uint8).numpy().data)
    return digest.hexdigest()
