import json
import shutil

import pytest

from hwlit.__main__ import main
from hwlit.errors import IntegrityError, UsageError
from hwlit.resume import find_checkpoint, resume_arguments
from hwlit.run_directory import hold_directory
from hwlit.storage import manifest_path, manifests, verify, write_with_manifest


@pytest.fixture
def stopped(tmp_path):
    """A run's directory with a config and three checkpoints."""
    (tmp_path / "config.yaml").write_text("seed_everything: 0\n")
    for step, epoch in ((7, 0), (14, 1), (9, 1)):
        path = tmp_path / "checkpoints" / f"{step}.ckpt"
        write_with_manifest(
            path, lambda file: file.write(b"x" * 100), {"step": step, "epoch": epoch}
        )
    return tmp_path


def damage(path):
    path.write_bytes(b"y" + path.read_bytes()[1:])


def test_the_newest_is_chosen_by_its_step(stopped):
    assert find_checkpoint(stopped, verify).checkpoint.name == "14.ckpt"
    assert find_checkpoint(stopped, verify).step == 14


def test_a_damaged_newest_one_is_passed_over_and_said(stopped):
    damage(stopped / "checkpoints" / "14.ckpt")
    found = find_checkpoint(stopped, verify)
    assert found.checkpoint.name == "9.ckpt"
    assert "14.ckpt differs" in found.to_dict()["damaged"][0]


def test_without_a_whole_one_nothing_begins_anew(stopped):
    for path in (stopped / "checkpoints").glob("*.ckpt"):
        damage(path)
    with pytest.raises(IntegrityError, match="none of the 3 checkpoints"):
        find_checkpoint(stopped, verify)


def test_a_newest_one_without_a_readable_manifest_is_passed_over_and_said(stopped, capsys):
    manifest_path(stopped / "checkpoints" / "14.ckpt").write_text("{")
    found = find_checkpoint(stopped, verify)
    assert found.checkpoint.name == "9.ckpt"
    assert "the manifest of" in found.to_dict()["damaged"][0]
    assert "14.ckpt is damaged" in capsys.readouterr().err


def test_a_checkpoint_without_a_manifest_is_none_of_ours(stopped):
    for path in (stopped / "checkpoints").glob("*.ckpt"):
        if path.name != "7.ckpt":
            manifest_path(path).unlink()
    assert find_checkpoint(stopped, verify).step == 7
    assert not find_checkpoint(stopped, verify).damaged
    manifest_path(stopped / "checkpoints" / "7.ckpt").unlink()
    with pytest.raises(IntegrityError, match="has no checkpoint that is known to be whole"):
        find_checkpoint(stopped, verify)


def test_a_manifest_without_its_checkpoint_is_nothing(stopped):
    for name in ("14.ckpt", "9.ckpt"):
        (stopped / "checkpoints" / name).unlink()
    found = find_checkpoint(stopped, verify)
    assert (found.step, found.damaged) == (7, ())
    (stopped / "checkpoints" / "7.ckpt").unlink()
    assert find_checkpoint(stopped, verify).checkpoint is None


def test_a_file_in_the_place_of_a_checkpoint_stays(tiny_fit, tmp_path):
    run = tmp_path / "run"
    assert main(tiny_fit) == 0
    (run / "record.json").unlink()
    mine = run / "checkpoints" / "epoch=1-step=14.ckpt"
    mine.write_text("mine")
    manifest_path(mine).unlink()
    assert main(["fit", "--resume", str(run)]) == 0
    assert mine.read_text() == "mine"
    assert [p.name for p, _ in manifests(run / "checkpoints")][-1] == "epoch=1-step=14-2.ckpt"


def test_before_the_first_checkpoint_a_run_begins_anew(tmp_path):
    assert find_checkpoint(tmp_path, verify).checkpoint is None
    assert find_checkpoint(tmp_path, verify).step == 0


def test_arguments_are_those_of_the_run(stopped):
    config, run = str(stopped / "config.yaml"), str(stopped)
    wanted = ["fit", "--config", config, "--resume", run]
    assert resume_arguments(["fit", "--resume", run]) == wanted
    assert resume_arguments(["fit", f"--resume={run}"]) == wanted
    assert resume_arguments(wanted) == wanted  # as the processes of a run get them
    more = ["--trainer.max_epochs=9"]
    assert resume_arguments(["fit", "--trainer.max_epochs", "9", "--resume", run]) == wanted + more
    assert resume_arguments(["fit", "--config", "x"]) == ["fit", "--config", "x"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fit", "--resume"], "wants a run's directory"),
        (["test", "--resume", "{run}"], "belongs to fit"),
        (["fit", "--resume", "{run}", "--data.batch_size", "9"], "--data.batch_size would change"),
        (["fit", "--resume", "{run}", "--config", "quickstart"], "--config would change"),
        (["fit", "--resume", "{run}/checkpoints"], "holds no config.yaml"),
        (["fit", "--resume", "{run}", "--trainer.max_epochs"], "max_epochs has no value"),
        (["fit", "--trainer.max_epochs", "--resume", "{run}"], "max_epochs has no value"),
        (
            ["fit", "--resume", "{run}", "--trainer.devices", "--trainer.max_epochs", "3"],
            "devices has no value",
        ),
    ],
)
def test_what_would_make_another_run_is_refused(words, told, stopped):
    with pytest.raises(UsageError, match=told):
        resume_arguments([word.format(run=stopped) for word in words])


def test_a_finished_run_is_not_resumed(stopped):
    (stopped / "record.json").write_text(json.dumps({"status": "ok"}))
    with pytest.raises(UsageError, match="is finished"):
        resume_arguments(["fit", "--resume", str(stopped)])


def test_a_run_that_is_going_on_is_left_alone(tiny_fit, tmp_path, capsys):
    run = tmp_path / "run"
    assert main([*tiny_fit, "--trainer.max_epochs", "1"]) == 0
    (run / "record.json").unlink()
    with hold_directory(run):
        assert main(["fit", "--resume", str(run)]) == 2
        assert "in use by another run (process" in capsys.readouterr().err
        assert main(tiny_fit) == 2
        assert "in use by another run (process" in capsys.readouterr().err


def test_more_epochs_are_marked(tiny_fit, tmp_path):
    """A run whose training is over goes on under another limit, and its row says so."""
    run = tmp_path / "run"
    assert main(tiny_fit) == 0
    (run / "record.json").unlink()
    assert main(["fit", "--resume", str(run), "--trainer.max_epochs", "3"]) == 0
    record = json.loads((run / "record.json").read_text())
    assert record["resumed_from"]["step"] == 14
    assert record["resumed_from"]["not_bit_exact"] == ["trainer.max_epochs was 2, is 3"]
    assert record["comparability"]["steps"] == 21
    assert record["name"] == "quickstart"


def test_a_run_killed_after_its_training_says_what_was_trained_before(tiny_fit, tmp_path):
    run = tmp_path / "run"
    assert main([*tiny_fit, "--trainer.max_epochs", "1"]) == 0
    (run / "record.json").unlink()
    assert main(["fit", "--resume", str(run)]) == 0
    record = json.loads((run / "record.json").read_text())
    told = "nothing was trained since the run was resumed at step 7"
    assert record["absent"]["fit/step_time"] == told


def test_steps_that_end_within_an_epoch_are_validated_and_gone_on_from(tiny_fit, tmp_path):
    first, second = tmp_path / "run", tmp_path / "second"
    assert main([*tiny_fit, "--trainer.max_steps", "3"]) == 0
    (end,) = (first / "checkpoints").glob("*.ckpt")
    assert end.name == "epoch=0-step=3.ckpt"
    words = [*tiny_fit, "--output", str(second), "--ckpt_path", str(end)]
    assert main([*words, "--trainer.max_steps", "5"]) == 0
    names = [path.name for path in (second / "checkpoints").glob("*.ckpt")]
    assert sorted(names) == ["epoch=0-step=3.ckpt", "epoch=0-step=5.ckpt"]


def test_the_checkpoint_that_a_run_began_from_may_be_gone(tiny_fit, tmp_path):
    first, second = tmp_path / "run", tmp_path / "second"
    assert main([*tiny_fit, "--trainer.max_epochs", "1"]) == 0
    start = next((first / "checkpoints").glob("*.ckpt"))
    words = [*tiny_fit, "--output", str(second), "--ckpt_path", str(start)]
    assert main(words) == 0
    (second / "record.json").unlink()
    shutil.rmtree(first)
    assert main(["fit", "--resume", str(second)]) == 0


def test_a_damaged_best_checkpoint_is_passed_over(tiny_fit, tmp_path):
    run = tmp_path / "run"
    assert main([*tiny_fit, "--trainer.max_epochs", "4"]) == 0
    record = json.loads((run / "record.json").read_text())
    scores = {path.name: facts["score"] for path, facts in manifests(run / "checkpoints")}
    best, newest = record["best_checkpoint"]["path"], max(scores, key=scores.get)
    assert best.endswith(newest)
    (run / "record.json").unlink()
    damage(run / best)
    assert main(["fit", "--resume", str(run)]) == 0
    record = json.loads((run / "record.json").read_text())
    assert record["best_checkpoint"]["path"] != best
    assert any(best.rpartition("/")[2] in told for told in record["resumed_from"]["damaged"])


def test_check_tries_new_runs_only(tmp_path, capsys):
    assert main(["check", "--resume", str(tmp_path)]) == 2
    assert "tries a new run out" in capsys.readouterr().err
