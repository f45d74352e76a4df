"""A run of SVDiff as a LoRA: what stock diffusers draws from it, and the error that it names."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from hwlit.__main__ import main
from hwlit.adapters.svdiff import SVDiff, as_lora
from hwlit.errors import UsageError
from hwlit.exports.diffusers_lora import WEIGHTS
from hwlit.records import read_record
from hwlit.shifts import shifted
from tests.drawing import drawn, loaded
from tests.test_generation import ADAPTERS, write_run


@pytest.fixture(scope="module")
def run(tiny_pipelines, tmp_path_factory):
    """The directory of a run without norms, and the picture that its folded network draws."""
    run = tmp_path_factory.mktemp("svdiff") / "run"
    run.mkdir()
    return run, drawn(write_run(run, tiny_pipelines["sd"], SVDiff()))


def exported(run, out, rank, capsys):
    """Export; return the relative error that was printed."""
    assert main(["export", str(run), "--lora", str(out), "--rank", str(rank)]) == 0
    printed = capsys.readouterr().out
    return float(re.search(rf"relative error ([0-9.]+) at rank {rank}\n", printed)[1])


def test_at_full_rank_stock_diffusers_draws_what_the_folded_network_draws(
    run, tiny_pipelines, tmp_path, capsys
):
    folder, folded = run
    error = exported(folder, tmp_path / "lora", widest(folder), capsys)
    pipeline = loaded(tiny_pipelines["sd"])
    base = drawn(pipeline)
    pipeline.load_lora_weights(tmp_path / "lora")
    assert error == 0
    assert np.abs(drawn(pipeline) - folded).max() < 1e-3
    assert np.abs(base - folded).max() > 1e-2


def widest(folder):
    _, network = shifted(folder, read_record(folder))
    return max(len(p) for n, p in network.named_parameters() if n.endswith(".delta"))


def test_at_a_low_rank_the_error_is_that_of_the_weights(run, tmp_path, capsys):
    folder, _ = run
    told = exported(folder, tmp_path / "lora", 3, capsys)
    assert 0 < told < 1
    tensors = load_file(tmp_path / "lora" / WEIGHTS)
    _, network = shifted(folder, read_record(folder))
    unet = network.unet
    off = total = 0.0
    for name, layer in unet.named_modules():
        if f"{name}.delta" not in dict(unet.named_parameters()):
            continue
        a, b = (tensors[f"unet.{name}.lora_{x}.weight"].flatten(1) for x in "AB")
        with torch.no_grad():
            change = layer.update.flatten(1)
        off += float((b @ a - change).square().sum())
        total += float(change.square().sum())
    for part in set(network._modules) - {"unet"}:
        del network._modules[part]
    assert as_lora(network, 3).relative_error == pytest.approx((off / total) ** 0.5, rel=1e-4)
    with safe_open(tmp_path / "lora" / WEIGHTS, "pt") as file:
        header = file.metadata()
    assert float(header["relative_error"]) == pytest.approx(told, abs=1e-4)
    assert json.loads(header["lora_adapter_metadata"])["unet.r"] == 3


def test_norms_count_as_left_out():
    network = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.LayerNorm(5))
    SVDiff(norms=True, norm_rate=1.0).attach(network)
    with torch.no_grad():
        network[0].delta.copy_(torch.tensor([0.0, 3, 0, 0, 0]))
        network[1].delta.fill_(4.0)
    assert as_lora(network, 5).relative_error == pytest.approx(4 / 5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--lora", "OUT"], "--lora and --rank go together"),
        (["--merged", "OUT", "--rank", "3"], "--lora and --rank go together"),
        (["--lora", "OUT", "--rank", "0"], "--rank is 0; give 1 to"),
        (["--lora", "OUT", "--rank", "4000"], "--rank is 4000; give 1 to"),
        (["--lora", "RUN", "--rank", "3"], "holds something already"),
    ],
)
def test_what_cannot_be_exported_is_refused(words, told, run, tmp_path, capsys):
    places = {"OUT": str(tmp_path / "out"), "RUN": str(run[0])}
    assert main(["export", str(run[0]), *(places.get(word, word) for word in words)]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_other_methods_are_refused(tiny_pipelines, tmp_path, capsys):
    (run := tmp_path / "run").mkdir()
    write_run(run, tiny_pipelines["sd"], ADAPTERS["lora"])
    assert main(["export", str(run), "--lora", str(tmp_path / "out"), "--rank", "3"]) == 2
    assert "is a run of Lora; --lora writes runs of SVDiff" in capsys.readouterr().err


def test_damaged_shifts_are_told(tiny_pipelines, tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    write_run(run, tiny_pipelines["sd"], SVDiff(targets=("unet.*.to_q",)))
    (run / "adapter" / "spectral_shifts.safetensors").write_bytes(b"x")
    assert main(["export", str(run), "--lora", str(tmp_path / "out"), "--rank", "3"]) == 5
    assert "are damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["export", "--lora", "OUT", "--rank", "3"],
        ["generate", "--prompt", "dog", "--out", "OUT", "--strength", "0.5"],
    ],
    ids=lambda words: words[0],
)
def test_shifts_that_are_no_numbers_are_damage(command, tiny_pipelines, tmp_path, capsys):
    (run := tmp_path / "run").mkdir()
    write_run(run, tiny_pipelines["sd"], SVDiff(targets=("unet.*.to_q",)))
    path, out = run / "adapter" / "spectral_shifts.safetensors", tmp_path / "out"
    shifts = load_file(path)
    next(iter(shifts.values()))[0] = float("nan")
    save_file(shifts, path)
    words = [str(out) if word == "OUT" else word for word in command[1:]]
    assert main([command[0], str(run), *words]) == 5
    assert "holds numbers that are not finite, such as" in capsys.readouterr().err
    assert not list(out.glob("*"))


def test_norms_alone_are_no_lora():
    network = torch.nn.Sequential(torch.nn.LayerNorm(5))
    SVDiff(norms=True).attach(network)
    with pytest.raises(UsageError, match="only norms, which LoRA has no place for"):
        as_lora(network, 1)
