"""What is said of many methods, on runs whose truth is known."""

import csv
import dataclasses
import io
import json
import re

import numpy as np
import pytest
from scipy import stats

from hwlit.__main__ import main
from hwlit.errors import UsageError
from hwlit.records import Disturbance
from hwlit.study.advise import advice
from hwlit.study.collect import Collection, Run, collect
from hwlit.study.comparing import compared
from hwlit.study.figures import pareto_figures
from hwlit.study.formats import as_csv, as_json, tables
from hwlit.study.limits import limit
from hwlit.study.page import page
from hwlit.study.plain_words import sentences
from tests.study.records import pattern, write_run
from tools.synthetic_study import Plan, record, runs, write


def in_memory(plan, seed=0, marked=()):
    """Compare a synthetic study without writing it; `marked` runs (method, seed) are disturbed."""
    found = Collection(name="synthetic")
    for run in runs(plan, seed):
        kept = record(run, None)
        if (run.method, run.seed) in marked:
            marks = [Disturbance("fit", "run-queue wait", 0.6, 0.05)]
            kept = dataclasses.replace(kept, disturbed=marks)
        values = {"adapter": run.method, "seed": str(run.seed)}
        name = f"{run.method}-{run.seed}"
        found.runs.append(Run(name, None, "ok", None, values, kept))
    return found


def words(found):
    return {row.label: row.against_best.word for row in found.rows if row.against_best}


def rows_of(found):
    return {row.label: row for row in found.rows}


TRUTH = Plan(behind=[0, 0, 0, 0, 0, 6, 20], seeds=5, rows=6000, noise=[0.3])
SLOWER = Plan(
    behind=TRUTH.behind, seeds=5, rows=6000, noise=[0.3], slower=[1, 0.5, 0.6, 0.7, 0.8, 0.3, 0.1]
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Five equal methods, one six points and one twenty points behind."""
    folder = tmp_path_factory.mktemp("study")
    write(SLOWER, folder)
    return folder


@pytest.fixture(scope="module")
def found(study):
    return compared(collect([study]), None, None)


def test_the_verdicts_are_the_truth(found):
    told = words(found)
    behind = {label: told.pop(label) for label in ("Prefix", "HeadOnly")}
    assert set(behind.values()) == {"worse"}
    assert set(told.values()) <= {"equal", "not told apart"}
    assert {row.label for row in found.rows if row.may_be_best}.isdisjoint(behind)
    assert sum(row.may_be_best for row in found.rows) >= 4
    assert found.margin == 0.01


def test_compare_report_and_advise_say_the_same(study, found, capsys):
    best = found.best().label
    assert main(["compare", str(study)]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"^{best} \* +5 .* best$", out, re.MULTILINE)
    assert re.search(r"^HeadOnly +5 .* worse +worse$", out, re.MULTILINE)
    path = study / "report.md"
    assert main(["report", str(study), "-o", str(path)]) == 0
    report = path.read_text()
    assert f"- {best} has the highest accuracy: " in report
    assert "It is better than HeadOnly and Prefix." in report
    assert "The shortest training loop: HeadOnly" in report
    assert main(["advise", str(study), "--max-time", "50s"]) == 0
    advised = capsys.readouterr().out
    # The quickest of the equals that fit: half the time of Full, and as good within a point.
    assert "take: Lora" in advised
    assert "better than Prefix and HeadOnly" in advised


def test_one_pair_has_one_p(found):
    facts = json.loads(as_json(found))
    pairs = {frozenset((one["first"], one["second"])): one["p"] for one in facts["pairs"]}
    lines = {line["method"]: line for line in csv.DictReader(io.StringIO(as_csv(found)))}
    assert len(pairs) == 21
    for row in facts["rows"]:
        for kind, other in (("verdict", facts["baseline"]), ("against_best", facts["best"])):
            if row[kind] is None:
                continue
            p = pairs[frozenset((row["method"], other))]
            assert row[kind]["p"] == p
            stem = "" if kind == "verdict" else "best/"
            assert float(lines[row["method"]][f"{stem}p"]) == pytest.approx(p)
            assert lines[row["method"]][f"{stem}verdict"] == row[kind]["word"]


def test_what_a_reader_needs_to_lend_noise_is_kept(found):
    (row, *_) = json.loads(as_json(found))["rows"]
    parts = row["readings"]["test/accuracy"]["parts"]
    assert parts.keys() == {"k", "N", "V_row", "E0", "T", "df", "lent"}
    assert (parts["k"], parts["N"]) == (5, 6000)
    told = next(r["verdict"] for r in json.loads(as_json(found))["rows"] if r["verdict"])
    assert {"smallest_difference", "equal_within", "df", "p", "low", "high"} <= told.keys()


@pytest.mark.parametrize("margin", [None, 0.0, 0.05])
@pytest.mark.parametrize("metric", [None, "f1_macro"])
@pytest.mark.parametrize(
    "plan",
    [
        Plan(rows=60, seeds=3, noise=[1.0]),
        Plan(rows=242, seeds=2, noise=[0.5]),
        Plan(rows=242, seeds=1),
        Plan(rows=300, seeds=3, divided_anew=True),
        Plan(behind=[0, 3], rows=500, seeds=3),
        Plan(behind=[0, 1, 5], rows=500, seeds=2, noise=[0.1, 2, 1]),
        Plan(behind=[0, 0.1], rows=90, seeds=2, best=0.99),
    ],
    ids=["few rows", "two seeds", "one seed", "divided anew", "two methods", "unequal", "rare"],
)
def test_interval_p_and_word_never_contradict(plan, metric, margin):
    for seed in range(2):
        found = compared(in_memory(plan, seed), metric, None, margin)
        for one in found.rows:
            for other in found.rows:
                if one is not other:
                    check(found.verdicts.between(one.method, other.method), found.margin)


def check(verdict, margin):
    told = verdict.difference
    excludes = not told.low <= 0 <= told.high
    assert (told.p < 0.05) == excludes
    if verdict.word == "equal":
        assert verdict.within < margin
        assert not told.of_these_runs
    elif verdict.word == "not told apart":
        assert not excludes
    else:
        assert excludes
        assert verdict.word == ("better" if told.mean > 0 else "worse")


def test_a_pair_is_the_same_from_both_sides(found):
    one, other, *_ = found.rows
    there = found.verdicts.between(one.method, other.method).difference
    back = found.verdicts.between(other.method, one.method).difference
    assert (there.mean, there.low, there.high) == (-back.mean, -back.high, -back.low)
    assert there.p == back.p


@pytest.mark.parametrize(
    ("plan", "most"),
    [
        (Plan(behind=[0.0] * 7, seeds=3, rows=150, noise=[1.0]), 0.06),
        (Plan(behind=[0.0] * 7, seeds=2, rows=150, noise=[1.0]), 0.06),
    ],
    ids=["three seeds", "two seeds"],
)
def test_false_alarms_of_equal_methods(plan, most):
    """Of 40 tables at most 6 % plus three standard deviations."""
    alarms = 0
    for seed in range(40):
        told = sentences(compared(in_memory(plan, seed), None, None))[0]
        alarms += "better than" in told
    assert alarms / 40 <= most + 3 * (most * (1 - most) / 40) ** 0.5


def test_one_seed_speaks_of_its_runs_alone():
    plan = Plan(behind=[0, 0, 10], seeds=1, rows=2000)
    found = compared(in_memory(plan), None, None)
    told = " ".join(sentences(found))
    assert "of this run." in told
    assert re.search(r"better than \w+ on these runs", told)
    assert "equal" not in told.lower()
    assert "of one seed, interval and words speak of this run" in tables(found)
    assert "worse on these runs" in tables(found)
    assert "more seeds are needed to speak of the methods" in told
    assert found.verdicts.reach is None


def test_two_seeds_are_said_to_be_wide():
    found = compared(in_memory(Plan(seeds=2, rows=300)), None, None)
    assert "two seeds: intervals are wide" in tables(found)
    assert "the mean of two seeds, so the interval is wide" in sentences(found)[0]


def test_what_is_not_told_apart_says_what_could_have_been_seen():
    found = compared(in_memory(Plan(behind=[0, 0.5, 0.5], seeds=3, rows=300)), None, None)
    untold = [row.against_best for row in found.rows if row.against_best]
    assert {verdict.word for verdict in untold} == {"not told apart"}
    for verdict in untold:
        spread = verdict.difference.spread
        assert verdict.smallest == pytest.approx(
            spread.half(verdict.difference.level) + spread.half(0.4)
        )
    told = sentences(found)[0]
    assert re.search(r"would show a difference of 0\.\d+ (to 0\.\d+ )?four times in five", told)
    assert "neither more seeds nor more test rows alone would tell" in told
    near = Plan(behind=[0, 1.5, 1.5, 1.5], seeds=4, rows=600, noise=[0.05])
    found = compared(in_memory(near), None, None)
    assert re.search(r"about \d+ to [\d,]+ more (seeds|test rows)", sentences(found)[0])
    assert any("This table can tell two methods equal within about" in t for t in sentences(found))


def test_noise_is_lent_by_several_methods():
    few = compared(in_memory(Plan(behind=[0, 0], seeds=2)), None, None)
    many = compared(in_memory(Plan(behind=[0] * 7, seeds=2)), None, None)
    alone, lent = (found.rows[0].readings["test/accuracy"].parts for found in (few, many))
    assert (alone["lent"], lent["lent"]) == (False, True)
    assert lent["df"] > alone["df"]
    assert "the larger of a method's own and that of 7 methods" in tables(many)


def test_a_pair_of_runs_is_tested_on_the_rows_that_both_saw(tmp_path):
    """As scipy's paired t, but for the two rows that the guard of few rows adds."""
    random = np.random.default_rng(0)
    both = random.random((2, 400)) < [[0.8], [0.6]]
    for name, right in zip(("Lora", "Full"), both, strict=True):
        write_run(tmp_path / name, name, config=name, right=right.tolist())
    found = compared(collect([tmp_path]), None, None)
    verdict = rows_of(found)["Lora"].verdict
    expected = stats.ttest_rel(*both.astype(float))
    assert verdict.mean == pytest.approx(both[0].mean() - both[1].mean())
    assert verdict.difference.low == pytest.approx(expected.confidence_interval().low, abs=2e-3)
    assert (verdict.word, verdict.of_these_runs) == ("better", True)


def test_rows_that_only_one_saw_are_not_paired(tmp_path):
    write_run(tmp_path / "lora", right=pattern((90, True), (10, False)))
    right = write_run(
        tmp_path / "full", "Full", config="f\n", right=pattern((50, True), (50, False))
    )
    text = (right / "predictions.csv").read_text()
    lines = re.sub(r"^(\d+),", lambda match: f"{int(match[1]) + 1000},", text, flags=re.MULTILINE)
    (right / "predictions.csv").write_text(lines)
    verdict = rows_of(compared(collect([tmp_path]), None, None))["Lora"].verdict
    assert (verdict.reason, verdict.word) == ("not paired: no test row in common", "better")


def test_rows_with_other_answers_are_other_rows(tmp_path):
    write_run(tmp_path / "lora", right=pattern((90, True), (10, False)))
    right = write_run(
        tmp_path / "full", "Full", config="f\n", right=pattern((50, True), (50, False))
    )
    text = (right / "predictions.csv").read_text()
    swapped = {"yes": "no", "no": "yes"}
    lines = re.sub(r"\b(yes|no)\b", lambda match: swapped[match[1]], text)
    (right / "predictions.csv").write_text(lines)
    verdict = rows_of(compared(collect([tmp_path]), None, None))["Lora"].verdict
    assert not verdict.difference.paired


def test_tasks_are_never_ranked_together(tmp_path):
    write_run(tmp_path / "a", "Full", config="f", right=[True, False] * 20)
    write_run(tmp_path / "b", "Lora", config="l", right=[True] * 40)
    prompts = {"clip_i": [0.5, 0.6, 0.7], "prompt": ["a", "b", "c"]}
    kinds = {"clip_i": "real", "prompt": "class"}
    drawn = {"columns": kinds, "n": 3, "truth": "prompt", "values": prompts}
    readings = {"test/clip_i": 0.6, "test/accuracy": 1}
    write_run(tmp_path / "c", "SVDiff", config="s", readings=readings, task="personalization",
              test_rows=drawn)  # fmt: skip
    found = compared(collect([tmp_path]), None, None)
    assert found.metric == "test/accuracy"
    assert found.best().label.startswith("Lora")
    (other,) = (row for row in found.rows if row.method.task == "personalization")
    assert other.verdict.reason == "another task"
    assert any("for their task is another: SVDiff" in told for told in sentences(found))


def test_pictures_of_a_prompt_count_as_one(tmp_path):
    random = np.random.default_rng(1)
    for name, better in (("SVDiff", 0.1), ("Full", 0.0)):
        by_prompt = 0.5 + better + 0.02 * random.normal(size=6).repeat(4)
        scores = by_prompt + 0.001 * random.normal(size=24)
        kinds = {"score": "real"}
        rows = {"columns": kinds, "n": 24, "file": "test_rows.csv"}
        measure = {"role": "quality", "direction": "max", "bounds": [-1, 1], "primary": True}
        reading = {"value": scores.mean(), "unit": "1", "how": {"tag": "measured", "text": ""},
                   "measure": measure,
                   "rows": {"combination": "mean", "columns": ["score"]}}  # fmt: skip
        run = write_run(tmp_path / name, name, config=name, test_rows=rows)
        path = run / "record.json"
        kept = json.loads(path.read_text())
        kept["readings"]["test/likeness"] = reading
        path.write_text(json.dumps(kept))
        lines = [f"{i},prompt {i // 4},{score}" for i, score in enumerate(scores)]
        (run / "test_rows.csv").write_text("\n".join(["row_id,group,score", *lines]) + "\n")
    found = compared(collect([tmp_path]), None, None)
    assert found.metric == "test/likeness"
    verdict = rows_of(found)["SVDiff"].verdict
    assert (verdict.difference.rows, verdict.word) == (6, "better")


def test_times_are_told_apart_by_pairs_of_runs(found):
    (told,) = [text for text in sentences(found) if text.startswith("The shortest training loop")]
    assert re.search(r"HeadOnly, 6\.\d s .*; next Prefix, [23]\.\d* times that \(", told)
    ratio = found.ratio(rows_of(found)["Full"], "fit/wall_time")
    full, head = (
        [run.record.value("fit/wall_time") for run in rows_of(found)[name].method.runs]
        for name in ("Full", "HeadOnly")
    )
    expected = stats.ttest_rel(np.log(full), np.log(head))
    ends = np.exp(expected.confidence_interval())
    assert ratio.value == pytest.approx(np.exp(np.mean(np.log(full) - np.log(head))))
    assert (ratio.alone.low, ratio.alone.high) == pytest.approx(tuple(ends))
    assert ratio.told
    assert (ratio.low, ratio.high) != (ratio.alone.low, ratio.alone.high)  # of all pairs at once


def test_equal_times_are_seldom_told_apart():
    alarms = 0
    for seed in range(40):
        found = in_memory(Plan(behind=[0] * 5, seeds=2 + seed % 2, rows=20), seed)
        told = next(t for t in sentences(compared(found, None, None)) if "training loop" in t)
        alarms += "; next" in told or "less than one percent" in told
    assert alarms / 40 <= 0.05 + 3 * (0.05 * 0.95 / 40) ** 0.5


def test_disturbed_runs_are_left_out_and_named():
    plan = Plan(behind=[0, 0, 0], seeds=3, rows=100, slower=[1, 0.5, 0.4])
    calm = compared(in_memory(plan), None, None)
    found = compared(in_memory(plan, marked=[("Lora", 1)]), None, None)
    lora = rows_of(found)["Lora"].readings["fit/wall_time"]
    assert (lora.seeds, lora.left_out, lora.disturbed) == (2, 1, False)
    assert rows_of(calm)["Lora"].readings["fit/wall_time"].seeds == 3
    assert rows_of(found)["Lora"].readings["fit/peak_memory"].seeds == 3  # bytes stay as they are
    told = " ".join(sentences(found))
    assert "used the machine while this run went on: Lora, seed 1, data.seed 0 (run-queue" in told
    for text in (tables(found), page(found)):
        assert "Lora, seed 1" in text
    assert any("Lora, seed 1" in line for line in advice(found, [limit("--max-time", "1h")]))


def test_times_of_which_every_run_was_disturbed_are_not_ranked():
    plan = Plan(behind=[0, 0, 0], seeds=2, rows=100, slower=[1, 0.5, 0.1])
    found = compared(in_memory(plan, marked=[("Dora", 0), ("Dora", 1)]), None, None)
    (told,) = [text for text in sentences(found) if text.startswith("The shortest training loop")]
    assert ": Lora," in told
    assert "not ranked: Dora, whose runs had no machine to themselves" in told
    assert found.ratio(rows_of(found)["Dora"], "fit/wall_time") is None
    assert re.search(r"^Dora .* s ±\S+ % !", tables(found), re.MULTILINE)


def test_costs_are_held_against_the_cheapest_that_trains(tmp_path):
    none = {"params/trainable": 0, "fit/wall_time": (0.4, "s")}
    write_run(tmp_path / "u", "Untuned", config="u", right=[True, False], readings=none)
    for name, time in (("Head", 10.0), ("Full", 60.8)):
        write_run(tmp_path / name, name, config=name, right=[True, False],
                  readings={"fit/wall_time": (time, "s")})  # fmt: skip
    found = compared(collect([tmp_path]), None, None)
    rows = rows_of(found)
    assert found.baseline.label == "Untuned"
    assert found.ratio(rows["Full"], "fit/wall_time").value == pytest.approx(6.08)
    assert found.ratio(rows["Untuned"], "fit/wall_time") is None
    assert "152" not in tables(found)


def test_energy_without_counters_is_called_what_it_is(found):
    assert "energy (CPU only, estimated)" in tables(found)
    told = " ".join(sentences(found))
    assert "without counters it ranks methods as processor time does" in told


def test_an_interval_stays_within_what_there_can_be():
    plan = Plan(behind=[0, 0.5], seeds=2, rows=40, best=0.97, noise=[2.0])
    for seed in range(5):
        for row in compared(in_memory(plan, seed), None, None).rows:
            for name in ("test/accuracy", "test/f1_macro"):
                found = row.readings[name]
                assert 0 <= found.low <= found.value <= found.high <= 1


def test_a_direction_is_the_readings_own(tmp_path):
    measure = {"role": "quality", "direction": "min", "primary": True, "margin": 0.1}
    for name, value in (("Full", 5.0), ("Lora", 4.0)):
        run = write_run(tmp_path / name, name, config=name, readings={"test/perplexity": value})
        path = run / "record.json"
        kept = json.loads(path.read_text())
        kept["readings"]["test/perplexity"]["measure"] = measure
        path.write_text(json.dumps(kept))
    found = compared(collect([tmp_path]), None, None)
    assert (found.metric, found.mode, found.best().label) == ("test/perplexity", "min", "Lora")
    assert main(["compare", str(tmp_path), "--metric", "fit/wall_time"]) == 0


def test_what_only_describes_a_run_ranks_none(tmp_path, capsys):
    write_run(tmp_path / "a", right=[True, False], readings={"test/temperature": 1.0})
    assert main(["compare", str(tmp_path), "--metric", "temperature"]) == 2
    assert "test/temperature only describes a run" in capsys.readouterr().err


def test_one_method_alone_is_shown_and_held_against_itself():
    found = compared(in_memory(Plan(behind=[0], seeds=3, rows=100)), None, None)
    assert "best" in tables(found)
    ratio = found.ratio(found.rows[0], "fit/wall_time")
    assert (ratio.value, ratio.p) == (1, None)
    assert sentences(found)


def test_runs_that_repeat_both_seeds_count_once(tmp_path):
    for adapter, right in (("Full", 80), ("Lora", 60)):
        for number in range(3):
            rows = pattern((right, True), (100 - right, False))
            write_run(tmp_path / f"{adapter}{number}", adapter, config=adapter, right=rows)
    found = compared(collect([tmp_path]), None, None)
    (row,) = (row for row in found.rows if row.verdict is not None)
    assert row.readings["test/accuracy"].seeds == 1
    assert row.verdict.of_these_runs
    assert any("2 of its runs repeat both seeds" in told for told in row.caveats)


def test_quality_has_its_verdict_and_no_ratio():
    found = compared(in_memory(Plan(behind=[0, 5], seeds=3, rows=200)), None, None)
    columns = as_csv(found).splitlines()[0].split(",")
    assert "fit/wall_time/over_least" in columns
    assert not [c for c in columns if c.startswith("test/") and "over_least" in c]


def test_no_more_is_claimed_of_all_pairs_than_of_one():
    slower = Plan(behind=[0] * 4, seeds=3, rows=100, slower=[1, 1.05, 1.1, 1.2])
    found = compared(in_memory(slower), None, None)
    for row in found.rows:
        ratio = found.ratio(row, "fit/wall_time")
        if ratio.p is not None:
            assert ratio.p >= ratio.alone.p
            assert ratio.low <= ratio.alone.low
            assert ratio.high >= ratio.alone.high


@pytest.mark.parametrize(("prints", "rivals"), [(("f", "f"), True), (("f", "g"), False)])
def test_the_same_rows_under_another_path_are_the_same_data(tmp_path, prints, rivals):
    right = pattern((80, True), (20, False))
    for name, path, rows in zip(("Full", "Lora"), ("a.csv", "/b/a.csv"), prints, strict=True):
        data = {"source": [path], "fingerprint": rows}
        write_run(tmp_path / name, name, config=name, right=right, data=data)
    found = compared(collect([tmp_path]), None, None)
    assert [row.rival for row in found.rows] == [True, rivals]


def test_a_disturbed_time_is_not_ranked_where_it_is_the_metric():
    plan = Plan(behind=[0, 0, 0], seeds=3, rows=100, slower=[1, 0.5, 1.2])
    fast = list(dict.fromkeys(run.method for run in runs(plan, 0)))[1]
    marked = [(fast, seed) for seed in range(3)]
    found = compared(in_memory(plan, marked=marked), "fit/wall_time", None)
    row = rows_of(found)[fast]
    assert row.value("fit/wall_time") < found.rows[0].value("fit/wall_time")
    assert found.best() is not row
    assert (row.verdict.word, row.verdict.reason) == (None, "not ranked: disturbed")
    assert "not ranked: disturbed" in tables(found)


def test_what_no_more_seeds_would_tell_is_not_said_to_be_told_by_them():
    found = compared(in_memory(Plan(seeds=3)), None, None)
    told = sentences(found)[0]
    helped = [r.label for r in found.rows if r.against_best and r.against_best.more
              and (r.against_best.more.seeds or r.against_best.more.rows)]  # fmt: skip
    unhelped = [label for label, word in words(found).items()
                if word == "not told apart" and label not in helped]  # fmt: skip
    assert helped
    assert unhelped
    assert f"would tell {helped[0]}" in told
    assert "nothing alone the others" in told


def test_runs_that_disagree_on_what_is_better_are_refused():
    found = in_memory(Plan(behind=[0, 0], seeds=2, rows=50))
    first = found.runs[0]
    reading = first.record.readings["test/accuracy"]
    other = dataclasses.replace(
        reading, measure=dataclasses.replace(reading.measure, direction="min")
    )
    first.record.readings["test/accuracy"] = other
    with pytest.raises(UsageError, match="do not agree whether more or less"):
        compared(found, None, None)


def timed(folder, seconds, marks=()):
    """Write runs of some methods with these seconds by seed; `marks` are disturbed ones."""
    for method, times in seconds.items():
        for seed, value in enumerate(times):
            mark = {"phase": "fit", "cause": "run-queue wait", "value": 0.5, "limit": 0.05}
            found = {"disturbed": [mark]} if (method, seed) in marks else {}
            write_run(
                folder / f"{method}{seed}", method, seed, config=method,
                right=pattern((80, True), (20, False)), readings={"fit/wall_time": (value, "s")},
                **found,
            )  # fmt: skip
    return compared(collect([folder]), None, None)


def test_the_least_is_the_one_whose_ratios_say_so_though_means_are_of_other_seeds(tmp_path):
    seconds = {"Full": [100.0, 50.0, 50.0], "Lora": [110.0, 55.0, 55.0]}
    found = timed(tmp_path, seconds, [("Lora", 0)])
    assert found.cheapest("fit/wall_time").label == "Full"
    assert all(found.ratio(row, "fit/wall_time").value >= 1 for row in found.rows)
    assert any(told.startswith("The shortest training loop: Full") for told in sentences(found))


def test_no_disturbed_time_is_on_a_front(tmp_path):
    seconds = {"Full": [100.0, 50.0], "Lora": [10.0, 5.0]}
    found = timed(tmp_path, seconds, [("Lora", 0), ("Lora", 1)])
    (figure,) = (f for f in pareto_figures(found) if f.name == "pareto-time")
    assert "on the front: Full;" in figure.note
    assert "not drawn, for something else used the machine: Lora" in figure.note


def test_repeats_of_both_seeds_are_one_timing(tmp_path):
    for number, seconds in enumerate((50.0, 100.0)):
        write_run(tmp_path / f"a{number}", "Full", config="Full",
                  readings={"fit/wall_time": (seconds, "s")})  # fmt: skip
    write_run(tmp_path / "b", "Lora", config="Lora", readings={"fit/wall_time": (50.0, "s")})
    found = compared(collect([tmp_path]), None, None)
    ratio = found.ratio(rows_of(found)["Full"], "fit/wall_time")
    assert (ratio.value, ratio.p) == (pytest.approx(1.5), None)


def test_what_is_equal_to_the_best_is_starred_and_may_be_taken():
    plan = Plan(behind=[0, 0, 0.3], seeds=5, rows=40_000, noise=[0.02], slower=[3, 3, 1])
    found = compared(in_memory(plan), None, None)
    best = found.best()
    equal = [r for r in found.rows if r.against_best and r.against_best.word == "equal"]
    assert all(row.is_top for row in [best, *equal])
    cheap = min(found.rows, key=lambda row: row.value("fit/wall_time"))
    assert cheap in equal
    lines = advice(found, [limit("--max-time", "1h")])
    assert any(line.startswith(f"take: {cheap.label}") for line in lines)


def test_a_table_of_one_and_of_three_seeds_says_what_more_would_tell():
    found = in_memory(Plan(behind=[0, 0.3, 0.3], seeds=3, rows=200))
    alone = list(dict.fromkeys(run.values["adapter"] for run in found.runs))[-1]
    found.runs = [run for run in found.runs if run.values["adapter"] != alone or run.seed == 0]
    told = " ".join(tables(compared(found, None, None)).split())
    assert "on these runs" in told
    assert "more seeds, more rows: about how many more" in told
