"""Keeps the noise of other libraries off the user's screen. Standard library only."""

from __future__ import annotations

import logging
import os
import warnings

ENVIRONMENT = {
    "TOKENIZERS_PARALLELISM": "false",  # else a warning at each fork
    "JSONARGPARSE_DEPRECATION_WARNINGS": "off",  # Lightning 2.6 calls what v5 removes
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",  # it sets the level of its logger anew when it is imported
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "DS_ACCELERATOR": os.environ.get("DS_ACCELERATOR", ""),
    "BITSANDBYTES_NOWELCOME": "1",
}
LOGGERS = (
    "torchao",
    "bitsandbytes",
    "transformers",
    "diffusers",
    "datasets",
    "httpx",
    "huggingface_hub",  # each of its retries
    "codecarbon",
    "torch.distributed",
    "torch.utils._pytree",  # torchao registers types twice
    "lightning.pytorch.utilities.rank_zero",  # tips, and which devices are not used
    "lightning.fabric.utilities.seed",
)


def silence() -> None:
    """Set what must be set before the libraries are imported."""
    for name, value in ENVIRONMENT.items():
        if value:
            os.environ.setdefault(name, value)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings(
        "ignore", module=r"(torch|lightning|transformers|diffusers|peft|torchao)\b.*"
    )
