"""The table of what old and new libraries give: what counts as the same, and how it ends."""

from pathlib import Path

import numpy as np
import pytest

from hwlit.records import record_of, write_record
from tools import old_loaders

BASE = 50  # the level of what it draws


@pytest.fixture
def run(tiny_pipelines, tmp_path):
    """A finished run, of which nothing but the record is read."""
    folder = tmp_path / "run"
    facts = {"schema": 2, "status": "ok", "task": "personalization", "readings": {}, "absent": {}}
    facts["model"] = {"pretrained": tiny_pipelines["sd"], "hub_id": "some/base"}
    facts["check"] = {"prompts": ["a photo"]}
    (folder / "adapter").mkdir(parents=True)
    write_record(record_of(facts, folder / "record.json"), folder / "record.json")
    return folder


def compared(run, old, new, monkeypatch, capsys):
    """Compare pictures of one level each; return exit code and table."""

    def drawn(python, export, base, record):
        level = BASE if Path(base) == export else old if "environment" in str(python) else new
        if level is None:
            raise RuntimeError("environment: KeyError: no such tensor")
        return {"the file": np.full((1, 4, 4, 3), level, dtype=np.int16)}

    monkeypatch.setattr(old_loaders, "_drawn", drawn)
    words = ["--work", str(run.parent), "--environment", str(run.parent / "environment"), str(run)]
    return old_loaders.main(words), capsys.readouterr().out


@pytest.mark.parametrize(
    ("old", "new", "code", "told"),
    [
        (100, 100, 0, "largest 0, mean 0.000; from base 50.000  same"),
        (100, 130, 1, "WRONG"),
        (50, 50, 1, "WRONG"),  # the base's own
        (None, 100, 1, "no such tensor  WRONG"),
    ],
)
def test_a_difference_ends_with_1(old, new, code, told, run, monkeypatch, capsys):
    found, table = compared(run, old, new, monkeypatch, capsys)
    assert found == code
    assert told in table
    assert f"1 ways to load 1 exports, {code} of them wrong" in table


def test_each_kind_of_export_is_made_of_a_kind_of_run():
    assert set(old_loaders.EXPORTS) <= {*old_loaders.PICTURES, *old_loaders.TEXTS}
