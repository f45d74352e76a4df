import csv
import json

import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hwlit.__main__ import main
from hwlit.exports import redraw, stock_pipeline
from hwlit.tasks.personalization import Personalization
from tests.drawing import drawn, loaded, save_tiny_clip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five pictures of a concept: squares of two colours."""
    folder = tmp_path_factory.mktemp("concept")
    for number in range(5):
        picture = Image.new("RGB", (40, 36), (200, 40 * number, 30))
        picture.paste((20, 60, 220), (8 + number, 8, 24 + number, 24))
        picture.save(folder / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return str(save_tiny_clip(tmp_path_factory.mktemp("clip")))


@pytest.fixture
def fit(folder, clip, tiny_pipelines, tmp_path, monkeypatch):
    """Return what runs `hwlit fit` on a tiny pipeline and gives its exit code and directory."""

    def redrawn(job, folder, timeout, device):
        return stock_pipeline.draw(**job)

    monkeypatch.setattr(redraw, "_run", redrawn)
    monkeypatch.setattr("hwlit.runs.base.LATENCY_SECONDS", 0.0)

    def run(*words, kind="sd", config="pocket/dreambooth_lora", name="run"):
        code = main([
            "fit", "--config", config, "--model.pretrained", tiny_pipelines[kind],
            "--model.clip", clip, "--model.sampling_steps", "2", "--data.path", str(folder),
            "--data.instance_prompt", "photo of sks dog", "--data.class_prompt", "photo of dog",
            "--data.test_prompts", '["photo of sks dog", "sks dog on the beach"]',
            "--data.unrelated_prompts", '["photo of red square"]', "--data.images_per_prompt", "2",
            "--data.class_images", "3", "--data.class_steps", "2", "--data.batch_size", "2",
            "--data.epoch_steps", "6", "--trainer.max_epochs", "2", "--trainer.accelerator", "cpu",
            "--trainer.enable_progress_bar", "false", "--output", str(tmp_path / name), *words,
        ])  # fmt: skip
        return code, tmp_path / name

    return run


def record_of(output):
    return json.loads((output / "record.json").read_text())


@pytest.mark.slow
def test_lora_from_pictures_to_a_file_that_stock_diffusers_draws_from(fit, tiny_pipelines, capsys):
    code, output = fit("--model.sample_every_n_steps", "6", "--model.min_snr_gamma", "5")
    assert code == 0
    record = record_of(output)
    readings = record["readings"]
    for name in (
        "test/clip_i", "base/clip_i", "test/clip_t", "test/diversity", "test/memorising",
        "test/clip_kid", "base/clip_kid", "test/drift", "fit/step_time", "fit/peak_memory",
        "params/trainable", "adapter/file_size",
        "latency/base/denoising_step/p50", "latency/merged/picture/p50",
        "latency/unmerged/picture/over_base", "adapter/merge_difference",
    ):  # fmt: skip
        assert name in readings, name
    assert record["check"]["max_pixel_difference"] <= 4
    phases = [row["name"] for row in record["phases"]]
    assert {"class_images", "cache", "samples", "base_pictures", "score"} <= set(phases)
    assert record["data"]["class_images"]["drawn_in_this_run"] == 3
    assert record["data"]["identifier"] == "sks"
    curves = {one["name"]: one["columns"] for one in record["exhibits"] if one["kind"] == "curve"}
    assert curves["learning_rate"]["step"] == list(range(12))
    validation = curves["validation"]
    assert (validation["epoch"], validation["step"]) == ([0, 1], [6, 12])
    assert all(0 < loss < 10 for loss in validation["val/loss"])
    (told,) = (told for told in record["remarks"] if "KID" in told or "clip_kid" in told)
    assert "4 pictures of the concept and 3 of the class" in told
    assert f"note    {told}" in capsys.readouterr().out
    assert len(list((output / "samples").glob("test-*.png"))) == 6
    assert (output / "samples" / "step-000006.png").is_file()
    pipeline = loaded(tiny_pipelines["sd"])
    before = drawn(pipeline)
    pipeline.load_lora_weights(output / "adapter")
    assert abs(drawn(pipeline) - before).max() > 0
    with safe_open(output / "adapter" / "pytorch_lora_weights.safetensors", "pt") as file:
        parts = {name.partition(".")[0] for name in file.keys()}  # noqa: SIM118
    assert parts == {"unet", "text_encoder"}
    events = EventAccumulator(str(output / "tensorboard")).Reload()
    assert {"test/pictures", "samples"} <= set(events.Tags()["images"])
    with (output / "metrics.csv").open(newline="") as file:
        columns = next(csv.reader(file))
    assert {"train/loss", "train/prior_loss", "val/loss"} <= set(columns)
    assert "sks dog" in (output / "adapter" / "README.md").read_text()


@pytest.mark.slow
def test_the_whole_denoiser_becomes_a_pipeline_folder(fit, tiny_pipelines):
    frozen = ["--model.train_text_encoder", "false"]
    code, output = fit("--model.adapter.learning_rate", "1e-3", *frozen, config="pocket/dreambooth")
    assert code == 0
    pipeline = DiffusionPipeline.from_pretrained(output / "adapter")
    base = loaded(tiny_pipelines["sd"])
    moved = [
        bool((new != old).any())
        for new, old in zip(pipeline.unet.parameters(), base.unet.parameters(), strict=True)
    ]
    assert sum(moved) > len(moved) / 2
    for part in ("vae", "text_encoder"):
        pairs = zip(
            getattr(pipeline, part).parameters(), getattr(base, part).parameters(), strict=True
        )
        assert all(torch.equal(new, old) for new, old in pairs)
    readings = record_of(output)["readings"]
    same = readings["latency/merged/picture/p50"]
    assert "same modules" in same["how"]["text"]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "precision"), [("sd", "bf16-true"), ("sdxl", "32-true")])
def test_custom_diffusion_teaches_the_tokenizer_a_word(
    kind, precision, fit, tiny_pipelines, tmp_path, capsys
):
    said = '["photo of <new1> dog", "<new1> dog on the beach"]'
    code, output = fit(
        "--data.instance_prompt", "photo of <new1> dog", "--data.test_prompts", said,
        "--data.random_size", "true", "--data.cache_latents", "false",
        "--trainer.precision", precision, kind=kind, config="pocket/custom_diffusion",
    )  # fmt: skip
    assert code == 0
    record = record_of(output)
    assert record["data"]["identifier"] == "<new1>"
    assert record["data"]["cached"] == {"latents": False, "prompts": False}
    assert record["check"]["mean_difference_from_base"] > 0
    names = {path.name for path in (output / "adapter").iterdir()}
    assert {"%3Cnew1%3E.safetensors", "pytorch_custom_diffusion_weights.bin"} <= names
    new, old = loaded(output / "adapter"), loaded(tiny_pipelines[kind])
    for part in ("vae", "unet"):
        changed = {
            name
            for name, tensor in new.components[part].state_dict().items()
            if not torch.allclose(tensor, old.components[part].state_dict()[name], atol=1e-2)
        }
        assert all(".attn2.to_k." in name or ".attn2.to_v." in name for name in changed)
    words = ["generate", str(output), "--prompt", "<new1> dog", "--out", str(tmp_path / "out")]
    assert main([*words, "--num_images", "1"]) == 0
    assert main([*words, "--strength", "0.5"]) == 2
    assert "learned the new word <new1>" in capsys.readouterr().err


@pytest.mark.slow
def test_two_concepts_are_learned_jointly(fit, tmp_path):
    both, classes = tmp_path / "both", tmp_path / "classes"
    for folder, said in ((both, ("<new1> mug", "<new2> dog")), (classes, ("mug", "dog"))):
        folder.mkdir()
        for number, what in enumerate(said * 2):
            Image.new("RGB", (32, 32), (60 * number, 90, 200)).save(folder / f"{number}.png")
            (folder / f"{number}.txt").write_text(f"photo of {what}")
    code, output = fit(
        "--data.path", str(both), "--model.adapter.adapters.token.tokens",
        '{"<new1>": "mug", "<new2>": "dog"}', "--data.instance_prompt", "photo of <new1> mug",
        "--data.class_prompt", "photo of mug", "--data.class_images_path", str(classes),
        "--data.class_images", "4", "--data.test_prompts",
        '["photo of <new1> mug", "photo of <new2> dog", "<new1> mug on <new2> dog"]',
        config="pocket/custom_diffusion",
    )  # fmt: skip
    assert code == 0
    record = record_of(output)
    assert record["data"]["captions"]["1.png"] == "photo of <new2> dog"
    assert record["data"]["class_images"]["drawn_in_this_run"] == 0
    assert "'<new1> <new2>' dropped" in record["readings"]["test/clip_t"]["how"]["text"]
    assert record["check"]["prompts"] == ["photo of <new1> mug"] * 2 + ["a photo of a <new2>"]
    words = "%3Cnew1%3E.safetensors + %3Cnew2%3E.safetensors"
    assert f"{words} + pytorch_custom_diffusion_weights.bin" in record["check"]["ways"]
    rows = [
        load_file(output / "adapter" / f"%3Cnew{n}%3E.safetensors")[f"<new{n}>"] for n in (1, 2)
    ]
    assert not torch.equal(*rows)


def test_a_new_word_that_is_in_no_prompt_is_refused(fit, capsys):
    code, output = fit(config="pocket/custom_diffusion")
    assert code == 2
    assert "the new token '<new1>' is in no prompt" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.slow
def test_untuned_draws_what_the_base_draws(fit):
    code, output = fit("--model.adapter", "untuned")
    assert code == 0
    record = record_of(output)
    assert record["readings"]["test/drift"]["value"] == pytest.approx(0, abs=1e-6)
    assert record["readings"]["test/clip_i"]["value"] == record["readings"]["base/clip_i"]["value"]
    assert record["data"]["class_images"] is None  # nothing learns, so none were drawn


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sd_v", "sdxl"])
def test_other_pipelines_learn_with_their_text_encoders(fit, kind):
    targets = '["unet.*.to_[qv]", "text_encoder*.q_proj"]'
    code, output = fit(
        "--model.adapter.targets", targets, "--model.train_text_encoder", "true", kind=kind
    )
    assert code == 0
    sites = record_of(output)["adapter"]["sites"]
    assert any(site.startswith("text_encoder.") for site in sites)


@pytest.mark.slow
def test_lora_learns_on_quantised_layers_of_the_denoiser(fit):
    code, output = fit("--model.adapter", "qlora_4bit", "--model.train_text_encoder", "false")
    assert (code, record_of(output)["adapter"]["quantisation"]["asked"]) == (0, "nf4")
    assert record_of(output)["readings"]["adapter/requantised_difference"]["value"] > 0
    assert (output / "adapter" / "quantized_layers.json").is_file()


@pytest.mark.slow
def test_svdiff_tells_its_phase_its_forms_and_where_its_svd_came_from(fit):
    code, output = fit(
        "--model.adapter", "pocket_svdiff", "--model.train_text_encoder", "true",
        config="pocket/svdiff",
    )  # fmt: skip
    assert code == 0
    record = record_of(output)
    assert "svd" in [row["name"] for row in record["phases"]]
    adapter, readings = record["adapter"], record["readings"]
    matrices = sum(adapter["svd"].values())
    assert set(adapter["forms"]) <= {"factored", "recomposed"}
    assert 0 < sum(adapter["forms"].values()) <= matrices < len(adapter["sites"])
    assert readings["adapter/merge_difference"]["value"] < 1e-4


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_weights(fit, monkeypatch):
    words = ["--model.adapter.dropout", "0.1", "--checkpoint.every_n_steps", "4"]
    code, whole = fit(*words, name="whole")
    assert code == 0
    learn, steps = Personalization.training_step, iter(range(100))

    def training_step(self, batch, index):
        if next(steps) == 9:  # the middle of the second epoch
            raise RuntimeError("the power went out")
        return learn(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Personalization, "training_step", training_step)
        code, part = fit(*words, name="part")
    assert code == 1
    assert main(["fit", "--resume", str(part)]) == 0
    assert record_of(part)["resumed_from"]["step"] == 8
    # Tensor by tensor: the header of such a file is in no fixed order.
    one, other = (
        load_file(folder / "adapter" / "pytorch_lora_weights.safetensors")
        for folder in (part, whole)
    )
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_texts_teach_no_picture(tmp_path, capsys, tiny_csv, tiny_pipelines):
    words = ["--model.pretrained", tiny_pipelines["sd"], "--trainer.accelerator", "cpu"]
    data = ["--data", "hwlit.data.tweets.Tweets", "--data.path", tiny_csv]
    output = tmp_path / "run"
    arguments = ["--config", "pocket/dreambooth_lora", *words, *data, "--output", str(output)]
    assert main(["fit", *arguments]) == 2
    assert "learns from pictures of a concept, but --data is Tweets" in capsys.readouterr().err
    assert not output.exists()


def test_a_disk_that_is_too_small_is_said_before_training(fit, monkeypatch, capsys):
    usage = type("Usage", (), {"free": 1000})()
    monkeypatch.setattr("hwlit.runs.personalization.shutil.disk_usage", lambda path: usage)
    code, output = fit()
    assert code == 6
    assert "make room" in capsys.readouterr().err
    assert not output.exists()


@pytest.mark.parametrize("size", ["60", "0", "-32"])
def test_a_size_that_cannot_be_drawn_is_said_before_training(size, fit, capsys, monkeypatch):
    monkeypatch.setattr("hwlit.data.class_images.draw", None)  # nothing is drawn
    code, output = fit("--model.picture_size", size)
    assert code == 2
    assert f"--model.picture_size is {size}" in capsys.readouterr().err
    assert not output.exists()


def test_a_clip_that_cannot_be_had_is_said_before_training(fit, capsys):
    code, output = fit("--model.clip", "/nowhere/clip")
    assert code == 2
    assert "/nowhere/clip" in capsys.readouterr().err
    assert not output.exists()
