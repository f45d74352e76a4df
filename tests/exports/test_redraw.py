"""The same prompt and seed in a process without hwlit: the same picture, and not the base's."""

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from hwlit.adapters.full import Full
from hwlit.adapters.lora import Lora
from hwlit.errors import IntegrityError
from hwlit.exports import redraw, stock_pipeline
from hwlit.exports.diffusers_lora import WEIGHTS, write_diffusers_lora
from hwlit.exports.pipeline_folder import write_pipeline_folder
from hwlit.exports.redraw import Drawing, check_redraw
from tests.drawing import learnable, loaded, moved

DRAWING = Drawing(["photo of sks dog", "red circle on the beach"], [3, 5], steps=2, guidance=3.0)
LORA = Lora(rank=4, alpha=6, targets=("unet.*.to_[qkv]",))


def pictures(pipeline):
    return [
        pipeline(p, generator=torch.Generator().manual_seed(s), **DRAWING.settings()).images[0]
        for p, s in zip(DRAWING.prompts, DRAWING.seeds, strict=True)
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


@pytest.mark.slow
@pytest.mark.parametrize(("adapter", "by"), [(LORA, 0.2), (Full(), 0.02)], ids=["lora", "full"])
def test_an_export_draws_the_same_in_a_fresh_process(adapter, by, tiny_pipelines, tmp_path):
    report = check_redraw(
        *exported(adapter, tiny_pipelines["sd"], tmp_path / "own", by), torch.float32
    )
    assert report["pictures"] == 2
    assert report["max_pixel_difference"] <= 1
    assert report["mean_difference_from_base"] > 1
    assert set(report["versions"]) == {"diffusers", "transformers", "peft", "torch"}


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
        Image.new("RGB", (4, 4), (off, off, off)).save(f"{job['out']}/0.png")

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
