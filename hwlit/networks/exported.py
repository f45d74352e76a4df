"""A classifier as a run exported it, whole or as an adapter, read as a stranger would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel, get_peft_model_state_dict
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from hwlit.errors import IntegrityError
from hwlit.networks.loading import check_size, loading
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
    """Return a base with a run's adapter on it.

    Raises:
        IntegrityError: The adapter is damaged, does not fit the base, or is not all there.
    """
    folder = run / "adapter"
    with loading(f"the adapter of {run}", again, IntegrityError):
        network = PeftModel.from_pretrained(base, folder)
        needed = get_peft_model_state_dict(network).keys()
    if missing := sorted(needed - shapes(folder / ADAPTER_WEIGHTS).keys()):
        raise IntegrityError(
            f"the adapter of {run} lacks {len(missing)} tensors, such as {missing[0]}; bring its "
            "file back"
        )
    return network


def again(error: Exception) -> str:
    """Return what to do where a run's own file does not load."""
    return "bring the run's own files back, or train it again"
