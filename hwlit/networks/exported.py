"""A classifier as a run exported it, whole or as an adapter, read as a stranger would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from torch import nn
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from hwlit.errors import IntegrityError, UsageError
from hwlit.networks.label_names import output_tensors, reorder
from hwlit.networks.loading import check_size, loading
from hwlit.networks.plain_files import read_object
from hwlit.networks.vetting import ADAPTER_WEIGHTS, shapes


def whole_classifier(folder: Path, what: str) -> PreTrainedModel:
    """Return the model that a folder holds.

    Raises:
        IntegrityError: Its weights are damaged, or not all there.
    """
    made_by: Any = AutoModelForSequenceClassification
    with loading(what, again, IntegrityError):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        check_size(lambda: made_by.from_config(config), folder, what)
        network, info = made_by.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    if missing := sorted(info["missing_keys"]):
        raise IntegrityError(
            f"{what} lacks {len(missing)} tensors, such as {missing[0]}; bring its file back"
        )
    plain: PreTrainedModel = network.eval()
    return plain


def adapted(base: PreTrainedModel, run: Path) -> PeftModel:
    """Return a base with a run's adapter on it, its classes in the order that the base has them.

    Args:
        base: The pretrained model, with the run's classes in its config.
        run: The run's directory.

    Raises:
        IntegrityError: The adapter is damaged, does not fit the base, or is not all there.
    """
    folder, outputs = run / "adapter", output_tensors(base)
    order = _order(folder, base)
    with loading(f"the adapter of {run}", again, IntegrityError):
        network = PeftModel.from_pretrained(base, folder)
        needed = get_peft_model_state_dict(network).keys()
    # DoRA's magnitudes end in .weight or not: PEFT takes both.
    held = {name.removesuffix(".weight") for name in shapes(folder / ADAPTER_WEIGHTS)}
    if missing := sorted(name for name in needed if name.removesuffix(".weight") not in held):
        raise IntegrityError(
            f"the adapter of {run} lacks {len(missing)} tensors, such as {missing[0]}; bring its "
            "file back"
        )
    if order != sorted(order):
        reorder(_learned(network, outputs), order)
    return network


def _order(folder: Path, base: PreTrainedModel) -> list[int]:
    """Return for each class of a base which row of the exported head is its own.

    Raises:
        IntegrityError: The export names other classes.
    """
    within = folder / "classifier"
    path = (within if within.is_dir() else folder) / "config.json"
    try:
        known = read_object(path).get("label2id")
    except UsageError as error:
        raise IntegrityError(f"{error}, or bring the run's own files back") from error
    wanted = list((base.config.id2label or {}).values())
    rows: list[Any] = [known.get(label) for label in wanted] if isinstance(known, dict) else []
    if not all(isinstance(row, int) for row in rows) or sorted(rows) != [*range(len(wanted))]:
        raise IntegrityError(
            f"{path} does not name the classes {wanted}; bring the run's own files back"
        )
    return rows


def _learned(network: PeftModel, outputs: tuple[str, ...]) -> list[nn.Parameter]:
    """Return the output layer as learned, which PEFT keeps beside the one that the base brings."""
    learned = {
        name.removeprefix("base_model.model.").replace(".modules_to_save.default", ""): parameter
        for name, parameter in network.named_parameters()
        if ".modules_to_save.default." in name
    }
    return [learned[name] for name in outputs]


def again(error: Exception) -> str:
    """Return what to do where a run's own file does not load."""
    return "bring the run's own files back, or train it again"
