"""The same prompt and seed in a process without hwlit: the same picture, and not the base's."""

from dataclasses import replace

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from hwlit.adapters.bitsandbytes_linear import NF4, Int8
from hwlit.adapters.chain import Chain
from hwlit.adapters.concept_token import LEARNED_EMBEDS as EMBEDS
from hwlit.adapters.concept_token import ConceptToken
from hwlit.adapters.cross_attention_kv import WEIGHTS as ATTENTION
from hwlit.adapters.cross_attention_kv import CrossAttentionKV
from hwlit.adapters.formats import Bf16
from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.adapters.quantized import Quantized
from hwlit.adapters.torchao_linear import Int8WeightOnly
from hwlit.errors import IntegrityError
from hwlit.exports import redraw, stock_pipeline
from hwlit.exports.diffusers_lora import WEIGHTS, write_diffusers_lora
from hwlit.exports.pipeline_folder import write_pipeline_folder
from hwlit.exports.redraw import Drawing, check_redraw
from hwlit.networks.diffusion import load_diffusion, load_pipeline
from hwlit.storage import portable_name
from hwlit.tasks.image_export import write_export
from tests.drawing import learnable, loaded, moved

DRAWING = Drawing(["photo of sks dog", "red circle on the beach"], [3, 5], steps=2, guidance=3.0)
LORA = Lora(rank=4, alpha=6, targets=("unet.*.to_[qkv]",))


WORDS = {"sd": {"<new1>": "mug", "<new2>": "dog"}, "sdxl": {"<new1>": "mug"}}


def pictures(pipeline, drawing=DRAWING):
    pipeline.set_progress_bar_config(disable=True)
    return [
        pipeline(p, generator=torch.Generator().manual_seed(s), **drawing.settings()).images[0]
        for p, s in zip(drawing.prompts, drawing.seeds, strict=True)
    ]


def exported(adapter, pretrained, own, by=0.2):
    """Write a tuned pipeline; return what the check needs."""
    pipeline = loaded(pretrained)
    untuned = pictures(pipeline)
    network = learnable(pipeline, "unet")
    adapter.attach(network)
    moved(network, by)
    if adapter is LORA:
        write_diffusers_lora(own, adapter.peft_config(network), adapter.peft_state(network))
    else:
        write_pipeline_folder(own, pipeline, adapter.state(network), "some/base")
    return own, pretrained, DRAWING, pictures(pipeline), untuned


@pytest.fixture
def here(monkeypatch):
    """Draw in this process, which takes less time than a fresh one."""
    monkeypatch.setattr(redraw, "_run", lambda job, *others: stock_pipeline.draw(**job))


@pytest.mark.parametrize(
    ("adapter", "by"),
    [pytest.param(LORA, 0.2, marks=pytest.mark.slow), (Full(), 0.02)],
    ids=["lora", "full"],
)
def test_an_export_draws_the_same_elsewhere(adapter, by, tiny_pipelines, tmp_path, monkeypatch):
    if adapter is not LORA:  # one fresh process shows that a stranger's can
        monkeypatch.setattr(redraw, "_run", lambda job, *others: stock_pipeline.draw(**job))
    report = check_redraw(
        *exported(adapter, tiny_pipelines["sd"], tmp_path / "own", by), torch.float32
    )
    assert report["pictures"] == 2
    assert report["max_pixel_difference"] <= 1
    assert report["mean_difference_from_base"] > 1
    assert list(report["ways"]) == [WEIGHTS if adapter is LORA else "model_index.json"]
    assert set(report["versions"]) == {"diffusers", "transformers", "peft", "torch"}


def taught(kind, tiny_pipelines, own):
    """Write a tuned pipeline with the words that it learned; return what the check needs."""
    pretrained, device = tiny_pipelines[kind], torch.device("cpu")
    adapter = Chain(
        adapters={"kv": CrossAttentionKV(), "token": ConceptToken(tokens=WORDS[kind], vectors=2)}
    )
    network = load_diffusion(pretrained, torch.float32, train_text_encoder=True)
    adapter.attach(network)
    moved(network.eval(), 0.3)
    state = adapter.state(network)
    write_export(own, adapter, network, state, pretrained, torch.float32, device)
    drawing = replace(DRAWING, prompts=["photo of <new1> dog", " ".join(WORDS[kind])])
    live = pictures(load_pipeline(pretrained, torch.float32, "cpu", network), drawing)
    return own, pretrained, drawing, live, pictures(loaded(pretrained), drawing)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("kind", ["sd", "sdxl"])
def test_each_file_that_stock_diffusers_reads_is_drawn_from(kind, tiny_pipelines, tmp_path):
    own, *others = taught(kind, tiny_pipelines, tmp_path / "own")
    report = check_redraw(own, *others, torch.float32)
    words = " + ".join(f"{portable_name(word)}.safetensors" for word in WORDS[kind])
    ways = ["model_index.json", f"{words} + {ATTENTION}"]
    if len(WORDS[kind]) == 1:
        ways.append(f"{EMBEDS} + {ATTENTION}")
    assert list(report["ways"]) == ways
    for way in (report, *report["ways"].values()):
        assert way["max_pixel_difference"] <= 1
        assert way["mean_difference_from_base"] > 1
    assert list(report["unread"]) == ["learned.safetensors"]


@pytest.mark.usefixtures("here")
def test_words_by_the_names_of_earlier_versions_are_read(tiny_pipelines, tmp_path):
    own, *others = taught("sdxl", tiny_pipelines, tmp_path / "own")
    (own / "%3Cnew1%3E.safetensors").rename(own / "<new1>.safetensors")
    report = check_redraw(own, *others, torch.float32)
    assert f"<new1>.safetensors + {ATTENTION}" in report["ways"]


@pytest.mark.usefixtures("here")
def test_a_file_that_is_spoiled_is_named(tiny_pipelines, tmp_path):
    own, base, drawing, live, untuned = taught("sdxl", tiny_pipelines, tmp_path / "own")
    one = replace(drawing, prompts=drawing.prompts[:1], seeds=drawing.seeds[:1])
    given = base, one, live[:1], untuned[:1]
    for name in ("%3Cnew1%3E.safetensors", EMBEDS, ATTENTION):
        path = own / name
        whole = path.read_bytes()
        if name == ATTENTION:
            torch.save({n: 0.9 * t for n, t in torch.load(path).items()}, path)
        else:
            save_file({n: t.flip(0) for n, t in load_file(path).items()}, path)
        with pytest.raises(IntegrityError, match=rf"^[^/]*{name}.* draws other pictures"):
            check_redraw(own, *given, torch.float32)
        path.write_bytes(whole[:-200])
        with pytest.raises(RuntimeError, match=f"^[^/]*{name}"):
            check_redraw(own, *given, torch.float32)
        path.write_bytes(whole)


def test_shifts_of_singular_values_are_in_the_folder_alone(tmp_path):
    for name in ("model_index.json", "spectral_shifts.safetensors", ATTENTION):
        (tmp_path / name).touch()
    assert stock_pipeline.ways(tmp_path) == [["model_index.json"]]
    told = redraw._unread(tmp_path, {"model_index.json"})
    assert "hwlit export RUN --lora" in told["spectral_shifts.safetensors"]
    assert "only a part" in told[ATTENTION]


@pytest.mark.usefixtures("here")
def test_half_of_what_was_learned_is_found(tiny_pipelines, tmp_path):
    own, *others = exported(LORA, tiny_pipelines["sd"], tmp_path / "own")
    tensors = load_file(own / WEIGHTS)
    lost = {name: t * (".up_blocks." not in name) for name, t in tensors.items()}
    save_file(lost, own / WEIGHTS)
    with pytest.raises(IntegrityError, match="draws other pictures than the run: a pixel differs"):
        check_redraw(own, *others, torch.float32)


@pytest.mark.usefixtures("here")
def test_what_is_not_in_the_export_is_found_where_it_hardly_shows(tiny_pipelines, tmp_path):
    own, base, drawing, _, untuned = exported(LORA, tiny_pipelines["sd"], tmp_path / "own")
    save_file({name: 0 * t for name, t in load_file(own / WEIGHTS).items()}, own / WEIGHTS)
    hardly = untuned[0].copy()
    hardly.putpixel((0, 0), tuple(min(255, level + 1) for level in hardly.getpixel((0, 0))))
    with pytest.raises(IntegrityError, match="draws what the untuned model draws"):
        check_redraw(own, base, drawing, [hardly, untuned[1]], untuned, torch.float32)
    report = check_redraw(own, base, drawing, untuned, untuned, torch.float32)
    assert report["mean_difference_from_base"] == 0  # nothing was learned, and nothing is missing


@pytest.mark.parametrize(
    ("dtype", "off", "passes"),
    [(torch.float32, 3, False), (torch.bfloat16, 3, True), (torch.float16, 3, False)],
)
def test_half_precision_allows_more(dtype, off, passes, tmp_path, monkeypatch):
    def run(job, *others):
        Image.new("RGB", (4, 4), (off, off, off)).save(f"{job['out']}/0-0.png")
        return {"ways": [["file"]], "versions": {}}

    monkeypatch.setattr(redraw, "_run", run)
    live, base = Image.new("RGB", (4, 4)), Image.new("RGB", (4, 4), (90, 90, 90))
    drawing = Drawing([""], [0], 1, 1.0)
    if passes:
        report = check_redraw(tmp_path, "", drawing, [live], [base], dtype)
        assert report["mean_pixel_difference"] == off
        assert report["mean_difference_from_base"] == 90 - off
    else:
        with pytest.raises(IntegrityError, match=f"up to {off} of 255"):
            check_redraw(tmp_path, "", drawing, [live], [base], dtype)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "form", [NF4(), Int8(), Int8WeightOnly(), Bf16()], ids=lambda form: form.name
)
def test_lora_on_a_quantised_base_draws_the_same_in_stock_diffusers(form, tiny_pipelines, tmp_path):
    pytest.importorskip("bitsandbytes", reason='pip install "hwlit[qlora]"')
    pytest.importorskip("torchao", reason='pip install "hwlit[qlora]"')
    pretrained, own = tiny_pipelines["sd"], tmp_path / "own"
    base = Quantized(format=form, targets=("unet.*attentions.*",))
    adapter = Chain(adapters={"base": base, "lora": LORA}).settle((), torch.device("cpu"))
    network = load_diffusion(pretrained, torch.float32, train_text_encoder=False)
    adapter.attach(network)
    moved(network.eval(), 0.2)
    write_export(own, adapter, network, {}, pretrained, torch.float32, torch.device("cpu"))
    live = pictures(load_pipeline(pretrained, torch.float32, "cpu", network))
    report = check_redraw(
        own, pretrained, DRAWING, live, pictures(loaded(pretrained)), torch.float32
    )
    assert report["max_pixel_difference"] <= 1
    (own / stock_pipeline.QUANTIZED).unlink()
    full = stock_pipeline.load(own, [WEIGHTS], pretrained, "float32", "cpu")
    assert pictures(full) != live  # it does say something
