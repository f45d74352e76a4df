"""The directory of a run: held by one, cleared of what is ours alone, entered through no link."""

import os
import re

import pytest

from hwlit import run_directory, storage, written_files
from hwlit.errors import IntegrityError, ResourceError, UsageError
from hwlit.temporaries import temporary_prefix


def test_a_run_directory_is_claimed_once(tmp_path):
    folder = tmp_path / "deep" / "run"
    lock = run_directory.claim_directory(folder, "name")
    assert run_directory.read_owner(folder)["name"] == "name"
    with pytest.raises(UsageError, match=f"in use by another run .process {os.getpid()} on"):
        run_directory.claim_directory(folder, "name")
    lock.release()
    run_directory.claim_directory(folder, "killed before it had a config").release()
    (folder / "config.yaml").touch()
    with pytest.raises(UsageError, match="holds an earlier run or other files"):
        run_directory.claim_directory(folder, "name")


NEVER = 2**22 + 1  # no process has this number on Linux


def own(target, pid=NEVER):
    """The name of a temporary that a process on this machine has left."""
    mine = temporary_prefix(target)
    return mine.replace(f"-{os.getpid()}@", f"-{pid}@") + "a1b2c3d4"


def files(folder):
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def test_of_leftovers_only_ours_are_removed(tmp_path):
    other = f".tmp-x-{NEVER}@elsewhere.1-a1b2c3d4"  # of the run, before it came to this machine
    ours = [own("record.json"), "checkpoints/" + own("a.ckpt"), "samples/" + other]
    ours += [f"{own('adapter')}/config.json", own("predictions.csv", os.getpid())]
    kept = [".tmp-draft", "checkpoints/.tmp-2", "checkpoints/mine.ckpt", "adapter/notes.txt"]
    kept += [own("x.csv", os.getppid())]  # another process writes it
    for name in ours + kept:
        storage.write_text(tmp_path / name, "x")
    whole = tmp_path / "checkpoints" / "whole.ckpt"
    storage.write_with_manifest(whole, lambda file: file.write(b"x"), {"step": 1, "epoch": 0})
    run_directory.take_directory(tmp_path, "name", resumes=True).release()
    manifest = "checkpoints/whole.ckpt.manifest.json"
    assert files(tmp_path) == {".lock", "checkpoints/whole.ckpt", manifest, *kept}


def test_of_an_export_that_is_written_anew_only_what_is_ours_is_removed(tmp_path):
    run, staged = tmp_path / "run", tmp_path / "staged"
    names = ("config.json", "adapter_model.safetensors", "notes.txt", "deep/config.json")
    for name in names:
        storage.write_text(staged / name, "x")
    written_files.make_way(run, staged, "adapter")
    for name in names:
        storage.write_text(run / "adapter" / name, "x")
    run_directory.take_directory(run, "name", resumes=True).release()
    assert (run / "adapter" / "config.json").exists(), "the resume may be refused yet"
    written_files.remove_export(run)
    written_files.remove_export(run)
    assert files(run / "adapter") == {"notes.txt", "deep/config.json"}


def test_what_is_not_ours_is_kept_by_another_name_and_said(tmp_path, capsys):
    for content in ("mine", "and mine"):
        storage.write_text(tmp_path / "adapter" / "config.json", content)
        written_files.remove_export(tmp_path)
        assert "config.json was not written by this run" in capsys.readouterr().err
    assert files(tmp_path / "adapter") == {"config.json.kept", "config.json.kept-2"}
    assert (tmp_path / "adapter" / "config.json.kept").read_text() == "mine"
    written_files.replace_text(tmp_path, "predictions.csv", "ours")
    written_files.replace_text(tmp_path, "predictions.csv", "ours, too")
    assert not capsys.readouterr().err
    (tmp_path / "predictions.csv").write_text("mine")
    written_files.replace_text(tmp_path, "predictions.csv", "ours again")
    assert (tmp_path / "predictions.csv.kept").read_text() == "mine"


def test_a_directory_that_holds_another_ones_temporary_is_not_new(tmp_path):
    (tmp_path / ".tmp-draft").touch()
    with pytest.raises(UsageError, match="other files"):
        run_directory.claim_directory(tmp_path, "name")


def test_undoing_leaves_nothing_of_ours_and_all_that_is_not(tmp_path):
    held = run_directory.take_directory(tmp_path / "a" / "run", "name", resumes=False)
    for name in ("config.yaml", "tensorboard/events", own("metrics.csv")):
        storage.write_text(held.path / name, "x")
    (held.path / "notes.txt").touch()
    held.undo()
    held.release()
    assert files(tmp_path) == {"a/run/notes.txt"}
    (held.path / "notes.txt").unlink()
    held = run_directory.take_directory(tmp_path / "a" / "run", "name", resumes=False)
    held.undo()
    assert list((tmp_path / "a" / "run").iterdir()) == []
    held = run_directory.take_directory(tmp_path / "b" / "run", "name", resumes=False)
    held.undo()
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("name", ["checkpoints", "adapter/deep/er", ".lock", "record.json", "mine"])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_in_a_run_is_refused_by_name(name, dangling, tmp_path):
    run, outside = tmp_path / "run", tmp_path / "outside"
    (run / name).parent.mkdir(parents=True)
    if not dangling:
        outside.mkdir()
    (run / name).symlink_to(outside)
    with pytest.raises(IntegrityError, match=f"{re.escape(str(run / name))} is a link"):
        run_directory.check_plain(run)


def test_a_run_may_be_reached_by_a_link_and_links_of_wandb_are_its_own(tmp_path):
    (tmp_path / "run" / "wandb").mkdir(parents=True)
    (tmp_path / "run" / "wandb" / "latest-run").symlink_to("run-1")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    run_directory.check_plain(tmp_path / "link")
    run_directory.check_plain(tmp_path / "missing")


def test_what_is_neither_file_nor_folder_is_refused(tmp_path):
    os.mkfifo(tmp_path / "metrics.csv")
    with pytest.raises(IntegrityError, match=r"metrics\.csv is neither a file nor a folder"):
        run_directory.check_plain(tmp_path)


@pytest.mark.parametrize("name", ["checkpoints", "record.json"])
def test_a_file_in_place_of_a_folder_is_refused(name, tmp_path):
    (tmp_path / "checkpoints").touch() if name == "checkpoints" else (tmp_path / name).mkdir()
    with pytest.raises(IntegrityError, match=f"{name} is a .* and should be a"):
        run_directory.check_plain(tmp_path)


def test_a_lock_that_is_another_file_is_not_taken(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    os.link(tmp_path / "thesis.tex", tmp_path / ".lock")
    with pytest.raises(IntegrityError, match="no lock of hwlit"):
        run_directory.hold_directory(tmp_path)
    (tmp_path / ".lock").unlink()
    (tmp_path / ".lock").symlink_to(tmp_path / "thesis.tex")
    with pytest.raises(IntegrityError, match="is a link"):
        run_directory.hold_directory(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_finished_run_is_refused(tmp_path):
    (tmp_path / "record.json").write_text('{"status": "ok"}')
    with pytest.raises(UsageError, match="holds a finished run"):
        run_directory.claim_directory(tmp_path, "name")


def test_a_file_in_place_of_the_run_directory_is_refused(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        run_directory.claim_directory(tmp_path / "run", "name")


def test_a_directory_that_cannot_be_made_is_a_resource_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="choose another --output"):
        run_directory.claim_directory(tmp_path / "file" / "run", "name")
