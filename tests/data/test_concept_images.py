import json
import os
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from PIL import Image

from hwlit.data import concepts
from hwlit.data.concept_images import ConceptImages
from hwlit.data.framing import framed
from hwlit.data.hub import HubImages
from hwlit.errors import DataError, UsageError
from hwlit.networks.diffusion import load_encoders, load_pipeline
from tests.pipelines import KINDS, SIDE

PROMPTS = {"instance_prompt": "photo of sks dog", "class_prompt": "photo of dog"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three pictures of different sizes."""
    folder = tmp_path_factory.mktemp("concept")
    for i, size in enumerate([(40, 60), (64, 64), (50, 33)]):
        Image.linear_gradient("L").resize(size).rotate(90 * i).convert("RGB").save(
            folder / f"{i}.png"
        )
    return folder


@pytest.fixture
def make(folder, tiny_pipelines):
    given = {"path": str(folder), "pretrained": tiny_pipelines["sd"], "class_steps": 1, **PROMPTS}
    return lambda **changes: ConceptImages(**given | changes)


class Listener(LightningModule):
    """Learns one number and writes down every batch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []
        self.validated = []

    def training_step(self, batch, batch_idx):
        rows = batch["row_id"].tolist()
        content = batch["pixels"] if "pixels" in batch else batch["latent_mean"]
        self.seen.append((self.current_epoch, rows, float(content.double().sum())))
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        self.validated.extend(batch["row_id"].tolist())

    def configure_optimizers(self):
        _ = self.trainer.estimated_stepping_batches
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Crash(Exception):
    pass


class Stop(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            raise Crash


def fit(module, data, tmp_path, *callbacks, epochs=2, **given):
    Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, default_root_dir=tmp_path,
        callbacks=list(callbacks), enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=bool(callbacks), use_distributed_sampler=False,
        num_sanity_val_steps=0,
    ).fit(module, data, **given)  # fmt: skip


VARIED = {"cache_latents": False, "crop": "random", "flip": True}


@pytest.mark.parametrize("settings", [{}, VARIED, {**VARIED, "num_workers": 1}])
def test_a_run_goes_on_with_the_same_batches(make, tmp_path, settings):
    given = {
        "epoch_steps": 4,
        "batch_size": 2,
        "class_images": 1,
        "validation_levels": 2,
        **settings,
    }
    whole = Listener()
    fit(whole, make(**given), tmp_path)
    assert len(whole.seen) == 8
    assert whole.seen[:4] != whole.seen[4:]
    assert sorted(whole.validated) == sorted(list(range(6)) * 2)
    saving = ModelCheckpoint(
        tmp_path / "kept", "last", every_n_train_steps=1, enable_version_counter=False
    )
    with pytest.raises(Crash):
        fit(Listener(), make(**given), tmp_path, saving, Stop(4 if settings else 7))
    path = tmp_path / "kept" / "last.ckpt"
    written = torch.load(path, weights_only=True)["global_step"]
    rest = Listener()
    fit(rest, make(**given), tmp_path, ckpt_path=path, weights_only=True)
    assert rest.seen == whole.seen[written:]
    assert 0 < written < 8


def test_other_pictures_cannot_continue_a_run(make, folder, tmp_path):
    saving = ModelCheckpoint(tmp_path / "kept", "last", enable_version_counter=False)
    fit(Listener(), make(epoch_steps=2), tmp_path, saving, epochs=1)
    (tmp_path / "other").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "other" / "0.png")
    path = tmp_path / "kept" / "last.ckpt"
    with pytest.raises(DataError, match="holds other rows than those that the checkpoint"):
        fit(Listener(), make(path=str(tmp_path / "other")), tmp_path, ckpt_path=path)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_hold_what_the_encoders_say(kind, make, tiny_pipelines):
    pretrained = tiny_pipelines[kind]
    data = make(pretrained=pretrained, class_images=2, batch_size=3)
    batch = next(iter(data.train_dataloader()))
    assert batch["prior"].tolist() == [False] * 3 + [True] * 3
    encoders = load_encoders(pretrained, torch.float32, "cpu")
    said = encoders.encode_prompts([PROMPTS["instance_prompt"], PROMPTS["class_prompt"]])
    for row, number in enumerate(batch["row_id"].tolist()):
        frame = framed(data._pictures()[number].load(), SIDE)
        mean, deviation = encoders.encode_images(frame.pixels[None])
        torch.testing.assert_close(batch["latent_mean"][row], mean[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(batch["latent_std"][row], deviation[0], rtol=1e-4, atol=1e-5)
        assert batch["time_ids"][row].tolist() == list(frame.time_ids)
        prior = row > 2
        torch.testing.assert_close(batch["prompt_embeds"][row], said.embeds[int(prior)])
        if kind == "sdxl":
            torch.testing.assert_close(batch["pooled"][row], said.pooled[int(prior)])
    assert ("pooled" in batch) == (kind == "sdxl")


def test_prompts_stay_ids_where_the_text_encoder_learns(make):
    batch = next(iter(make(train_text_encoder=True).train_dataloader()))
    assert batch["input_ids"].shape == (1, 77)
    assert "prompt_embeds" not in batch
    assert "latent_mean" in batch


def test_validation_takes_each_picture_at_each_level_uncropped(make):
    data = make(**VARIED, validation_levels=4, eval_batch_size=5)
    batches = list(data.val_dataloader())
    rows = torch.cat([batch["row_id"] for batch in batches]).tolist()
    assert rows == list(range(12))
    levels = torch.cat([batch["level"] for batch in batches])
    assert levels[:4].tolist() == [0.125, 0.375, 0.625, 0.875]
    assert torch.equal(batches[0]["pixels"][0], framed(data._pictures()[0].load(), SIDE).pixels)
    again = list(make(**VARIED, validation_levels=4, eval_batch_size=5).val_dataloader())
    assert torch.equal(again[-1]["pixels"], batches[-1]["pixels"])
    assert not any(batch["prior"].any() for batch in batches)


def test_test_rows_pair_between_runs(make):
    given = {"test_prompts": ("photo of sks dog", "sks dog on the beach"), "images_per_prompt": 2}
    data = make(**given, unrelated_prompts=("red circle",), eval_batch_size=4, shuffle_seed=5)
    rows = data.test_rows()
    assert [row["kind"] for row in rows] == ["concept"] * 4 + ["unrelated"] * 2
    assert [row["seed"] for row in rows] == [row["row_id"] for row in rows] == list(range(6))
    batches = list(data.test_dataloader())
    assert [batch["prompt"] for batch in batches][1] == ["red circle"] * 2
    assert batches[0]["row_id"].tolist() == batches[0]["seed"].tolist() == [0, 1, 2, 3]


def test_a_caption_stands_for_the_prompt(make, folder, tmp_path):
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "b.png")
    (tmp_path / "b.txt").write_text("sks dog on the beach")
    data = make(path=str(tmp_path))
    batch = next(iter(data.val_dataloader()))
    report = data.report()
    assert report["captions"] == {"b.png": "sks dog on the beach"}
    assert report["other_files"] == {".txt": 1}
    usual = next(iter(make().val_dataloader()))["prompt_embeds"][0]
    assert torch.equal(batch["prompt_embeds"][0], usual)
    whole = list(data.val_dataloader())
    assert not torch.equal(whole[0]["prompt_embeds"][0], whole[-1]["prompt_embeds"][0])


def test_what_pictures_captions_and_prompts_lack_is_in_the_report(make, tmp_path):
    concept, classes = tmp_path / "concept", tmp_path / "classes"
    for folder, name in ((concept, "a.png"), (concept, "b.png"), (classes, "c.png")):
        folder.mkdir(exist_ok=True)
        Image.linear_gradient("L").save(folder / name)
    (concept / "a.caption").write_text("asksome dog on grass")
    (concept / "00.txt").write_text("a sks dog")
    (concept / "x.md").write_text("x")
    (classes / "c.caption").write_text("a sks\ndog")
    (classes / ".hidden.png").write_text("x")
    data = make(
        path=str(concept),
        class_images=1,
        class_images_path=str(classes),
        test_prompts=("a mug", "a sks dog"),
    )
    data.prepare_class_images()
    assert data.report()["captions"] == {"a.png": "asksome dog on grass"}
    assert [remark.partition(" (")[0] for remark in data.report()["remarks"]] == [
        "not read: 1 file of other kinds",
        "1 caption file belongs to no picture that is read",
        "no caption, so that the usual prompt is taken: 1 of 2 pictures",
        "copies of one another, equal or nearly so: 2 of 2 pictures",
        "class pictures: left out: 1 hidden picture",
        "class pictures: captions of several lines, which are read as one: 1 of 1",
        "the identifier 'sks' is not in 1 of 2 training prompts",
        "the identifier 'sks' is not in 1 of 2 test prompts",
        "the identifier 'sks' is in 1 of 1 prompts of the class or of other things",
    ]


def test_a_usual_folder_needs_no_remark(make):
    given = {"test_prompts": ("sks dog on grass",), "unrelated_prompts": ("red circle",)}
    assert make(resolution=None, **given).report()["remarks"] == []


def test_captions_of_a_hub_set_stand_for_the_prompt(make, monkeypatch, folder):
    contents = [(name, (folder / name).read_bytes()) for name in ("0.png", "1.png")]
    served = HubImages(contents, {"1.png": "sks dog on grass"}, None)
    monkeypatch.setattr(concepts, "read_images", lambda *given: served)
    report = make(path="some/set").report()
    assert report["captions"] == {"1.png": "sks dog on grass"}
    assert "1 of 2 pictures (0.png)" in report["remarks"][0]


def test_the_report_is_plain_and_complete(make):
    data = make(class_images=2, unrelated_prompts=("photo " * 80,), instance_prompt="photo of dog")
    data.prepare_class_images()
    report = json.loads(json.dumps(data.report()))
    assert report["rows"] == {"train": 3, "validation": 24, "test": 8}
    assert report["pictures"]["0.png"]["width"] == 40
    assert report["class_images"]["pictures"] == report["class_images"]["drawn_in_this_run"] == 2
    assert report["resolution"] == SIDE
    assert any("cut off is 'photo" in remark for remark in report["remarks"])
    again = make(class_images=2, instance_prompt="photo of dog")
    again.prepare_class_images()
    assert again.report()["fingerprint"] == report["fingerprint"]
    assert again.report()["class_images"]["drawn_in_this_run"] == 0
    assert make().report()["fingerprint"] != report["fingerprint"]


def test_a_test_draws_no_class_pictures_and_encodes_nothing(make, monkeypatch):
    data = make(class_images=1000)
    data.setup("test")
    assert len(list(data.test_dataloader())) == 1
    assert data._encoded is None


def broken_at(word, pretrained, folder):
    """Save a pipeline whose text encoder gives NaN where a prompt has a word."""
    pipeline = load_pipeline(pretrained, torch.float32, "cpu")
    with torch.no_grad():
        weight = pipeline.text_encoder.get_input_embeddings().weight
        weight[pipeline.tokenizer(word).input_ids[1:-1]] = float("nan")
    pipeline.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("learns", [False, True])
@pytest.mark.parametrize("given", ["test_prompts", "unrelated_prompts"])
def test_a_base_that_cannot_read_a_test_prompt_is_told_before_training(
    given, learns, make, tiny_pipelines, tmp_path
):
    pretrained = broken_at("red", tiny_pipelines["sd"], tmp_path / "p")
    asked = {"pretrained": pretrained, given: ("sks red circle",), "train_text_encoder": learns}
    with pytest.raises(UsageError, match="not finite for 'sks red circle' in float32; give anoth"):
        make(**asked).cache()


@pytest.mark.parametrize("new", [None, {"<new1>": 2}])
def test_a_base_that_cannot_read_prompts_that_learn_is_told_before_training(
    new, make, tiny_pipelines, tmp_path
):
    pretrained = broken_at("photo", tiny_pipelines["sd"], tmp_path / "p")
    prompt = "photo of sks dog" if new is None else "photo of <new1> dog"
    asked = {"instance_prompt": prompt, "new_tokens": new, "train_text_encoder": True}
    with pytest.raises(UsageError, match="the text encoder gives features that are not finite"):
        make(pretrained=pretrained, **asked).cache()


def test_a_name_loads_nothing(make, monkeypatch):
    monkeypatch.setattr("hwlit.data.concept_images.encode_once", None)
    assert str(make()) == "ConceptImages"


def test_loaders_draw_nothing_from_the_global_random_numbers(make):
    data = make(class_images=1, **VARIED, epoch_steps=3)
    data.setup("fit")
    before = torch.get_rng_state()
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        list(loader)
    assert torch.equal(before, torch.get_rng_state())


def test_sample_batches_have_the_asked_sizes(make):
    batches = make().sample_batches((1, 30))
    assert {size: len(batch["row_id"]) for size, batch in batches.items()} == {1: 1, 30: 30}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"class_images": 2, "class_prompt": None}, "class_images needs --data.class_prompt"),
        ({"class_images_path": "x"}, "class_images_path needs --data.class_images"),
        ({"class_images_path": __file__, "class_images": 1}, r"\.py is no folder; give one"),
        ({"crop": "random"}, "set --data.cache_latents false"),
        ({"flip": True}, "set --data.cache_latents false"),
        ({"identifier": "zwx"}, "'zwx' is not in --data.instance_prompt"),
        ({"instance_prompt": ""}, "instance_prompt is empty"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"epoch_steps": 0}, "epoch_steps is 0"),
        ({"class_images": -1}, "class_images is -1"),
        ({"class_guidance": float("inf")}, "class_guidance is inf; give a finite number"),
        ({"instance_prompt": "sks " * 300_000}, "has 1,200,000 characters, and a prompt has at"),
        ({"identifier": "sks " * 300_000}, "has 1,199,999 characters"),
        ({"unrelated_prompts": ("a" * 10_001,)}, "has 10,001 characters"),
        ({"class_images": 10**12}, "class_images is 10"),
        ({"images_per_prompt": 9999, "unrelated_prompts": ("a cat",)}, "19,998 test pictures"),
        ({"epoch_steps": 10**6, "batch_size": 100}, "an epoch has 100,000,000 rows"),
        ({"test_prompts": ()}, "test_prompts needs at least one"),
    ],
)
def test_settings_that_cannot_be_used(make, given, told):
    with pytest.raises(UsageError, match=told):
        make(**given)


@pytest.mark.parametrize(
    "path",
    [
        *("/no/such/folder", "./missing", "word", "a/b/c", __file__, "photos/dog.jpg", "dogs/"),
        *("here/missing", "zip::http://x/y.zip", "s3://x/y", "memory:/x", "hf:/x"),
    ],
)
def test_what_is_no_folder_is_refused(make, path, tmp_path, monkeypatch):
    def ask(*given):
        raise AssertionError("the hub was asked")

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(concepts, "read_images", ask)
    with pytest.raises(DataError, match="is no folder; give that of the concept's pictures"):
        make(path=path).prepare_data()


def test_a_link_that_leads_to_itself_is_refused(make, tmp_path):
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    with pytest.raises(DataError, match="is no folder"):
        make(path=str(tmp_path / "loop")).prepare_data()


@pytest.mark.parametrize("subject", ["dog6", "clock"])
def test_real_photos(make, subject):
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = Path(os.environ.get("HWLIT_TEST_DATA", beside)) / "concepts" / subject
    if not path.is_dir():
        pytest.skip(f"no real data: concepts/{subject} is not in HWLIT_TEST_DATA")
    data = make(path=str(path), batch_size=4)
    data.setup("fit")
    assert data.report()["rows"]["train"] in (5, 6)
    assert data.report()["skipped"] == {}
    batch = next(iter(data.train_dataloader()))
    assert torch.isfinite(batch["latent_mean"]).all()
