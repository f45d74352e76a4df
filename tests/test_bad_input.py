"""Bad input: one sentence, the right exit code, nothing written; and what `check` finds."""

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys

import pytest
import yaml
from lightning.pytorch.accelerators import CUDAAccelerator
from torch.func import functional_call

from hwlit.__main__ import main
from hwlit.checking.machine import EXTRAS
from hwlit.shipped import config_names, config_root
from tests.conftest import speed_up
from tools.bad_inputs import answer, cases, prepare, small

MUTANTS = 40
# What goes before the configs of a folder that are no run by themselves.
BESIDE = {
    "adapters": ["--config", "quickstart", "--model.adapter"],
    "prompts": ["--config", "pocket/dreambooth_lora", "--config"],
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The folder that the cases refer to, with a finished run in it."""
    folder = tmp_path_factory.mktemp("bad")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWLIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        speed_up(patch)
        prepare(folder)
    return folder


def files(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.parametrize("case", cases(), ids=str)
def test_bad_input_gets_one_sentence_and_leaves_nothing(case, place):
    before = files(place)
    seen = answer(case, place)
    assert seen.code == case.code, seen.message
    *others, last = seen.message.splitlines()
    assert len(others) <= 2
    assert last.startswith("hwlit: ")
    assert case.told in last
    assert "Traceback" not in seen.message
    now = files(place)
    now.pop(place / "finished" / ".lock", None)  # asked whether it is held
    before.pop(place / "finished" / ".lock", None)
    assert {path for path in now if path.is_file()} == {path for path in before if path.is_file()}
    assert not (place / "out").exists()


MEMBERS = ("base", "lora", "bitfit", "kv", "token", "qat")  # of chains: any name will do


def mutants():
    """One misspelling per key of each shipped config: a letter lost, doubled or swapped."""
    kinds = itertools.cycle(("lost", "doubled", "swapped"))
    for name in config_names():
        if name.startswith("studies/"):
            continue  # no configs of fit
        text = (config_root() / f"{name}.yaml").read_text()
        for number, line in enumerate(text.splitlines()):
            key = line.partition(":")[0].strip()
            if not line.startswith("#") and ":" in line and key not in MEMBERS:
                yield name, number, key, next(kinds)


def misspell(key, kind):
    at = len(key) // 2
    if kind == "lost":
        return key[:at] + key[at + 1 :]
    if kind == "doubled":
        return key[:at] + key[at] + key[at:]
    return key[: at - 1] + key[at] + key[at - 1] + key[at + 1 :]


def test_a_misspelt_key_of_a_shipped_config_is_named_with_the_right_one(tmp_path, capsys):
    found = list(mutants())
    sample = found[:: max(1, len(found) // MUTANTS)]
    right = 0
    for name, number, key, kind in sample:
        shutil.copytree(config_root(), tmp_path / "configs", dirs_exist_ok=True)
        path = tmp_path / "configs" / f"{name}.yaml"
        lines = path.read_text().splitlines()
        lines[number] = lines[number].replace(key, misspell(key, kind), 1)
        path.write_text("\n".join(lines) + "\n")
        given = BESIDE.get(name.partition("/")[0], ["--config"])
        assert main(["fit", *given, str(path), "--print_config"]) == 2, (name, key)
        told = capsys.readouterr().err
        right += misspell(key, kind) == key or f"{key}?" in told
    assert right >= 0.95 * len(sample), f"{right} of {len(sample)}"


def test_a_study_is_sent_to_its_own_command(capsys):
    assert main(["fit", "--config", "studies/imdb_lora"]) == 2
    assert "describes a study, not a run; hwlit study run" in capsys.readouterr().err


def test_several_problems_are_found_at_once(place, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    more = ["--trainer.accelerator", "tpu", "--data.path", "nope.csv"]
    more += ["--model.adapter.targets", "[nothing]", "--output", str(place / "finished")]
    assert main(["check", *small(place, "x"), *more]) == 2
    told = capsys.readouterr()
    assert [line[:15].split() for line in told.out.splitlines()] == [
        ["no", "output"], ["no", "device"], ["no", "data"], ["no", "model"],
    ]  # fmt: skip
    assert "(and 3 more above)" in told.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("adapter", ["lora", "full", "untuned"])
def test_check_tries_a_run_out_and_leaves_nothing(adapter, place, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = small(place, "x")[:-2]  # would write to runs/
    assert main(["check", *arguments, "--model.adapter", adapter, "--trainer.max_epochs", "9"]) == 0
    told = capsys.readouterr().out
    lines = {line.split()[1]: line for line in told.splitlines()[:-1]}
    assert {"output", "device", "data", "model", "labels", "steps", "export"} <= set(lines)
    assert "112 rows to train" in lines["data"]
    assert "reloads equal on 4 test rows" in lines["export"]
    assert told.endswith("ok: nothing here would stop the run\n")
    if adapter != "untuned":
        assert "reads back equal" in lines["checkpoint"]
        assert "63 steps" in lines["time"]  # 9 epochs of 7 batches
        assert "validation 9 times" in lines["time"]
    assert not list(tmp_path.iterdir())


def test_check_says_which_tensors_get_no_gradient(place, capsys, monkeypatch):
    from hwlit.tasks.text_classification import TextClassification

    def detached(self, network, batch):
        bias = {"classifier.bias": network.classifier.bias.detach()}
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        return functional_call(network, bias, kwargs=inputs).logits

    monkeypatch.setattr(TextClassification, "logits", detached)
    assert main(["check", *small(place, "x")]) == 2
    assert "1 tensors are to learn but get no gradient, such as classifier.bias" in (
        capsys.readouterr().err
    )


def test_check_finds_a_loss_that_is_no_number(place, capsys, monkeypatch):
    from hwlit.tasks import text_classification

    def spoiled(logits, labels, **kwargs):
        return logits.sum() * float("nan")

    monkeypatch.setattr(text_classification.functional, "cross_entropy", spoiled)
    assert main(["check", *small(place, "x")]) == 4
    assert "the loss became nan at step 0; nothing was updated" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoiled", "told"),
    [
        (lambda **job: [[[9.0, -9.0]] * len(job["texts"])] * 2, "its logits differ by"),
        (lambda **job: [][0], "does not reload: IndexError: list index out of range"),
    ],
)
def test_check_finds_an_export_that_does_not_reload(spoiled, told, place, capsys, monkeypatch):
    monkeypatch.setattr("hwlit.exports.stock_classifier.logits", spoiled)
    assert main(["check", *small(place, "x")]) == 5
    assert told in capsys.readouterr().err


def test_check_finds_too_small_a_disk(place, capsys, monkeypatch):
    monkeypatch.setattr(
        "hwlit.checking.tryout.shutil.disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 0)
    )
    assert main(["check", *small(place, "x")]) == 6
    assert "make room or give another --output" in capsys.readouterr().err


def test_check_without_a_run_shows_the_machine(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 0
    told = capsys.readouterr().out
    for word in ("cuda", "tpu", "32-true", "bf16-mixed", "energy", "disk", "memory", "offline"):
        assert word in told
    assert not list(tmp_path.iterdir())


def test_the_extras_are_those_of_the_package():
    import tomllib

    extras = tomllib.loads((config_root().parent / "pyproject.toml").read_text())
    extras = extras["project"]["optional-dependencies"]
    for name, (distribution, _) in EXTRAS.items():
        assert any(requirement.startswith(distribution) for requirement in extras[name])


@contextlib.contextmanager
def small_disk(folder, size):
    if os.name != "posix" or os.geteuid() != 0:
        pytest.skip("mounting needs root")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], check=False
    )
    if done.returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.mark.parametrize("size", ["4k", "64k", "128k"])
def test_a_full_disk_leaves_nothing_half_written(size, place, tmp_path, capsys, monkeypatch):
    speed_up(monkeypatch)
    with small_disk(tmp_path, size):
        arguments = [*small(place, "x")[:-1], str(tmp_path / "run"), "--trainer.max_epochs", "2"]
        assert main(["fit", *arguments]) == 6
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert "No space left on device" in error
        assert not list(tmp_path.rglob(".tmp-*"))
        for checkpoint in tmp_path.rglob("*.ckpt"):
            assert checkpoint.with_name(checkpoint.name + ".manifest.json").is_file()
        for record in tmp_path.rglob("record.json"):
            assert json.loads(record.read_text())["status"] == "failed"


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit")
def test_a_limit_on_file_sizes_is_told(place, tmp_path, capsys, monkeypatch):
    import resource

    speed_up(monkeypatch)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, before[1]))
    try:
        code = main(["fit", *small(place, "x")[:-1], str(tmp_path / "run")])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert code == 6
    assert "File too large" in capsys.readouterr().err
    assert not list(tmp_path.rglob(".tmp-*"))


def test_a_run_that_failed_before_it_began_leaves_the_directories_of_others(
    place, tmp_path, monkeypatch
):
    (tmp_path / "runs").mkdir()
    output = tmp_path / "runs" / "a" / "b"
    arguments = [*small(place, "x")[:-1], str(output), "--model.adapter.targets", "[nothing]"]
    assert main(["fit", *arguments]) == 2
    assert list(tmp_path.rglob("*")) == [tmp_path / "runs"]
    output.mkdir(parents=True)
    assert main(["fit", *arguments]) == 2
    assert output.is_dir()
    assert not list(output.iterdir())


def test_a_config_reads_the_same_after_a_round_trip(tmp_path, capsys):
    def printed(config):
        with pytest.raises(SystemExit):
            main(["fit", "--config", config, "--print_config"])
        return yaml.safe_load(capsys.readouterr().out)

    first = printed("quickstart")
    (tmp_path / "again.yaml").write_text(yaml.safe_dump(first))
    assert printed(str(tmp_path / "again.yaml")) == first


@pytest.mark.parametrize(
    ("count", "asked", "code", "told"),
    [
        (1, ["--trainer.devices", "2"], 6, "asks for more than the 1 gpu device here"),
        (2, ["--trainer.devices", "[0,2]"], 6, "asks for more than the 2 gpu devices here"),
        (1, ["--trainer.devices", "[]"], 2, "--trainer.devices is []"),
    ],
)
def test_more_gpus_than_there_are(count, asked, code, told, place, capsys, monkeypatch):
    for name, told_of in (("is_available", True), ("auto_device_count", count)):
        monkeypatch.setattr(CUDAAccelerator, name, staticmethod(lambda it=told_of: it))
    assert main(["fit", *small(place, "x"), "--trainer.accelerator", "gpu", *asked]) == code
    assert told in capsys.readouterr().err
    assert not (place / "x").exists()
