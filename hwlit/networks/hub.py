"""The Hugging Face hub: whether it can be reached, and what to do where it says no."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from huggingface_hub import (
    constants,
    get_session,
    is_offline_mode,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
)

from hwlit.errors import UsageError, one_line
from hwlit.networks.vetting import CONFIGS, INDEXES, VOCABULARIES, vet

TIMEOUT_S = 10.0
WITHOUT_NETWORK = (
    "without a network, give the folder of a downloaded model by --model.pretrained PATH, a hub id "
    "that lies in the cache (HF_HOME), or the offline one: 'minilm' for texts, 'pocket-sd' for "
    "pictures"
)


@cache
def reach(location: str, file: str = "config.json", otherwise: str = WITHOUT_NETWORK) -> None:
    """Ask once whether the hub answers: the loaders would ask for half a minute.

    Args:
        location: A hub id, or a folder, for which nothing is asked.
        file: One that every model of its kind has: it says whether the model is in the cache.
        otherwise: What to do without a network.

    Raises:
        UsageError: It does not, and the model is not in the cache.
    """
    if Path(location).is_dir() or is_offline_mode():
        return
    try:
        if isinstance(try_to_load_from_cache(location, file), str):
            return
        get_session().head(constants.ENDPOINT, timeout=TIMEOUT_S)
    except HFValidationError:
        return  # no hub id: the loaders say how one is written
    except Exception as error:  # of the HTTP library, which huggingface_hub has changed before
        raise UsageError(
            f"the model {location!r} is not in the cache, and {constants.ENDPOINT} does not answer "
            f"({error}); {otherwise}"
        ) from error


def why_not(error: Exception, otherwise: str = WITHOUT_NETWORK) -> str:
    """Return what to do where the hub did not give a model; else what to do without a network."""
    for reason in (error, error.__cause__):
        if isinstance(reason, GatedRepoError):
            return "ask for access on its page at the hub, then log in: hf auth login"
        if isinstance(reason, RepositoryNotFoundError):
            return "there is none of that name at the hub, or it is private: hf auth login"
    return otherwise


def vetted(location: str, otherwise: str = WITHOUT_NETWORK) -> Path:
    """Return the local folder of a model, after its configs were looked at; see `vet`.

    Args:
        location: A folder, or a hub id, of which configs and vocabulary are fetched.
        otherwise: What to do without a network.

    Raises:
        UsageError: It cannot be found, or its files ask for more than to be read.
        IntegrityError: A file is damaged.
    """
    folder = Path(location) if Path(location).is_dir() else _fetched(location, otherwise)
    vet(folder)
    return folder


@cache
def _fetched(location: str, otherwise: str) -> Path:
    reach(location, otherwise=otherwise)
    try:
        found = snapshot_download(location, allow_patterns=[*CONFIGS, *INDEXES, *VOCABULARIES])
    except Exception as error:  # of the HTTP library too
        raise UsageError(
            f"the model {location!r} cannot be loaded ({type(error).__name__}: {one_line(error)}); "
            f"{why_not(error, otherwise)}"
        ) from error
    return Path(found)
