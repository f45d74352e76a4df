"""The folder to upload: a stranger loads it as its card says, and learns nothing of the machine."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open
from transformers import AutoModelForSequenceClassification

from hwlit import uploads
from hwlit.__main__ import main
from hwlit.adapters.chain import Chain
from hwlit.adapters.concept_token import ConceptToken
from hwlit.adapters.cross_attention_kv import CrossAttentionKV
from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.adapters.svdiff import SVDiff
from hwlit.errors import IntegrityError, ResourceError, UsageError
from hwlit.exports.quantized_folder import write_quantized_folder
from hwlit.exports.stock_classifier import encode
from hwlit.inference import load
from hwlit.networks.diffusion import load_diffusion
from hwlit.networks.text import load_classifier, load_tokenizer
from hwlit.records import read_record
from hwlit.tasks.image_export import write_export
from hwlit.uploads import export_for_hub
from tests.conftest import speed_up, tiny_arguments
from tests.drawing import drawn, loaded, moved

SECRET = "zorbax"  # user, host and folders are called so
TEXTS = ["storm near town", "calm picnic today", "fire"]


@pytest.fixture(autouse=True)
def _secret(monkeypatch, tmp_path):
    home = tmp_path / SECRET
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USER", SECRET)
    monkeypatch.chdir(home)


@pytest.fixture(scope="module")
def runs(tiny_models, tiny_csv, tmp_path_factory):
    """Finished runs on a model and data whose paths tell a name: LoRA, plain, a chain."""
    home = tmp_path_factory.mktemp("homes") / SECRET
    base = Path(shutil.copytree(tiny_models["bert"], home / "bert"))
    config = json.loads((base / "tokenizer_config.json").read_text())
    config |= {"name_or_path": str(base), "special_tokens_map_file": str(base / "map.json")}
    (base / "tokenizer_config.json").write_text(json.dumps(config))
    rows = shutil.copy(tiny_csv, home / "rows.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HWLIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("socket.gethostname", lambda: SECRET)
        speed_up(patch)
        for adapter in ("lora", "full", "bitfit_lora"):
            words = tiny_arguments({"bert": str(base)}, str(rows), home / adapter)
            more = ["--model.adapter", adapter, "--trainer.max_epochs", "1"]
            assert main([*words, *more]) == 0
    return home


def everything(folder):
    """Every name and byte of a folder."""
    paths = sorted(folder.rglob("*"))
    names = " ".join(path.relative_to(folder).as_posix() for path in paths).encode()
    return names + b" ".join(path.read_bytes() for path in paths if path.is_file())


def snippets(folder, base):
    """The code of a card, as a stranger pastes it: the paths replaced by their own."""
    codes = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    for name, path in (("this/folder", folder), ("the/base", base), ("org/base", base)):
        codes = [re.sub(f'"(path/to/)?{name}"', json.dumps(str(path)), code) for code in codes]
    return [code.replace('folder = "."', f"folder = {str(folder)!r}") for code in codes]


def logits(model, tokenizer):
    with torch.inference_mode():
        return model(**encode(tokenizer, TEXTS, 32)).logits


@pytest.mark.parametrize("base_id", [None, "org/base"])
@pytest.mark.parametrize("adapter", ["lora", "full", "bitfit_lora"])
def test_a_stranger_loads_it_and_learns_no_path(adapter, base_id, runs, tmp_path):
    folder, run = tmp_path / "up", runs / adapter
    before = everything(run)
    remarks = export_for_hub(run, folder, base_id)
    assert everything(run) == before
    assert SECRET.encode() not in everything(folder)
    assert re.search(rb"/(tmp|home|root)/", everything(folder)) is None
    names = {}
    code, *_ = snippets(folder, runs / "bert")
    exec(code, names)
    expected = logits(*load(run, read_record(run)))
    torch.testing.assert_close(logits(names["model"], names["tokenizer"]), expected)
    front = yaml.safe_load((folder / "README.md").read_text().split("---")[1])
    assert front.get("base_model") == base_id
    assert ["has no public name" in remark for remark in remarks] == [True] * (base_id is None)
    if adapter == "lora":
        config = json.loads((folder / "adapter_config.json").read_text())
        assert (config["base_model_name_or_path"], config["revision"]) == (base_id, None)
    assert folder.stat().st_mode & 0o777 == 0o755


def test_a_quantised_classifier_is_loaded_as_its_card_says(runs, tmp_path, tiny_models):
    run = Path(shutil.copytree(runs / "full", tmp_path / "run"))
    shutil.rmtree(run / "adapter")
    network = load_classifier(tiny_models["bert"], ("no", "yes")).network.eval()
    tokenizer = load_tokenizer(tiny_models["bert"])
    write_quantized_folder(run / "adapter", network, tokenizer, {})
    changed(run, adapter={"name": "QAT of Full", "converts_to": {"format": "int8"}})
    export_for_hub(run, tmp_path / "up", None)
    names = {}
    code, _ = snippets(tmp_path / "up", None)
    exec(code, names)
    found = logits(names["model"], names["tokenizer"])
    torch.testing.assert_close(found, logits(network, tokenizer))


def changed(run, **parts):
    """Change parts of a run's record."""
    record = json.loads((run / "record.json").read_text())
    record |= {name: {**record[name], **part} for name, part in parts.items()}
    (run / "record.json").write_text(json.dumps(record))


@pytest.mark.parametrize("base_id", [None, "some/bert", "org/base"])
def test_what_came_from_the_hub_keeps_its_name_there(base_id, runs, tmp_path):
    run = Path(shutil.copytree(runs / "lora", tmp_path / "run"))
    changed(run, model={"pretrained": "some/bert", "hub_id": "some/bert", "revision": "abc"})
    changed(run, data={"source": ["stanfordnlp/imdb"]})
    assert export_for_hub(run, tmp_path / "up", base_id) == []
    config = json.loads((tmp_path / "up" / "adapter_config.json").read_text())
    named = (config["base_model_name_or_path"], config["revision"])
    assert named == (("org/base", None) if base_id == "org/base" else ("some/bert", "abc"))
    assert "on stanfordnlp/imdb" in (tmp_path / "up" / "README.md").read_text()


def test_a_folder_that_is_called_as_at_the_hub_is_no_public_name(runs, tmp_path):
    """The model was given by a relative path, as in `--model.pretrained models/bert`."""
    run = Path(shutil.copytree(runs / "lora", tmp_path / "run"))
    changed(run, model={"hub_id": "models/bert"})
    (remark,) = export_for_hub(run, tmp_path / "up", None)
    assert "--base-id ORG/NAME" in remark
    assert b"models/bert" not in everything(tmp_path / "up")


PROMPT = "photo of sks dog"
METHODS = {
    "lora": Lora(rank=2, targets=("unet.*.to_q",)),
    "dreambooth": Full(),
    "svdiff": SVDiff(),
    "textual_inversion": ConceptToken(tokens={"<new1>": "dog"}),
    "custom_diffusion": Chain(
        adapters={"kv": CrossAttentionKV(), "token": ConceptToken(tokens={"<new1>": "dog"})}
    ),
}


@pytest.fixture
def picture_run(tiny_pipelines, tmp_path):
    """Return what leaves a run of personalization, as `fit` does, and gives its pipeline."""
    base = Path(shutil.copytree(tiny_pipelines["sd"], tmp_path / SECRET / "sd"))

    def make(adapter):
        run, words = tmp_path / "run", isinstance(adapter, ConceptToken | Chain)
        network = load_diffusion(str(base), torch.float32, train_text_encoder=words)
        adapter.attach(network)
        moved(network.eval(), 0.05)
        learned = adapter.state(network)
        write_export(
            run / "adapter", adapter, network, learned, str(base), torch.float32,
            torch.device("cpu"),
        )  # fmt: skip
        (run / "adapter" / "README.md").write_text(f"on {base}")
        record = {
            "schema": 1, "status": "ok", "absent": {}, "seed": 0, "versions": {"hwlit": "0.1"},
            "model": {
                "pretrained": str(base), "hub_id": str(base), "revision": None, "sha256": "12ab",
                "architecture": "StableDiffusionPipeline",
            },
            "adapter": adapter.describe(),
            "readings": {"test/clip_i": {"value": 0.9, "unit": "1", "method": "measured"}},
            "encoders": {"clip": {"checkpoint": f"/home/{SECRET}/clip"}},
            "data": {
                "source": f"/home/{SECRET}/dog", "instance_prompt": PROMPT, "rows": {"train": 5}
            },
        }  # fmt: skip
        (run / "record.json").write_text(json.dumps(record))
        settings = {"sampling_steps": 2, "guidance": 3.0}
        config = {"model": {"class_path": "Personalization", "init_args": settings}}
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        return run, base

    return make


@pytest.mark.parametrize("base_id", [None, "org/base"])
@pytest.mark.parametrize("method", METHODS)
def test_pictures_are_drawn_as_the_card_says(method, base_id, picture_run, tmp_path):
    run, base = picture_run(METHODS[method])
    folder = tmp_path / "up"
    remarks = export_for_hub(run, folder, base_id)
    assert SECRET.encode() not in everything(folder)
    assert len(remarks) == (base_id is None)
    card = (folder / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1]).get("base_model") == base_id
    assert "CLIP clip" in card
    codes = snippets(folder, base)
    assert len(codes) == 1 + (method in ("textual_inversion", "custom_diffusion"))
    for code in codes:
        names = {}
        exec(code, names)
        names["pipeline"].set_progress_bar_config(disable=True)
        prompt = "photo of <new1> dog" if len(codes) == 2 else PROMPT
        found = drawn(names["pipeline"], prompt)
        assert abs(found - drawn(loaded(base), prompt)).max() > 0.001
    if method == "lora":
        with safe_open(folder / "pytorch_lora_weights.safetensors", "pt") as file:
            header = file.metadata()
        assert header.get("base_model") == base_id
        assert "lora_adapter_metadata" in header


@pytest.mark.parametrize("base_id", [None, "org/base"])
def test_a_pipeline_given_from_the_working_directory_has_no_public_name(
    base_id, picture_run, tmp_path
):
    """As in `--model.pretrained pipes/sdxl`, which is written like ORG/NAME."""
    run, _ = picture_run(METHODS["lora"])
    changed(run, model={"hub_id": "pipes/sdxl"})
    export_for_hub(run, tmp_path / "up", base_id)
    assert b"pipes/sdxl" not in everything(tmp_path / "up")
    card = (tmp_path / "up" / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1]).get("base_model") == base_id


def test_pocket_sd_is_named_in_the_snippet_alone(picture_run, tmp_path):
    run, _ = picture_run(METHODS["lora"])
    changed(run, model={"pretrained": "pocket-sd", "hub_id": "pocket-sd"})
    assert export_for_hub(run, tmp_path / "up", None) == []
    card = (tmp_path / "up" / "README.md").read_text()
    assert "base_model" not in card.split("---")[1]
    assert 'files("hwlit") / "assets" / "pocket-sd"' in card


@pytest.mark.parametrize(
    "base_id", ["", "bert", "/home/me/bert", "a/b/c", "..", "a/../b", "org/na me", "org/", "~/b"]
)
def test_what_is_no_hub_id_is_refused(base_id, runs, tmp_path):
    with pytest.raises(UsageError, match=r"--base-id .* ORG/NAME"):
        export_for_hub(runs / "lora", tmp_path / "up", base_id)
    assert not (tmp_path / "up").exists()


def test_no_folder_is_written_over(runs, tmp_path, capsys):
    (tmp_path / "up").mkdir()
    (tmp_path / "up" / "thesis.tex").write_text("mine")
    assert main(["export", str(runs / "lora"), "--for-hub", str(tmp_path / "up")]) == 2
    assert "holds something already" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "up").iterdir()] == ["thesis.tex"]
    assert main(["export", str(runs / "lora"), "--merged", "x", "--base-id", "a/b"]) == 2
    assert "--base-id goes with --for-hub" in capsys.readouterr().err


def test_the_command_says_what_was_left_out(runs, tmp_path, capsys):
    run = Path(shutil.copytree(runs / "lora", tmp_path / "run"))
    (run / "adapter" / "notes.md").write_text(f"ask {SECRET}")
    (tmp_path / "up").mkdir()  # an empty one is taken
    assert main(["export", str(run), "--for-hub", str(tmp_path / "up")]) == 0
    written, base, left_out = capsys.readouterr().out.splitlines()
    assert written.startswith("written: ")
    assert "README.md and adapter_config.json leave it out" in base
    assert left_out == "no export writes these, so they are left out: 'notes.md'"
    assert not (tmp_path / "up" / "notes.md").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_is_interrupted_leaves_nothing(error, runs, tmp_path, monkeypatch):
    def stop(path, text):
        raise error

    monkeypatch.setattr(uploads, "write_text", stop)
    with pytest.raises((ResourceError, KeyboardInterrupt)):
        export_for_hub(runs / "full", tmp_path / "here" / "up", None)
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("name", ["adapter", "adapter/config.json", "adapter/extra"])
def test_a_link_is_refused_by_name(name, runs, tmp_path):
    run = Path(shutil.copytree(runs / "lora", tmp_path / "run"))
    path = run / name
    target = shutil.move(path, tmp_path / "elsewhere") if path.exists() else tmp_path / "nowhere"
    path.symlink_to(target)
    with pytest.raises(IntegrityError, match=re.escape(f"{path} is a link")):
        export_for_hub(run, tmp_path / "up", None)
    assert not (tmp_path / "up").exists()


def test_a_label_that_tells_of_the_machine_is_refused(runs, tmp_path):
    run = Path(shutil.copytree(runs / "lora", tmp_path / "run"))
    config = json.loads((run / "adapter" / "classifier" / "config.json").read_text())
    config["id2label"] = {"0": f"/home/{SECRET}/spam", "1": "ham"}
    (run / "adapter" / "classifier" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=rf"config\.json would tell strangers of '/home/{SECRET}'"):
        export_for_hub(run, tmp_path / "up", None)
    assert not (tmp_path / "up").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("adapter/classifier/config.json", b"{"),
        ("adapter/classifier/config.json", b"[" * 100_000),
        ("adapter/classifier/config.json", b"\xff"),
        ("adapter/adapter_model.safetensors", b"\0" * 8),
        ("adapter/adapter_config.json", b"[]"), ("record.json", b"{}"),
        ("record.json", b'{"schema": 1, "status": "ok", "readings": {}, "absent": {}}'),
        ("record.json", b'{"schema": 1, "status": "failed", "readings": {}, "absent": {}}'),
        ("record.json", b'{"schema": 1, "status": "ok", "readings": 3, "absent": 3, "model": 3}'),
    ],
)  # fmt: skip
def test_a_damaged_run_is_refused(name, content, runs, tmp_path):
    run = Path(shutil.copytree(runs / "lora", tmp_path / "run"))
    (run / name).write_bytes(content)
    if content == b"[]":  # readable, and nothing in it tells of the machine
        assert export_for_hub(run, tmp_path / "up", None)
        return
    with pytest.raises(IntegrityError):
        export_for_hub(run, tmp_path / "up", None)
    assert not (tmp_path / "up").exists()


def test_a_plain_folder_is_still_one_that_transformers_reads(runs, tmp_path):
    export_for_hub(runs / "full", tmp_path / "up", "org/base")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "up")
    assert model.config.id2label == {0: "not disaster", 1: "disaster"}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("users/ada/t.csv", "t.csv"), ("/home/ada/t.csv", "t.csv"), ("a/b/c", "c"),
        ("stanfordnlp/imdb", "stanfordnlp/imdb"), ("t.csv", "t.csv"), ("/home/ada/dogs", "dogs"),
    ],
)  # fmt: skip
def test_a_source_is_a_hub_id_or_the_last_name(source, told):
    assert uploads._public_source(source) == told
