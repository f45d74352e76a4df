import pytest
from rich.console import Console

from hwlit.errors import IntegrityError
from hwlit.records import Adapter, Quantisation, read_record
from hwlit.study.kernels import kernels_told
from hwlit.study.show import show
from tests.study.records import write_run


def row(kernel, **seconds):
    return {"kernel": kernel, "seconds": seconds, "dropped": {}}


ROWS = [row("a", a=1, fp32=3), row("a", a=1, fp32=2), row("fp32", a=4, fp32=2)]


@pytest.mark.parametrize(
    "adapter",
    [
        Adapter(rest={"converts_to": {"kernels": ROWS}}),
        Adapter(quantisation=Quantisation("int8", "int8", rest={"kernels": ROWS})),
    ],
    ids=["converts", "base"],
)
def test_what_multiplied_is_told_in_a_sentence(adapter):
    told = kernels_told(adapter)
    assert "at each of 3 sizes: a at 2, fp32 at 1" in told
    assert "2.0 times as fast as fp32" in told


def test_a_device_with_one_kernel_has_no_times():
    told = kernels_told(Adapter(rest={"converts_to": {"kernels": [row("fp32")], "why": "because"}}))
    assert told.endswith("sizes: fp32 at 1; because")


def test_where_nothing_was_chosen_nothing_is_told():
    converted = Adapter(rest={"converts_to": {"why": "x"}})
    for adapter in (Adapter(), converted, Adapter(quantisation=Quantisation("nf4", "nf4"))):
        assert kernels_told(adapter) == ""


@pytest.mark.parametrize(
    "rows",
    [3, "ab", [1], [{}], [row("b", a=1, fp32=2)], [row("a", a=0, fp32=2)], [row("a", a="x")]],
)
def test_damaged_choices_are_refused_in_one_sentence(rows):
    with pytest.raises(IntegrityError, match="choice of kernels is damaged"):
        kernels_told(Adapter(rest={"converts_to": {"kernels": rows}}))


def test_show_has_the_sentence(tmp_path, capsys):
    held = {"format": "onednn-int8", "kernels": ROWS, "why": "at 1 of 3 sizes"}
    folder = write_run(tmp_path / "run", settings={"converts_to": held})
    show(read_record(folder), Console(width=200))
    told = capsys.readouterr().out
    assert "a at 2, fp32 at 1" in told
    assert "; at 1 of 3 sizes" in told
