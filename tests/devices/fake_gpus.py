"""Stands in for torch.cuda: two of the machine's three GPUs are visible."""

from types import SimpleNamespace


class FakeGpus:
    """Two of the machine's three GPUs are visible, in another order than NVML's."""

    visible = ("cccc", "bbbb")

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []
        self.now_ms = 0.0
        self.allocated, self.reserved = 100, 200
        self.peaks = [300, 400]

    def get_device_properties(self, index):
        return SimpleNamespace(
            name="Fake 100", uuid=self.visible[index], total_memory=10**9, major=9, minor=0
        )

    def reset_peak_memory_stats(self, index):
        self.calls.append(("reset", index))
        self.peaks = [self.allocated, self.reserved]

    def current_stream(self, index):
        return ("stream", index)


class FakeEvent:
    gpus: FakeGpus

    def __init__(self, enable_timing: bool = False) -> None:
        assert enable_timing
        self.passed = False

    def record(self, stream) -> None:
        self.gpus.calls.append(("record", stream))
        self.at_ms = self.gpus.now_ms

    def synchronize(self) -> None:
        self.passed = True

    def elapsed_time(self, end) -> float:
        assert end.passed
        return end.at_ms - self.at_ms
