"""A process that is killed before any step in the file system leaves what a run goes on from."""

import os
import shutil

import pytest

from hwlit.errors import IntegrityError
from hwlit.resume import find_checkpoint
from hwlit.run_directory import take_directory
from hwlit.storage import (
    remove_with_manifest,
    replacing_folder,
    verify,
    write_text,
    write_with_manifest,
)
from hwlit.written_files import remove_export
from tools.faults.steps import killed_at_each_step, step

pytestmark = pytest.mark.skipif(os.name != "posix", reason="fork")


def save(run, name, content, number):
    def write(file):
        file.write(content[:1])
        file.flush()
        step()
        file.write(content[1:])

    facts = {"step": number, "epoch": 0, "score": float(len(content))}
    write_with_manifest(run / "checkpoints" / name, write, facts)


def resume(run):
    """Take the run as `fit --resume` does; return where it goes on and what lies there."""
    take_directory(run, "name", resumes=True).release()
    names = {path.name for path in run.rglob("*")}
    assert not [name for name in names if name.startswith(".tmp-") and name != ".tmp-draft"]
    assert {".tmp-draft", "mine.ckpt", "notes.txt"} <= names
    assert (run / "checkpoints" / "mine.ckpt").read_text() == "mine"
    return find_checkpoint(run, verify)


@pytest.fixture
def run(tmp_path):
    return tmp_path / "run"


def begin(run, *saved):
    """Make a run's directory anew, with these checkpoints and what is not hwlit's."""
    shutil.rmtree(run, ignore_errors=True)
    for each in saved:
        save(run, *each)
    for name in ("checkpoints/mine.ckpt", ".tmp-draft", "adapter/notes.txt"):
        write_text(run / name, "mine")


FIRST, SECOND, AGAIN = (
    ("step=3.ckpt", b"first", 3), ("step=6.ckpt", b"second", 6), ("step=3.ckpt", b"again!", 3),
)  # fmt: skip


@pytest.mark.parametrize("new", [SECOND, AGAIN])
def test_of_two_checkpoints_one_is_always_whole(new, run):
    seen = set()
    for _ in killed_at_each_step(lambda: begin(run, FIRST), lambda: save(run, *new)):
        found = resume(run)
        content = found.checkpoint.read_bytes()
        assert content in (FIRST[1], new[1])
        assert found.facts["score"] == len(content), "the manifest is that of this file"
        assert not found.damaged
        seen.add(content)
        save(run, *new)  # what comes after the resume
        assert resume(run).checkpoint.read_bytes() == new[1]
    assert seen == {FIRST[1], new[1]}


def test_before_the_first_checkpoint_is_whole_there_is_none(run):
    def prepare():
        begin(run)
        (run / "checkpoints" / "mine.ckpt").unlink()

    seen = set()
    for _ in killed_at_each_step(prepare, lambda: save(run, *FIRST)):
        take_directory(run, "name", resumes=True).release()
        found = find_checkpoint(run, verify)
        seen.add(found.step)
        if found.checkpoint is None:  # the user's own is not begun from, and not passed over
            write_text(run / "checkpoints" / "mine.ckpt", "mine")
            with pytest.raises(IntegrityError, match=r"mine\.ckpt lacks its manifest"):
                find_checkpoint(run, verify)
    assert seen == {0, 3}


def test_removing_an_old_checkpoint_makes_none_that_is_not_ours(run):
    old = run / "checkpoints" / FIRST[0]
    for _ in killed_at_each_step(
        lambda: begin(run, FIRST, SECOND), lambda: remove_with_manifest(old)
    ):
        found = resume(run)
        assert found.step == 6
        assert not found.damaged
        (run / "checkpoints" / SECOND[0]).unlink()
        (run / "checkpoints" / "mine.ckpt").unlink()
        assert find_checkpoint(run, verify).step == (3 if old.exists() else 0)


def test_a_folder_that_is_killed_in_writing_holds_whole_files_and_what_was_there(run):
    def export():
        with replacing_folder(run / "adapter") as folder:
            for name in ("config.json", "unet/weights"):
                (folder / name).parent.mkdir(exist_ok=True)
                with (folder / name).open("w") as file:
                    file.write("new")
                    step()

    for _ in killed_at_each_step(lambda: begin(run, FIRST), export):
        for path in (run / "adapter").rglob("*"):
            assert path.is_dir() or path.read_text() == ("mine" if path.stem == "notes" else "new")
        assert resume(run).step == 3
        remove_export(run)
        assert not (run / "adapter" / "config.json").exists()
        export()
        assert (run / "adapter" / "config.json").read_text() == "new"


def test_a_new_folder_appears_whole_or_not_at_all_and_the_next_try_leaves_nothing_else(tmp_path):
    def export():
        with replacing_folder(tmp_path / "out") as folder:
            for name in ("a", "b"):
                (folder / name).write_text(name)

    for _ in killed_at_each_step(
        lambda: shutil.rmtree(tmp_path / "out", ignore_errors=True), export
    ):
        names = [path.name for path in (tmp_path / "out").glob("*")]
        assert sorted(names) in ([], ["a", "b"])
        export()
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
