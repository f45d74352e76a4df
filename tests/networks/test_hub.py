"""The hub that does not answer, and the hub that says no."""

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

from hwlit.errors import UsageError
from hwlit.networks import hub


@pytest.fixture
def nobody_there(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(hub, "is_offline_mode", lambda: False)
    hub.reach.cache_clear()


def test_a_hub_that_does_not_answer_is_told_at_once(nobody_there):
    with pytest.raises(UsageError, match=r"does not answer .* give the folder .*HF_HOME"):
        hub.reach("no/such-model")


def test_neither_a_folder_nor_a_cached_model_asks_the_hub(nobody_there, tmp_path, monkeypatch):
    hub.reach(str(tmp_path))
    monkeypatch.setattr(hub, "try_to_load_from_cache", lambda name, file: "config.json")
    hub.reach("cached/model")


@pytest.mark.parametrize(
    ("cause", "told"),
    [(GatedRepoError, "ask for access"), (RepositoryNotFoundError, "none of that name")],
)
def test_each_refusal_of_the_hub_has_its_remedy(cause, told):
    error = OSError("cannot")
    error.__cause__ = cause.__new__(cause)
    assert told in hub.why_not(error)
    assert "without a network" in hub.why_not(OSError("cannot"))
