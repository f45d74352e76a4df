"""A classifier without values, for what was saved to be put into."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedModel

from hwlit.errors import IntegrityError
from hwlit.networks.loading import check_size, loading
from hwlit.networks.vetting import vet


def empty_classifier(folder: Path) -> PreTrainedModel:
    """Return a classifier by the config.json of a folder, in eval mode; its values mean nothing.

    Raises:
        IntegrityError: There is no readable config.
    """
    vet(folder)
    made_by: Any = AutoModelForSequenceClassification
    what = f"the classifier {folder}"
    with loading(what, lambda error: "quantise the run again", IntegrityError):
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        check_size(lambda: made_by.from_config(config), folder, what)
        with torch.random.fork_rng():  # what it draws is thrown away
            network: PreTrainedModel = made_by.from_config(config, dtype=torch.float32)
    network.train(False)
    return network
