"""Figures of hand-made records, whose answers are known."""

import json
import shutil

import pytest

from hwlit.errors import UsageError
from hwlit.study.classes import confusion
from hwlit.study.collect import collect
from hwlit.study.comparing import compared
from hwlit.study.formats import as_json
from hwlit.study.latency import OVER_BASE
from hwlit.study.plain_words import sentences
from hwlit.study.pooling import pooled
from tests.study.records import matrix, pattern, write_run, write_study


def table(tmp_path, metric=None, baseline=None):
    found = compared(collect([tmp_path]), metric, baseline)
    return found, {row.label: row for row in found.rows}


def costs(time, memory, energy, how="measured: counter"):
    return {"fit/wall_time": (time, "s"), "fit/peak_memory": (memory, "B"),
            "fit/energy": (energy, "J", how)}  # fmt: skip


def test_ratios(tmp_path):
    write_run(tmp_path / "full", "Full", config="f\n", readings=costs(100.0, 4000, 500.0))
    for seed, time in enumerate((40.0, 50.0, 60.0)):
        write_run(tmp_path / f"lora-{seed}", seed=seed, readings=costs(time, 1000, 250.0))
    found, rows = table(tmp_path)
    time = rows["Lora"].readings["fit/wall_time"]
    assert (time.value, time.least, time.most, time.seeds) == (50, 40, 60, 3)
    names = ("fit/wall_time", "fit/peak_memory", "fit/energy")
    # Against the cheapest that trains, over the seeds in common.
    ratios = [found.ratio(rows["Full"], name).value for name in names]
    assert ratios == pytest.approx([2.5, 4, 2])
    assert [found.ratio(rows["Lora"], name).value for name in names] == [1, 1, 1]
    assert [found.ratio(rows["Lora"], name) for name in ("params/total", "none")] == [None, None]


def latencies(base, merged, **more):
    timed = {"base": base, "merged": merged, **more}
    return {f"latency/{network}/batch_1/p50": (time, "s") for network, time in timed.items()}


def test_latencies_are_ranked_by_what_each_run_timed_in_turns(tmp_path):
    for seed in (0, 1):  # the machine was twice as busy while Lora was timed
        write_run(
            tmp_path / f"full{seed}", "Full", seed, config="full", readings=latencies(0.1, 0.1)
        )
        write_run(
            tmp_path / f"lora{seed}", "Lora", seed, config="lora", readings=latencies(0.2, 0.2)
        )
        more = {"reference": 0.2}
        write_run(
            tmp_path / f"int8-{seed}",
            "Ptq",
            seed,
            config="int8",
            readings=latencies(0.3, 0.1, **more),
        )
    found, rows = table(tmp_path)
    assert {label: row.value(OVER_BASE) for label, row in rows.items()} == {
        "Full": 1.0, "Lora": 1.0, "Ptq": 0.5,
    }  # fmt: skip
    (told,) = [text for text in sentences(found) if "latency" in text]
    assert "Ptq, 0.50x; next Full, 2 times that" in told


def test_a_hundredth_is_no_win_and_what_is_slower_is_named(tmp_path):
    for name, merged in (("Full", 0.1), ("Lora", 0.098), ("Qat", 0.2)):
        write_run(tmp_path / name, name, config=name, readings=latencies(0.1, merged))
    least, slower = [text for text in sentences(table(tmp_path)[0]) if "base" in text][1:]
    assert "Lora, 0.98x; not told apart from Full; next Qat, 2.04 times that (one run" in least
    slow = "Slower than the unquantised base (batch_1): merged Qat"
    assert slower == f"{slow} 2.00x (one run: its spread is not known)."
    write_run(tmp_path / "Qat 1", "Qat", 1, config="Qat", readings=latencies(0.1, 0.201))
    assert f"{slow} 2.00x." in sentences(table(tmp_path)[0])
    write_run(tmp_path / "Qat 2", "Qat", 2, config="Qat", readings=latencies(0.1, 0.09))
    assert slow not in str(sentences(table(tmp_path)[0]))  # by chance, as far as three runs tell


def test_less_than_one_percent_is_no_multiple(tmp_path):
    for name, memory in (("Full", 1000), ("Lora", 1003), ("Qat", 1500)):
        write_run(tmp_path / name, name, config=name, readings={"fit/peak_memory": (memory, "B")})
    (told,) = [text for text in sentences(table(tmp_path)[0]) if "memory" in text]
    assert "Full, 1000 B; Lora is less than one percent above" in told


def test_latencies_with_another_base_are_not_ranked_with_the_others(tmp_path):
    half = {"precision": "bf16-true"}
    write_run(tmp_path / "full", "Full", config="f", readings=latencies(0.1, 0.1))
    write_run(tmp_path / "lora", "Lora", config="l", readings=latencies(0.1, 0.1))
    write_run(tmp_path / "half", "Lora", config="h", readings=latencies(0.05, 0.05), key=half)
    found, _ = table(tmp_path)
    assert [OVER_BASE in row.readings for row in found.rows].count(False) == 1
    (told,) = [text for text in sentences(found) if "lowest latency" in text]
    assert "the same: Lora" in told
    assert "not ranked: Lora (precision bf16-true), timed with another base, or none" in told


def test_without_a_merged_network_there_is_no_ratio(tmp_path):
    timed = latencies(0.1, 0.1, reference=0.3)
    del timed["latency/merged/batch_1/p50"]
    write_run(tmp_path / "qlora", "QLora", readings=timed)
    assert OVER_BASE not in table(tmp_path)[0].rows[0].readings


def rounded(folder, source, name, **more):
    """Write a run that rounds another."""
    made = json.loads((source / "record.json").read_text())
    facts = {"run": str(source), "adapter": "Full", "config_sha256": made["config_sha256"]}
    readings = {"params/trainable": 0, **more.pop("readings", {})}
    write_run(folder, name, source=facts, readings=readings, **more)
    record = json.loads((folder / "record.json").read_text())
    for cost in [cost for cost in record["readings"] if cost.startswith("fit/")]:
        del record["readings"][cost]
    (folder / "record.json").write_text(json.dumps(record))


def test_what_is_rounded_costs_the_training_of_what_it_rounds(tmp_path):
    full = write_run(tmp_path / "full", "Full", config="f", config_sha256="a1",
                     readings=costs(100.0, 4000, 500.0))  # fmt: skip
    for name in ("PTQ int8", "PTQ int4"):
        rounded(tmp_path / name[4:], full, name, config="f")
    _, rows = table(tmp_path)
    assert list(rows) == ["Full", "Full -> PTQ int4", "Full -> PTQ int8"]
    assert rows["Full -> PTQ int8"].value("fit/wall_time") == 100
    assert rows["Full -> PTQ int8"].value("fit/peak_memory") == 4000
    shutil.rmtree(full)
    (alone, _) = table(tmp_path)[0].rows
    assert (alone.quantised, alone.value("fit/wall_time")) == (True, None)


def test_what_is_rounded_costs_the_training_of_its_own_source(tmp_path):
    for study, slower in (("one", 1), ("two", 10)):
        cells = [f"{name}-{seed}" for name in ("full", "int8") for seed in (0, 1)]
        write_study(tmp_path / study, {c: ({"m": c[:4], "seed": c[-1:]}, "ok") for c in cells})
        for seed in (0, 1):
            runs = tmp_path / study / "runs"
            full = write_run(runs / f"full-{seed}", "Full", seed, config_sha256=f"a{seed}",
                             readings=costs(100.0 * slower + 20 * seed, 4000, 500.0))  # fmt: skip
            rounded(runs / f"int8-{seed}", full, "PTQ int8", seed=seed)
    (tmp_path / "one" / "rows" / "int8-1.json").unlink()
    first, second = (row for row in table(tmp_path)[0].rows if row.quantised)
    assert first.value("fit/wall_time") == 100  # seed 0 of study one, and nothing else
    assert second.value("fit/wall_time") == 1010


def test_what_is_rounded_elsewhere_is_found_by_its_path(tmp_path):
    for name, time in (("one", 100.0), ("two", 1000.0)):
        full = write_run(tmp_path / name / "full", "Full", config=name, config_sha256="a",
                         readings=costs(time, 1, 1.0))  # fmt: skip
        rounded(tmp_path / name / "int8", full, "PTQ int8", config=f"int8 {name}")
    write_study(tmp_path / "study", {"full": ({"m": "full"}, "ok")})
    full = write_run(tmp_path / "study/runs/full", "Full", config_sha256="b",
                     readings=costs(10.0, 1, 1.0))  # fmt: skip
    rounded(tmp_path / "three", full, "PTQ int8", config="int8 three")
    found = [row for row in table(tmp_path)[0].rows if row.quantised]
    assert sorted(row.value("fit/wall_time") for row in found) == [10, 100, 1000]


def test_less_of_a_cost_is_better(tmp_path):
    write_run(tmp_path / "full", "Full", config="f", readings=costs(100.0, 1, 1.0))
    write_run(tmp_path / "lora", readings=costs(50.0, 1, 1.0))
    found, _ = table(tmp_path, metric="fit/wall_time")
    assert (found.mode, found.best().label) == ("min", "Lora")


def test_costs_on_other_data_are_not_ranked(tmp_path):
    elsewhere = {"source": ["elsewhere"]}
    for name, time, data in (("Full", 90.0, None), ("Bias", 80.0, None), ("Lora", 1.0, elsewhere)):
        more = {} if data is None else {"data": data}
        write_run(tmp_path / name, name, config=name, right=[True], readings=costs(time, 1, 1.0),
                  **more)  # fmt: skip
    found, rows = table(tmp_path)
    told = sentences(found)
    assert [text for text in told if "Lora" in text] == [
        "Not ranked with the others, for their data differ: Lora (source elsewhere)."
    ]
    lora = rows["Lora (source elsewhere)"]
    assert found.ratio(lora, "fit/wall_time") is None
    assert lora.value("time_to_baseline") is None


def test_who_got_there_in_some_seeds_is_not_ranked_by_these(tmp_path):
    for seed, last in ((0, 0.9), (1, 0.6)):
        for name, time in (("Full", 1.0), ("Bias", 0.8), ("Lora", 0.1)):
            reached = last if name == "Lora" else 0.9
            write_run(tmp_path / f"{name}{seed}", name, seed, config=name, step_time=time,
                      validation=(0.1, 0.7 if reached > 0.8 else 0.6))  # fmt: skip
    found, rows = table(tmp_path)
    (told,) = [text for text in sentences(found) if "to the baseline's quality" in text]
    assert ": Bias, 80.0 s; next Full, 1.25 times that" in told
    assert "not ranked: Lora, which has it of some runs" in told
    assert found.ratio(rows["Lora"], "time_to_baseline") is None


def test_a_damaged_file_of_rows_is_left_out_by_name(tmp_path):
    for name in ("Full", "Lora"):
        write_run(tmp_path / name, name, config=name, right=[True, False])
    (tmp_path / "Lora/predictions.csv").write_text("row_id,label\n1")
    found, rows = table(tmp_path)
    assert [path for path, _ in found.left_out] == [tmp_path / "Lora/predictions.csv"]
    assert "not paired" in rows["Lora"].verdict.reason


def test_what_is_met_damaged_later_is_left_out_too(tmp_path):
    write_run(tmp_path / "full", "Full", 0, config="f", right=pattern((1, True), (9, False)))
    for name in "ab":
        write_run(tmp_path / name, name, 1, config=name, right=pattern((5, True), (5, False)))
    (tmp_path / "b/predictions.csv").write_text("row_id\n1")
    found, _ = table(tmp_path)
    assert "1 file could not be read and is left out." in sentences(found)
    assert [path for path, _ in found.left_out] == [tmp_path / "b/predictions.csv"]


def test_a_source_in_one_seed_only(tmp_path):
    write_study(tmp_path, {f"a{i}": ({"m": "a", "seed": str(i)}, "ok") for i in (0, 1)})
    write_run(tmp_path / "runs/a0", right=[True], seed=0, source={"config_sha256": "x"})
    write_run(tmp_path / "runs/a1", right=[True], seed=1)
    assert len(table(tmp_path)[0].rows) == 1


def test_classes_that_differ_between_seeds_have_no_sum(tmp_path):
    for seed, labels in enumerate((["a", "b"], ["a", "c"])):
        write_run(tmp_path / f"{seed}", seed=seed, right=[True],
                  exhibits=[matrix(labels, [[1, 0], [0, 1]])])  # fmt: skip
    assert confusion(table(tmp_path)[0].rows[0].method) is None


def test_seeds_in_other_units_are_not_pooled(tmp_path):
    for seed, unit in enumerate(("B", "MiB")):
        write_run(tmp_path / f"{seed}", seed=seed, readings={"fit/peak_memory": (1, unit)})
    assert table(tmp_path)[1]["Lora"].value("fit/peak_memory") is None


def test_a_difference_may_be_negative(tmp_path):
    for seed, value in enumerate((-0.02, -0.03)):
        write_run(tmp_path / f"a{seed}", seed=seed, readings={"test/accuracy_difference": value})
    path = tmp_path / "a0" / "record.json"
    text = path.read_text().replace('"value": -0.02', '"value": -0.02, "low": -0.03, "high": -0.01')
    path.write_text(text)
    found, _ = table(tmp_path)
    difference = pooled(found.rows[0].method, "test/accuracy_difference", found.evidence)
    assert difference.low < difference.value < difference.high < 0.1


def test_latencies_of_two_models_are_ranked_in_seconds(tmp_path):
    write_run(tmp_path / "small", "Full", config="f", readings=latencies(0.1, 0.1))
    write_run(tmp_path / "large", "Lora", readings=latencies(0.4, 0.4), key={"model": "m2"})
    (told,) = [text for text in sentences(table(tmp_path)[0]) if "latency" in text]
    assert "Full, 100.00 ms; next Lora, 4 times that" in told


def test_an_interval_of_a_share_stays_between_0_and_1(tmp_path):
    for seed, count in enumerate((99, 30)):
        write_run(tmp_path / f"a{seed}", "Lora", seed, right=[i < count for i in range(100)])
    accuracy = table(tmp_path)[0].rows[0].readings["test/accuracy"]
    assert 0 <= accuracy.low < 0.1
    assert 0.9 < accuracy.high <= 1


def test_one_estimate_makes_the_pool_an_estimate(tmp_path):
    write_run(tmp_path / "a", seed=0, readings=costs(1.0, 1, 1.0))
    write_run(tmp_path / "b", seed=1, readings=costs(1.0, 1, 1.0, "estimated: TDP"))
    _, rows = table(tmp_path)
    assert rows["Lora"].readings["fit/energy"].tag == "estimated"


def test_without_an_interval_nothing_is_said(tmp_path):
    for name, loss in (("Lora", 0.3), ("Full", 0.5)):
        write_run(tmp_path / name, name, config=name, readings={"test/loss": (loss, "nat")})
    found, rows = table(tmp_path, metric="loss")
    assert (found.mode, found.best().label) == ("min", "Lora")
    assert rows["Lora"].verdict.mean == pytest.approx(-0.2)
    assert rows["Lora"].verdict.word is None


def test_figures_on_other_data_are_no_rivals(tmp_path):
    write_run(tmp_path / "a", right=pattern((5, True), (5, False)))
    write_run(tmp_path / "b", config="b", right=pattern((9, True), (1, False)),
              data={"source": ["other.csv"]})  # fmt: skip
    found, rows = table(tmp_path, baseline="a")
    assert rows["Lora (source other.csv)"].verdict.reason == "other data"
    assert found.best().label == "Lora (source bundled)"


def test_time_to_the_baselines_quality(tmp_path):
    write_run(tmp_path / "full", "Full", config="f\n", validation=(0.6, 0.8), step_time=1.0)
    write_run(tmp_path / "lora", validation=(0.5, 0.7, 0.8, 0.9), step_time=0.2)
    write_run(tmp_path / "bitfit", "BitFit", config="b\n", validation=(0.6, 0.7))
    _, rows = table(tmp_path)
    assert rows["Full"].value("time_to_baseline") == pytest.approx(100)
    assert rows["Lora"].value("time_to_baseline") == pytest.approx(75 * 0.2)
    assert rows["BitFit"].value("time_to_baseline") is None
    assert rows["BitFit"].notes["time_to_baseline"] == "reached by 0 of 1"


def test_what_never_learned_is_a_mark_by_its_test_figure(tmp_path):
    none = {"params/trainable": 0}
    write_run(tmp_path / "untuned", "Untuned", config="u\n", validation=(), readings=none,
              right=pattern((6, True), (4, False)), key={"steps": 0})  # fmt: skip
    write_run(tmp_path / "lora", validation=(0.5, 0.6), step_time=0.1)
    _, rows = table(tmp_path)
    assert rows["Lora"].value("time_to_baseline") == pytest.approx(10)
    assert rows["Lora"].flags == []  # no steps are what being untuned means


def test_validation_chooses_not_the_test_rows(tmp_path):
    cells = {name: ({"adapter": name}, "ok") for name in ("a", "b")}
    write_study(tmp_path, cells, choose="val/accuracy")
    write_run(tmp_path / "runs" / "a", validation=(0.6, 0.9, 0.8), right=[True, False])
    write_run(tmp_path / "runs" / "b", validation=(0.85,), right=[True, True])
    found, _ = table(tmp_path)
    assert ([row.label for row in found.chosen()], found.best().label) == (["a"], "b")
    assert sentences(found)[0].startswith(
        "Chosen by val/accuracy, before a look at the test rows: a"
    )


def test_equal_ones_on_the_validation_rows_are_named(tmp_path):
    write_study(tmp_path, {n: ({"adapter": n}, "ok") for n in "abc"}, choose="val/accuracy")
    for name, accuracy in (("a", 0.9), ("b", 0.8), ("c", 0.9)):
        write_run(tmp_path / "runs" / name, validation=(accuracy,), right=[True])
    told = sentences(table(tmp_path)[0])[0]
    assert "test rows: a (c is equal there), whose" in told
    assert json.loads(as_json(table(tmp_path)[0]))["chosen"] == ["a", "c"]


def test_flags(tmp_path):
    write_run(tmp_path / "full", "Full", config="f\n")
    write_run(tmp_path / "lora", key={"steps": 300, "torch": "2.9", "data": "d2", "model": "m2"})
    _, rows = table(tmp_path)
    assert rows["Full"].flags == []
    assert sorted(rows["Lora"].flags) == [
        "other data", "other model", "steps 300, baseline 100", "torch 2.9, baseline 2.13.0",
    ]  # fmt: skip


def test_costs_read_off_in_another_way_are_flagged(tmp_path):
    write_run(tmp_path / "full", "Full", config="f\n", readings=costs(1.0, 1, 1.0))
    write_run(tmp_path / "lora", readings=costs(1.0, 1, 1.0, "estimated: TDP"))
    _, rows = table(tmp_path)
    assert rows["Lora"].flags == ["energy estimated: TDP, baseline measured: counter"]


def test_seeds_with_other_steps_are_flagged(tmp_path):
    for seed, steps in enumerate((100, 90)):
        write_run(tmp_path / f"lora-{seed}", seed=seed, key={"steps": steps})
    _, rows = table(tmp_path)
    assert rows["Lora"].flags == ["steps differs between its seeds"]


def test_which_is_the_baseline(tmp_path):
    for name in ("Lora", "Full", "Untuned"):
        write_run(tmp_path / f"run-{name}", name, config=name)
    assert table(tmp_path)[0].baseline.label == "Untuned"
    assert table(tmp_path, baseline="lora")[0].baseline.label == "Lora"
    assert table(tmp_path, baseline="run-Full")[0].baseline.label == "Full"
    with pytest.raises(UsageError, match="no method is called 'qlora'; there are 'Full', 'Lora'"):
        table(tmp_path, baseline="qlora")


def test_a_metric_that_no_run_has(tmp_path):
    write_run(tmp_path / "a", right=[True, False])
    with pytest.raises(UsageError, match="no run has 'bleu'; there are test/accuracy"):
        table(tmp_path, metric="bleu")


def test_a_run_without_its_rows_is_no_run_of_other_rows(tmp_path):
    for seed in (0, 1):
        for name in ("Full", "Lora"):
            write_run(tmp_path / f"{name}{seed}", name, seed, config=name, right=[True, False])
    (tmp_path / "Lora1/predictions.csv").unlink()
    _, rows = table(tmp_path)
    assert rows["Lora"].verdict.reason == "not paired: a run has no figures by test row"
