"""Pictures from a finished run, by the command line."""

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from hwlit.__main__ import main
from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.adapters.svdiff import SVDiff
from hwlit.exports.diffusers_lora import write_diffusers_lora
from hwlit.exports.pipeline_folder import write_pipeline_folder
from hwlit.generation import TASK
from hwlit.networks.pipelines import pipeline_facts
from hwlit.records import record_of, write_record
from tests.drawing import drawn, learnable, loaded, moved

TARGETS = ("unet.*.to_[qkv]", "text_encoder.*.q_proj")
ADAPTERS = {
    "lora": Lora(rank=4, alpha=6, targets=TARGETS),
    "dora": Lora(rank=4, targets=TARGETS, dora=True),
    "full": Full(),
    "svdiff": SVDiff(norms=True),
}
PROMPT = "photo of sks dog"


def write_run(run, pretrained, adapter, status="ok"):
    """Write what a finished run leaves of what is needed to draw; return its tuned pipeline."""
    pipeline = loaded(pretrained)
    network = learnable(pipeline, "unet", "text_encoder")
    adapter.attach(network)
    moved(network.eval(), 0.02 if isinstance(adapter, Full) else 0.2)
    sites = list(adapter.sites(network))
    if not isinstance(adapter, Lora):
        learned = adapter.state(network)
        for name, shifts in adapter.files(network).items():
            (run / "adapter").mkdir(exist_ok=True)
            save_file(shifts, run / "adapter" / name)
        adapter.merge(network)
        write_pipeline_folder(run / "adapter", pipeline, learned, "some/base")
    else:
        config, state = adapter.peft_config(network), adapter.peft_state(network)
        write_diffusers_lora(run / "adapter", config, state)
    facts = pipeline_facts(pretrained) | {"dtype": "float32", "train_text_encoder": True}
    record = {"schema": 2, "status": status, "readings": {}, "absent": {}, "model": facts}
    record |= {"task": "personalization", "adapter": {**adapter.describe(), "sites": sites}}
    path = run / "record.json"
    write_record(record_of(record, path), path)
    model = {"sampling_steps": 2, "guidance": 3.0, "picture_size": None}
    config = {"model": {"class_path": TASK, "init_args": model}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    return pipeline


@pytest.fixture(scope="module")
def runs(tiny_pipelines, tmp_path_factory):
    """A run's directory and the picture that its network drew, by adapter."""
    found = {}
    for name, adapter in ADAPTERS.items():
        run = tmp_path_factory.mktemp(name) / "run"
        run.mkdir()
        found[name] = run, levels(write_run(run, tiny_pipelines["sd"], adapter))
    return found


def levels(pipeline, prompt=PROMPT, seed=0):
    return drawn(pipeline, prompt, seed) * 255


def generate(run, out, *more, prompt=PROMPT):
    """Run the command; return the pictures that it wrote, by name."""
    before = {path.name for path in out.glob("*")}
    arguments = ["generate", str(run), "--prompt", prompt, "--out", str(out), *more]
    assert main(arguments) == 0
    return {
        path.name: np.asarray(Image.open(path).convert("RGB"), dtype=float)
        for path in sorted(out.glob("*"))
        if path.name not in before
    }


def one(run, out, *more):
    pictures = generate(run, out, "--num_images", "1", *more)
    return pictures["0000-seed0.png"]


@pytest.mark.parametrize("name", ADAPTERS)
def test_it_draws_what_the_run_learned(name, runs, tiny_pipelines, tmp_path):
    run, live = runs[name]
    base = levels(loaded(tiny_pipelines["sd"]))
    assert np.abs(one(run, tmp_path / "own") - live).max() <= 1
    assert np.abs(one(run, tmp_path / "base", "--base") - base).max() <= 1
    assert np.abs(live - base).max() > 5


@pytest.mark.parametrize("name", ADAPTERS)
def test_strength_leads_from_the_base_to_what_was_learned(name, runs, tiny_pipelines, tmp_path):
    run, live = runs[name]
    base = levels(loaded(tiny_pipelines["sd"]))
    none, half, most = (
        one(run, tmp_path / strength, "--strength", strength) for strength in ("0", "0.5", "0.999")
    )
    assert np.abs(none - base).max() <= 1
    assert np.abs(most - live).mean() < 0.5
    distances = [np.abs(picture - base).mean() for picture in (none, half, most)]
    assert distances[0] < distances[1] < distances[2]


def test_files_are_numbered_on_and_say_how_they_were_drawn(runs, tmp_path, capsys):
    run, _ = runs["lora"]
    (tmp_path / "notes.txt").write_text("mine")
    first = generate(run, tmp_path, "--prompt", "red circle", "--num_images", "2", "--seed", "7")
    names = ["0000-seed7.png", "0000-sheet.png", "0001-seed8.png", "0002-seed7.png",
             "0003-seed8.png"]  # fmt: skip
    assert list(first) == names
    printed = capsys.readouterr().out.splitlines()
    assert sorted(printed) == [str(tmp_path / name) for name in names]
    assert printed[-1].endswith("0000-sheet.png")
    content = (tmp_path / "0000-seed7.png").read_bytes()
    again = generate(run, tmp_path, "--num_images", "1", "--seed", "7", "--strength", "0.5")
    assert list(again) == ["0004-seed7.png", "0004-sheet.png"]
    assert (tmp_path / "0000-seed7.png").read_bytes() == content
    with Image.open(tmp_path / "0004-seed7.png") as picture:
        assert picture.text["prompt"] == PROMPT
        assert (picture.text["seed"], picture.text["strength"]) == ("7", "0.5")
        assert picture.text["adapter"] == "Lora"


def test_a_seed_gives_its_picture_in_any_company(runs, tmp_path):
    run, _ = runs["lora"]
    three = generate(run, tmp_path / "a", "--num_images", "3", "--batch_size", "2")
    alone = generate(run, tmp_path / "b", "--num_images", "1", "--seed", "2")
    assert np.abs(three["0002-seed2.png"] - alone["0000-seed2.png"]).max() <= 1
    assert np.abs(three["0001-seed1.png"] - alone["0000-seed2.png"]).max() > 5


def test_steps_and_guidance_may_be_others(runs, tmp_path):
    run, live = runs["lora"]
    assert np.abs(one(run, tmp_path / "a", "--steps", "3") - live).max() > 1
    assert np.abs(one(run, tmp_path / "b", "--guidance", "1") - live).max() > 1


def test_a_prompt_that_is_cut_says_so(runs, tmp_path, capsys):
    run, _ = runs["lora"]
    generate(run, tmp_path, "--num_images", "1", prompt="dog " * 80)
    error = capsys.readouterr().err
    assert "longer than 77 tokens; cut off is 'dog dog dog dog dog'" in error
    assert error.count("\n") == 1  # and nothing of what training would ask for


def test_a_folder_that_is_only_lora_needs_its_base_unchanged(runs, tmp_path, capsys):
    run, _ = runs["lora"]
    other = tmp_path / "run"
    other.mkdir()
    for name in ("config.yaml", "record.json"):
        (other / name).write_text((run / name).read_text())
    shutil.copytree(run / "adapter", other / "adapter")
    record = json.loads((run / "record.json").read_text())
    record["model"]["sha256"] = "0" * 64
    (other / "record.json").write_text(json.dumps(record))
    arguments = ["generate", str(other), "--prompt", PROMPT, "--out", str(tmp_path / "out")]
    assert main(arguments) == 5
    assert "are not those that" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--num_images", "-3"], 2, "--num_images must be at least 1, got -3"),
        (["--steps", "0"], 2, "--steps must be at least 1, got 0"),
        (["--batch_size", "0"], 2, "--batch_size must be at least 1"),
        (["--seed", "-1"], 2, "--seed must be from 0"),
        (["--strength", "nan"], 2, "--strength must be a finite number"),
        (["--guidance", "inf"], 2, "--guidance must be a finite number"),
        (["--prompt", " "], 2, "a --prompt is empty"),
        (["--base", "--strength", "0.5"], 2, "leave --strength out"),
        (["--num_imagse", "3"], 2, "hwlit generate --help lists the options"),
        (["--device", "nonsense"], 6, "--device nonsense cannot be used"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_mistake_is_told_in_one_sentence(options, code, told, runs, tmp_path, capsys):
    out = str(tmp_path / "out")
    command = ["generate", str(runs["lora"][0]), "--prompt", PROMPT, "--out", out, *options]
    assert main(command) == code
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_a_run_that_cannot_draw_says_why(runs, tiny_pipelines, tmp_path, capsys):
    def told(run):
        code = main(["generate", str(run), "--prompt", PROMPT, "--out", str(tmp_path / "out")])
        return code, capsys.readouterr().err

    assert told(tmp_path / "none")[0] == 5
    text = tmp_path / "text"
    text.mkdir()
    (text / "record.json").write_text((runs["lora"][0] / "record.json").read_text())
    kind = {"class_path": "hwlit.tasks.text_classification.TextClassification"}
    (text / "config.yaml").write_text(yaml.safe_dump({"model": kind}))
    assert told(text) == (
        2,
        f"hwlit: {text} is a run of TextClassification, which draws nothing; label texts by "
        "hwlit predict\n",
    )
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    write_run(stopped, tiny_pipelines["sd"], ADAPTERS["lora"], status="interrupted")
    (stopped / "adapter" / "pytorch_lora_weights.safetensors").unlink()
    code, error = told(stopped)
    assert code == 5
    assert f"its status is interrupted; go on with it: hwlit fit --resume {stopped}" in error


def test_a_place_that_cannot_be_written_is_told_before_drawing(runs, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    command = ["generate", str(runs["lora"][0]), "--prompt", PROMPT, "--out"]
    assert main([*command, str(tmp_path / "file")]) == 2
    assert "is a file; give a directory" in capsys.readouterr().err
    assert main([*command, "/proc/pictures"]) == 6
    assert "cannot write to --out /proc/pictures" in capsys.readouterr().err


def test_its_help_teaches(capsys):
    with pytest.raises(SystemExit) as end:
        main(["generate", "--help"])
    assert end.value.code == 0
    assert "--strength 0.7" in capsys.readouterr().out


def test_other_commands_say_what_to_do_with_pictures(runs, tmp_path, capsys):
    run = runs["lora"][0]
    for command in (["predict", "--text", "x"], ["export", "--merged", str(tmp_path / "new")]):
        assert main([command[0], str(run), *command[1:]]) == 2
        assert "it draws pictures, by hwlit generate" in capsys.readouterr().err


def test_weights_between_are_between(runs, tiny_pipelines):
    from hwlit.generation import _interpolated

    base, tuned = loaded(tiny_pipelines["sd"]), loaded(runs["full"][0] / "adapter")
    name = "conv_in.weight"
    ends = [p.unet.get_parameter(name).detach().clone() for p in (base, tuned)]
    found = _interpolated(base, tuned, 0.25).unet.get_parameter(name)
    assert torch.allclose(found, 0.75 * ends[0] + 0.25 * ends[1], atol=1e-7)


@pytest.fixture
def spoilt(runs, tmp_path):
    """Return what copies a run of a whole pipeline and changes tensors of its exported VAE."""

    def change(**values):
        run = tmp_path / "spoilt"
        shutil.copytree(runs["full"][0], run)
        path = run / "adapter" / "vae" / "diffusion_pytorch_model.safetensors"
        tensors = load_file(path)
        for name, value in values.items():
            tensors[f"decoder.conv_out.{name}"].fill_(value)
        save_file(tensors, path, {"format": "pt"})
        return run

    return change


def test_what_is_not_finite_is_no_picture(spoilt, tmp_path, capsys):
    run, out = spoilt(weight=float("nan")), tmp_path / "out"
    assert main(["generate", str(run), "--prompt", PROMPT, "--out", str(out)]) == 4
    assert "for 'photo of sks dog' and seed 0 are not finite" in capsys.readouterr().err
    assert not list(out.glob("*.png"))


def test_pictures_of_one_colour_are_told(spoilt, runs, tmp_path, capsys):
    generate(spoilt(weight=0, bias=-9), tmp_path / "out", "--num_images", "2")
    assert "the pictures are each of one colour" in capsys.readouterr().err
    generate(runs["full"][0], tmp_path / "other", "--num_images", "1")
    assert "colour" not in capsys.readouterr().err


def test_a_base_of_which_there_is_a_variant_alone_is_drawn_with(tiny_pipelines, tmp_path):
    base, run = tmp_path / "base", tmp_path / "run"
    shutil.copytree(tiny_pipelines["sd"], base)
    run.mkdir()
    live = levels(write_run(run, str(base), ADAPTERS["lora"]))
    for file in base.glob("*/*.safetensors"):
        file.rename(file.with_name(f"{file.stem}.fp16.safetensors"))
    assert np.abs(one(run, tmp_path / "own") - live).max() <= 1
