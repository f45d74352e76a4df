import re

import pytest
import yaml

from hwlit.errors import UsageError
from hwlit.shipped import adapter_card, adapters, config_names, config_root, find_config


@pytest.mark.parametrize("name", ["quickstart", "configs/quickstart.yaml", "quickstart.yaml"])
def test_a_shipped_config_is_found_by_name(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_config(name) == str(config_root() / "quickstart.yaml")


def test_an_adapter_is_found_in_its_folder():
    expected = str(config_root() / "adapters" / "text" / "lora.yaml")
    assert find_config("lora", "adapters/text") == expected
    assert find_config("adapters/text/lora") == expected


def test_a_file_of_ones_own_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").write_text("")
    assert find_config("quickstart") == "quickstart"


@pytest.mark.parametrize("name", ["../pyproject.toml", "qwickstart"])
def test_what_is_not_there_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="neither a file nor a shipped config"):
        find_config(name)


def test_a_near_name_is_proposed():
    with pytest.raises(UsageError, match="did you mean 'quickstart'"):
        find_config("quickstrat")


NAMES = [name for name, _ in adapters()]


def test_every_adapter_is_listed_with_one_line():
    listed = dict(adapters())
    assert {f"adapters/text/{name}" for name in listed} <= set(config_names())
    assert listed["full"] == "Full fine-tuning: every parameter learns."
    assert all(line.endswith(".") and len(line) < 100 for line in listed.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_card_tells_idea_source_cost_and_when_it_loses(name):
    card = adapter_card(name)
    for part in ("Idea:", "Costs", "Loses"):
        assert re.search(rf"^{part}", card, re.MULTILINE), part
    assert "https://" in card or name == "untuned"
    if "class_path: peft." in card:  # the module has the card of all such methods
        method = card.partition("\n# ")[2]
        for part in ("# Idea: ", "# Paper: ", "# Costs: ", "# Loses: "):
            assert part in method, part


def test_adapters_for_images_are_listed_and_shown():
    listed = dict(adapters("image"))
    assert {f"adapters/image/{name}" for name in listed} <= set(config_names())
    for name in listed:
        assert re.search(r"^Loses", adapter_card(name, "image"), re.MULTILINE)


@pytest.mark.parametrize("name", config_names())
def test_a_config_is_short_and_says_what_it_is_for(name):
    text = (config_root() / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    assert len(text.splitlines()) <= (30 if name.startswith("prompts/") else 25)
    assert isinstance(yaml.safe_load(text), dict)
