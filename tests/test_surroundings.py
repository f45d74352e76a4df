import os
import subprocess
import sys
from pathlib import Path

import pytest

from hwlit import surroundings
from hwlit.__main__ import main
from hwlit.callbacks.recorder import _code
from hwlit.errors import UsageError
from hwlit.study import command
from tests.study.test_run import write_study

MODULES = ("torch", "filelock", "difflib", "psutil", "yaml", "rich", "sitecustomize", "matplotlib")


@pytest.fixture
def strange(tmp_path, monkeypatch):
    """A working directory whose Python files leave a trace where they are run."""
    folder = tmp_path / "strange"
    folder.mkdir()
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"open('pwned-{name}', 'w')")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    yield folder
    assert not list(folder.glob("pwned*"))


@pytest.mark.parametrize(
    "program",
    [[str(Path(sys.executable).with_name("hwlit"))], [sys.executable, "-m", "hwlit"]],
    ids=["script", "module"],
)
def test_no_file_of_the_working_directory_is_run(program, strange):
    if not Path(program[0]).is_file():
        pytest.skip("hwlit is not installed as a script")
    for words in (["adapters"], ["show", "nothing"], ["study", "run", "nothing"]):
        done = subprocess.run([*program, *words], capture_output=True, text=True, check=False)
        assert done.returncode in (0, 2, 5), done.stderr
        assert "Traceback" not in done.stderr


def test_no_run_of_a_study_is_given_the_files_beside_it(strange):
    study = write_study(strange, axes={"seed": [0]})
    program = (*command.PROGRAM, "--version")
    assert command.main(["run", str(study), "--output", "out"], program) == 1
    assert "hwlit" in (strange / "out/logs/seed0.log").read_text()


@pytest.fixture
def given(tmp_path, monkeypatch):
    """What `secure` changes, put back afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("before", "after"),
    [(":/a", "/a"), ("/a::/b", "/a:/b"), ("", None), (":", None), ("/a", "/a")],
)
def test_an_empty_entry_of_the_path_is_not_the_working_directory(before, after, given, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", before)
    sys.path.insert(0, given)  # as Python does of an empty entry
    surroundings.secure()
    assert os.environ["PYTHONSAFEPATH"] == "1"
    assert os.environ.get("PYTHONPATH") == after
    assert (given in sys.path) == (before == "/a")


def test_what_the_user_named_stays_on_the_path(given, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f":{given}")
    sys.path.insert(0, given)
    surroundings.secure()
    assert sys.path[0] == os.environ["PYTHONPATH"] == given


def test_a_checkout_that_is_not_installed_is_found_by_children_too(given, monkeypatch):
    root = str(surroundings.PACKAGES)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != root])
    monkeypatch.setenv("PYTHONPATH", "/a")
    surroundings.secure()
    assert sys.path[-1] == root
    assert os.environ["PYTHONPATH"] == f"/a:{root}"


def test_a_working_directory_that_is_gone_is_told(tmp_path):
    script = f"mkdir gone; cd gone; rmdir ../gone; {sys.executable} -P -m hwlit show run"
    done = subprocess.run(script, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "hwlit: the working directory is gone; change to one that is there\n"


def test_a_working_directory_that_is_not_utf8_is_told(tmp_path, monkeypatch, capsys):
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    try:
        os.mkdir(folder)
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    monkeypatch.chdir(os.fsdecode(folder))
    assert main(["show", "run"]) == 2
    assert "is not UTF-8" in capsys.readouterr().err


def test_arguments_are_taken_as_they_are():
    surroundings.check(["fit", "--output", "caf\xe9 \u4e2d"])
    with pytest.raises(UsageError, match=r"'run.udcff' is not UTF-8"):
        surroundings.check(["run\udcff"])


def test_git_is_not_asked_of_a_strangers_repository(tmp_path):
    package = tmp_path / "venv" / "hwlit"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git = ["git", "-C", str(tmp_path)]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "."], check=True)
    trace = tmp_path / "pwned"
    subprocess.run([*git, "config", "core.fsmonitor", f"touch {trace}"], check=True)
    assert _code(package) == {"commit": None, "reason": "not run from a git checkout"}
    assert not trace.exists()
    package.rename(tmp_path / "hwlit")  # a checkout of hwlit's own: git runs nothing there either
    subprocess.run([*git, "add", "-A"], check=True)
    trace.unlink(missing_ok=True)
    assert _code(tmp_path / "hwlit")["dirty"]
    assert not trace.exists()
