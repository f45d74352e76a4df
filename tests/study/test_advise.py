"""What fits, the best of it, and what each limit costs."""

import pytest

from hwlit.__main__ import main
from hwlit.errors import UsageError
from hwlit.study.limits import limit
from tests.study.records import pattern, write_run


@pytest.mark.parametrize(
    ("option", "text", "most"),
    [
        ("--max-memory", "8GiB", 8 * 2**30),
        ("--max-memory", "1.5 gb", 1.5e9),
        ("--max-time", "30min", 1800),
        ("--max-time", "2h", 7200),
        ("--max-energy", "50Wh", 180_000),
        ("--max-energy", "1kWh", 3.6e6),
    ],
)
def test_limits(option, text, most):
    assert limit(option, text).most == most


def test_a_thousandth_is_not_a_million():
    with pytest.raises(UsageError, match="give a number and J or kJ"):
        limit("--max-energy", "1mJ")


@pytest.mark.parametrize("text", ["8", "GiB", "-1GiB", "0GiB", "8min", "nanGiB", "1e999GiB", ""])
def test_no_limits(text):
    with pytest.raises(UsageError, match="give a number and B or KiB"):
        limit("--max-memory", text)


@pytest.fixture
def runs(tmp_path):
    """Full is best and costliest; Lora is nearly as good, HeadOnly cheap and worse."""
    made = {"Full": (92, 4000, 100.0, "measured: NVML"), "Lora": (90, 1000, 50.0, "measured: NVML"),
            "HeadOnly": (60, 500, 10.0, "estimated: TDP")}  # fmt: skip
    for name, (right, memory, energy, how) in made.items():
        readings = {"fit/peak_memory": (memory, "B"), "fit/energy": (energy, "J", how)}
        row = pattern((right, True), (100 - right, False))
        write_run(tmp_path / name, name, config=name, right=row, readings=readings)
    return tmp_path


def told(capsys, runs, *limits):
    assert main(["advise", str(runs), *limits]) == 0
    return capsys.readouterr().out


def test_the_best_that_fits_and_what_the_limit_costs(runs, capsys):
    out = told(capsys, runs, "--max-memory", "2kB", "--max-time", "1h")
    assert "2 of 3 methods fit" in out
    assert "take: Lora, the best accuracy of those that fit\n" in out
    assert "it is better than HeadOnly on these runs" in out
    price = "--max-memory 2kB: without it Full at 3.9 KiB (measured), accuracy +0.0200"
    assert f"{price}: not told apart" in out
    assert "--max-time 1h costs nothing" in out


def test_what_is_not_told_apart_is_named(runs, capsys):
    out = told(capsys, runs, "--max-memory", "9kB")
    assert "take: Full, the best accuracy of those that fit" in out
    assert "not told apart from Lora: these test rows would show a difference of " in out


def test_the_cheapest_near_the_best_is_taken(runs, capsys):
    out = told(capsys, runs, "--max-memory", "9kB", "--margin", "0.03")
    assert "take: Lora, the cheapest of those that may have the best accuracy; Full has " in out
    assert "0.9200, and Lora may be up to 0.0" in out


def test_an_estimate_does_not_count(runs, capsys):
    out = told(capsys, runs, "--max-energy", "20J")
    assert "0 of 3 methods fit" in out
    assert (
        "not counted: HeadOnly: its energy of the train loop would fit, 10.0 J, but is only " in out
    )


def test_the_nearest_miss(runs, capsys):
    out = told(capsys, runs, "--max-memory", "400B")
    assert "nothing fits; nearest: HeadOnly: peak memory 500 B, 1.25 times the limit" in out
    assert "--max-memory 400B: without it Full would fit" in out


def test_every_run_has_to_fit(runs, capsys):
    readings = {"fit/peak_memory": (3000, "B")}
    row = pattern((90, True), (10, False))
    write_run(runs / "Lora-1", "Lora", 1, config="Lora", right=row, readings=readings)
    assert "take: HeadOnly" in told(capsys, runs, "--max-memory", "2kB")


def test_without_a_limit(runs, capsys):
    assert main(["advise", str(runs)]) == 2
    assert "give at least one of --max-memory" in capsys.readouterr().err


def test_what_one_run_does_not_tell_is_not_known(runs, capsys):
    write_run(runs / "Lora-1", "Lora", 1, config="Lora", right=pattern((90, True), (10, False)))
    write_run(runs / "Lora-2", "Lora", 2, config="Lora", status="failed")
    assert main(["advise", str(runs), "--max-memory", "2000B"]) == 0
    told = capsys.readouterr().out
    assert "take: HeadOnly" in told
    assert "not counted: Lora: its peak memory is not known of every run" in told
    assert "No row from Lora-2 (failed)." in told


def test_times_that_were_disturbed_are_not_weighed_in_silence(tmp_path, capsys):
    """Lora is the quicker one by its clock, but something else ran meanwhile."""
    mark = {"phase": "train", "cause": "run-queue wait", "value": 0.6, "limit": 0.05}
    for name, time, marks in (("Full", 50.0, []), ("Lora", 40.0, [mark])):
        write_run(tmp_path / name, name, config=name, right=pattern((90, True), (10, False)),
                  readings={"fit/wall_time": (time, "s")}, disturbed=marks)  # fmt: skip
    out = told(capsys, tmp_path, "--max-time", "60s")
    assert "train loop 40.0 s (measured, the machine was not its own)" in out
    assert "not weighed by cost: Lora" in out
    assert "Something else used the machine while this run went on: Lora, seed 0 (run-queue" in out


def test_other_data_and_what_fell_back_are_named(tmp_path, capsys):
    held = {"quantisation": {"asked": "auto", "got": "bf16", "why": "passed over: nf4"}}
    write_run(tmp_path / "a", "Full", config="f", right=[True])
    slow = {"fit/wall_time": (500.0, "s")}
    write_run(tmp_path / "b", right=[True], config="b", readings=slow, settings=held)
    write_run(tmp_path / "c", "Bias", right=[True], config="c", data={"source": ["elsewhere"]})
    out = told(capsys, tmp_path, "--max-time", "60s")
    assert "Not ranked with the others, for their data differ: Bias (source elsewhere)." in out
    assert "keep in mind of Lora (source bundled): its base is in bf16" in out
