"""The benchmark against diffusers' scripts: what it holds equal, never how fast it is."""

import random

import numpy as np
import pytest
import torch
from PIL import Image

from hwlit.data.framing import framed
from hwlit.errors import UsageError
from tests.pipelines import SIDE
from tools import bench_diffusion
from tools.diffusers_script import Draw, Seen, find_script, flags, run_script, script_version
from tools.stand_in.torchvision import transforms

# What a script does, as far as it is watched.
SCRIPT = """
import sys, accelerate, diffusers, torch
from torchvision import transforms
check_min_version = print
check_min_version("0.12.3")
folder, steps = sys.argv[sys.argv.index("--folder") + 1], int(sys.argv[-1])
accelerator = accelerate.Accelerator()
network = accelerator.prepare(torch.nn.Linear(3, 2))
vae = diffusers.AutoencoderKL.from_pretrained(folder, subfolder="vae")
for step in range(steps):
    pixels = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(step))
    vae.encode(pixels).latent_dist.sample()
    accelerator.log({"loss": float(step)}, step=step)
assert transforms.InterpolationMode.LANCZOS
"""


def test_a_script_is_watched_and_leaves_nothing_behind(tiny_pipelines, tmp_path, capfd):
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    assert script_version(script) == "0.12.3"
    settings = {"folder": tiny_pipelines["sd"], "steps": 3}
    seen = run_script(script, settings, keep_draws=True)
    assert seen.losses == [0.0, 1.0, 2.0]
    assert seen.ends == sorted(seen.ends)
    assert len(seen.processor) == 3
    assert seen.trainable_parameters == 8
    pixels = [draw.pixels for draw in seen.draws]
    assert torch.equal(pixels[1], torch.rand(2, 3, SIDE, SIDE, generator=generator(1)))
    assert not torch.equal(seen.draws[0].random_state, seen.draws[1].random_state)
    assert run_script(script, settings).draws == []
    assert capfd.readouterr().out == ""


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_a_script_that_fails_says_what_it_printed(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("print('no room')\nraise ValueError('odd')")
    with pytest.raises(RuntimeError, match=r"train\.py failed: ValueError\('odd'\)\s+no room"):
        run_script(script, {})


def test_flags_are_a_command_line():
    told = {"steps": 3, "prior": True, "embeds": False, "prompt": "a mug"}
    assert flags(told) == ["--steps", "3", "--prior", "--prompt", "a mug"]


def test_scripts_are_found_in_a_checkout_or_beside_one_another(tmp_path):
    with pytest.raises(UsageError, match=r"has neither train\.py nor"):
        find_script(str(tmp_path), "train.py")
    inside = tmp_path / "examples" / "dreambooth" / "train.py"
    inside.parent.mkdir(parents=True)
    inside.touch()
    assert find_script(str(tmp_path), "train.py") == inside
    assert find_script(str(inside.parent), "train.py") == inside
    assert script_version(inside) == "unknown"


@pytest.mark.parametrize("side", [48, 64, 90])
def test_the_stand_in_cuts_pictures_as_we_do(side):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 4, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).resize((64, 96), Image.Resampling.BILINEAR)
    steps = [
        transforms.Resize(side, interpolation=transforms.InterpolationMode.LANCZOS),
        transforms.CenterCrop(side),
        transforms.ToTensor(),
        transforms.Normalize([0.5], [0.5]),
    ]
    level = 2 / 255  # Pillow rounds between its two passes, whose order follows the shape
    theirs, ours = transforms.Compose(steps)(image), framed(image, side).pixels
    torch.testing.assert_close(theirs, ours, rtol=0, atol=2.01 * level)


def test_the_stand_in_crops_and_flips_at_random():
    random.seed(0)
    image = Image.fromarray(np.arange(15, dtype=np.uint8).reshape(3, 5))
    crops = {tuple(np.asarray(transforms.RandomCrop(2)(image)).ravel()) for _ in range(99)}
    assert len(crops) == 2 * 4
    flips = {np.asarray(transforms.RandomHorizontalFlip()(image))[0, 0] for _ in range(20)}
    assert flips == {0, 4}


def test_figures_leave_the_warm_up_out():
    n = bench_diffusion.WARMUP_STEPS
    ends = [10.0 * k for k in range(n)] + [10 * (n - 1) + 0.5, 10 * (n - 1) + 2.0]
    seen = Seen(ends, [2 * end for end in ends], [9.0] * n + [1.0, 3.0])
    found = bench_diffusion.figures(seen)
    assert found["steps_per_second"] == pytest.approx(2 / 2.0)
    assert found["step_s_median"] == pytest.approx(1.0)
    assert found["processor_s_per_step"] == pytest.approx(2.0)
    assert (found["loss"], found["loss_standard_error"]) == pytest.approx((2.0, 1.0))


def test_ratios_are_of_pairs(capsys):
    def one(*speeds):
        names = zip(bench_diffusion.CONTENDERS, speeds, strict=True)
        return {
            name: {"steps_per_second": speed, "processor_s_per_step": 1 / speed}
            for name, speed in names
        }

    found = bench_diffusion.ratios([one(4.0, 2.0, 4.0), one(9.0, 3.0, 3.0), one(8.0, 2.0, 4.0)])
    assert found["hwlit / script"]["rounds"] == [2.0, 3.0, 4.0]
    assert found["hwlit / script"]["median"] == 3.0
    assert found["hwlit / script"]["coverage"] == 0.75  # else all three are on one side
    assert found["hwlit / script_embeds"]["rounds"] == [1.0, 3.0, 2.0]
    assert found["hwlit / script"]["processor"] == pytest.approx([2.0, 3.0, 4.0])
    assert "hwlit / script: min 2.00 median 3.00 max 4.00" in capsys.readouterr().out


def test_cached_or_not_a_step_is_computed_anew_from_what_it_drew(tiny_pipelines):
    task = bench_diffusion.Observed(bench_diffusion.ADAPTERS["full"], tiny_pipelines["sd"])
    task.configure_model()
    pixels = torch.rand(4, 3, SIDE, SIDE, generator=generator(0)) * 2 - 1
    first, second = (Draw(pixels, generator(seed).get_state()) for seed in (1, 2))
    cached, uncached = (bench_diffusion.replayed(task, first, how) for how in (True, False))
    assert cached == pytest.approx(uncached, rel=1e-6)
    assert bench_diffusion.replayed(task, second, True) != pytest.approx(cached, rel=1e-3)


def test_too_few_steps_are_refused(capsys):
    with pytest.raises(SystemExit):
        bench_diffusion.main(["--diffusers", "x", "--steps", "6"])
    assert "give --steps from 7" in capsys.readouterr().err
