"""No file of a stranger runs code, reaches other files, or writes to the terminal as it likes."""

import pytest

from tests.conftest import speed_up
from tools.hostile.case import Stock, attack
from tools.hostile.corpus import corpus, quick_corpus


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stock")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWLIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        speed_up(patch)
        return Stock.prepare(folder)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    speed_up(monkeypatch)


@pytest.mark.parametrize("case", quick_corpus(), ids=str)
def test_a_hostile_input_harms_nothing(case, stock, tmp_path):
    seen = attack(case, stock, tmp_path)
    assert not seen.broken, f"{seen.out}\n{seen.error}"


def test_every_case_has_a_name_of_its_own():
    names = [case.name for case in corpus()]
    assert len(set(names)) == len(names)
