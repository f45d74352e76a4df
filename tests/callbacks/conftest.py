"""A clock that moves only when a test lets it."""

import time

import pytest


class Clock:
    """Stands in for the module `time`: on a busy machine the real one has moments of its own."""

    def __init__(self):
        self.now = time.time()

    def time(self):
        return self.now

    perf_counter = time

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for user in ("callbacks.phases", "callbacks.latency", "devices.clock"):
        monkeypatch.setattr(f"hwlit.{user}.time", clock)
    return clock
