from hwlit.study.cells import Cell
from hwlit.study.hardware import runnable


def cell(accelerator):
    return Cell(accelerator, {}, (), {"trainer.accelerator": accelerator})


def test_cells_whose_hardware_is_not_here_are_left_out():
    cells = [cell(name) for name in ("cpu", "gpu", "tpu", "auto")]
    kept, lacking = runnable(cells, lambda: {"cpu", "mps"})
    assert [each.name for each in kept] == ["cpu", "gpu", "auto"]
    assert lacking == ["tpu"]


def test_a_machine_is_not_asked_for_what_every_machine_has():
    def devices():
        raise AssertionError("asked")

    assert runnable([cell("cpu")], devices) == ([cell("cpu")], [])
