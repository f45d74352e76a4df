"""A classifier without values, for what was saved to be put into."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from hwlit.errors import IntegrityError


def empty_classifier(folder: Path) -> PreTrainedModel:
    """Return a classifier by the config.json of a folder, in eval mode; its values mean nothing.

    Raises:
        IntegrityError: There is no readable config.
    """
    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        with torch.random.fork_rng():  # what it draws is thrown away
            network = AutoModelForSequenceClassification.from_config(  # type: ignore[no-untyped-call]
                config, dtype=torch.float32
            )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{folder} holds no readable config.json ({error})") from error
    plain: PreTrainedModel = network.eval()
    return plain
