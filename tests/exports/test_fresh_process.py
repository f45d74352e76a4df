"""The process that reloads an export finds packages wherever they lie, and no checkout of hwlit."""

import os

import pytest

from hwlit.errors import IntegrityError
from hwlit.exports.fresh_process import run_fresh


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "scripts" / "script.py"
    path.parent.mkdir()
    path.write_text("import json, sys, needed\nprint(json.dumps([json.load(sys.stdin), needed.X]))")
    return path


def package(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "needed.py").write_text("X = 3")
    return folder


def test_a_package_on_the_python_path_is_found(script, tmp_path, monkeypatch):
    folder = package(tmp_path / "target")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", str(folder)]))
    assert run_fresh(script, {"a": 1}, tmp_path, 60) == [{"a": 1}, 3]


def test_the_packages_of_the_user_are_not_shut_out(script, tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONNOUSERSITE", raising=False)
    script.write_text("import sys\nprint(sys.flags.no_user_site)")
    assert run_fresh(script, {}, tmp_path, 60) == 0


@pytest.mark.parametrize("path", ["", ".", "{here}"])
def test_the_working_directory_is_not_looked_at(path, script, tmp_path, monkeypatch):
    package(script.parent)
    monkeypatch.chdir(package(tmp_path / "here"))
    monkeypatch.setenv("PYTHONPATH", path.format(here=tmp_path / "here"))
    with pytest.raises(IntegrityError, match="No module named 'needed'"):
        run_fresh(script, {}, tmp_path, 60)
