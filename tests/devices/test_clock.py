import time

from hwlit.devices.clock import EventClock, HostClock


class FakeEvent:
    """Has been passed only once it was waited for, as on a device that lags behind."""

    def __init__(self, milliseconds: float) -> None:
        self.milliseconds = milliseconds
        self.passed = False

    def synchronize(self) -> None:
        self.passed = True

    def elapsed_time(self, end_event: "FakeEvent") -> float:
        assert end_event.passed
        return end_event.milliseconds - self.milliseconds


def test_host_clock_orders_its_marks():
    clock = HostClock()
    first = clock.mark()
    time.sleep(0.01)
    second, third = clock.mark(), clock.mark()
    assert clock.elapsed(first, second) >= 0.01
    assert clock.elapsed(first, third) >= clock.elapsed(first, second)


def test_event_clock_waits_for_the_end_and_returns_seconds():
    events = [FakeEvent(0.0), FakeEvent(2500.0)]
    recorded = iter(events)
    clock = EventClock(lambda: next(recorded), "fake events")
    start, end = clock.mark(), clock.mark()
    assert not events[1].passed, "a mark must not wait"
    assert clock.elapsed(start, end) == 2.5
