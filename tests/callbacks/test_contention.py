from types import SimpleNamespace

import pytest
import torch

from hwlit.callbacks.contention import Contention
from hwlit.callbacks.phases import Phases
from hwlit.callbacks.ranks import Place
from hwlit.callbacks.recorder import RunRecorder
from hwlit.devices.gpu_load import GpuSample
from hwlit.devices.selection import device_for
from hwlit.records import Disturbance, plain
from hwlit.study.disturbed import disturbances


class Kernel:
    """Stands in for the counters of a host of two processors."""

    def __init__(self):
        self.processors = SimpleNamespace(count=2.0)
        self.absent = {"thermally_throttled": "not shown"}
        self.now = dict.fromkeys(("wall", "own", "busy", "idle", "steal", "ran", "waited"), 100.0)

    def read(self):
        return dict(self.now)

    def goes_on(self, wall, ran, waited=0.0, others=0.0, **more):
        idle = 2 * wall - ran - others
        changes = {"wall": wall, "own": ran, "busy": ran + others, "idle": idle}
        for name, value in (changes | {"ran": ran, "waited": waited} | more).items():
            self.now[name] = self.now.get(name, 0.0) + value


class Gpu:
    def __init__(self):
        self.now = GpuSample(utilisation=0.9, clock=0.9, slowed=(), others=0.0, other_processes=0)

    def sample(self, own):
        return self.now


def observed(place=None, gpu=None, reads_kernel=True):
    device = device_for(torch.device("cpu"))
    if gpu is not None:
        device.kind, device.sampled = "cuda", lambda: gpu
    phases, kernel = Phases(device, 0, place), Kernel()
    return phases, Contention(device, phases, kernel if reads_kernel else None), kernel


def fit(phases, monitor, kernel, steps=2, **load):
    phases.enter("train")
    for _ in range(steps):
        kernel.goes_on(**load)
        monitor.on_train_batch_end(None, None, None, {"row_id": torch.arange(8)}, 0)
    phases.leave("train")


def test_a_run_beside_another_is_marked_and_told_once():
    phases, monitor, kernel = observed()
    fit(phases, monitor, kernel, wall=5, ran=5, waited=5, others=5)
    with phases.phase("test"):
        kernel.goes_on(wall=5, ran=5, waited=0.01)
    with phases.phase("latency"):
        kernel.goes_on(wall=5, ran=4.5, waited=0.5, others=1)
    found = monitor.details()
    assert found["disturbed"] == [
        Disturbance("latency", "run-queue wait", 0.1, 0.05),
        Disturbance("fit", "run-queue wait", 0.5, 0.05),
    ]
    (told,) = found["remarks"]
    assert "(share of the time: 50 % in fit, 10 % in latency; limit 5 %)" in told


def test_a_run_alone_is_not_marked_however_many_threads_it_has():
    phases, monitor, kernel = observed()
    fit(phases, monitor, kernel, wall=5, ran=10, waited=30)
    assert monitor.details() == {"disturbed": []}
    found = monitor.readings()
    assert found["fit/run_queue_wait"].value == 0.75
    assert found["fit/run_queue_wait/for_others"].value == 0


def test_processor_time_stands_beside_wall_time_per_step_and_sample():
    phases, monitor, kernel = observed()
    fit(phases, monitor, kernel, wall=5, ran=4, others=1)
    found = monitor.readings()
    assert found["fit/processor_time"].value == 8
    assert found["fit/processor_time/step"].value == 4
    assert found["fit/processor_time/sample"].value == 0.5
    assert "not immune" in found["fit/processor_time"].how.text
    assert found["fit/processor_utilisation"].value == 0.4
    assert found["fit/other_processes"].value == pytest.approx(0.1)


def test_train_loop_and_warm_up_are_one_and_evaluation_is_another():
    phases, monitor, kernel = observed()
    phases.enter("train")
    phases.enter("warmup")
    kernel.goes_on(wall=1, ran=1)
    phases.leave("warmup")
    kernel.goes_on(wall=1, ran=1)
    with phases.phase("evaluate"):
        kernel.goes_on(wall=9, ran=9)
    phases.leave("train")
    found = monitor.readings()
    assert found["fit/processor_time"].value == 2
    assert found["evaluate/processor_time"].value == 9
    assert "train/processor_time" not in found


def test_what_is_missing_has_a_reason():
    phases, monitor, kernel = observed()
    assert not monitor.absent()  # nothing was trained
    fit(phases, monitor, kernel, wall=5, ran=5)
    assert monitor.absent() == {
        "fit/thermally_throttled": "not shown",
        "fit/gpu_utilisation": "the run computed on the processor",
    }


def test_the_gpu_is_sampled_and_who_else_is_on_it_told():
    gpu = Gpu()
    phases, monitor, kernel = observed(gpu=gpu)
    gpu.now = GpuSample(0.5, 0.8, ("heat",), False, 0.3, 1)
    fit(phases, monitor, kernel, wall=5, ran=5)
    found = monitor.readings()
    assert found["fit/gpu_utilisation"].value == 0.5
    assert found["fit/gpu_clock_share"].value == pytest.approx(0.8)
    assert found["fit/gpu_slowed"].value == 1
    causes = {one.cause: one.value for one in monitor.details()["disturbed"]}
    assert causes == {"other processes on the GPU": 0.3, "slowed GPU": 1.0}
    assert "slowed down by heat" in monitor.details()["remarks"][0]


def test_of_several_processes_the_worst_counts_and_processors_are_read_once_a_node():
    first = observed(Place(0, 2, nodes=2))
    other = observed(Place(1, 2, node=1, nodes=2))
    third = observed(Place(1, 2, local_rank=1))
    fit(*first, wall=5, ran=5)
    fit(*other, wall=5, ran=5, waited=5, others=5)
    fit(*third, wall=5, ran=500)
    shares = [monitor.share() for _, monitor, _ in (other, third)]
    assert "own" not in shares[1]["counts"]["fit"]
    first[1].join(shares)
    found = first[1].readings()
    assert found["fit/processor_time"].value == 20  # of both nodes
    assert found["fit/processor_time/sample"].value == 20 / 48  # samples of all three
    assert [one.value for one in first[1].details()["disturbed"]] == [0.5]


def test_reading_the_counters_while_training_is_our_own_time():
    phases, monitor, kernel = observed()
    before = monitor.own_time
    with phases.phase("load"):
        pass
    assert monitor.own_time == before
    fit(phases, monitor, kernel, wall=5, ran=5)
    assert monitor.own_time > before


def test_the_record_keeps_the_remarks_of_all(tmp_path):
    phases, monitor, kernel = observed()
    fit(phases, monitor, kernel, wall=5, ran=5, waited=5, others=5)
    recorder = RunRecorder(tmp_path / "record.json")
    recorder.add({}, remarks=["about pictures"])
    recorder.watch(monitor)
    record = plain(recorder.record("ok"))
    assert record == plain(recorder.record("ok"))  # asking changes nothing
    assert [told.split()[0] for told in record["remarks"]] == ["about", "times,"]
    (one,) = disturbances(recorder.record("ok"), "fit/processor_time")
    assert (one.cause, one.value) == ("run-queue wait", 0.5)
