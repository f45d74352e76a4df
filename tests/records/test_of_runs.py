"""What real runs write: typed, whole, and the same when it is read."""

import pytest

from hwlit.__main__ import main
from hwlit.records import plain, read_record


@pytest.fixture
def record(tiny_fit, tmp_path):
    assert main(tiny_fit) == 0
    return read_record(tmp_path / "run")


def test_a_fit_writes_what_reads_back(record, tmp_path):
    assert record.task == "text_classification"
    for name, reading in record.readings.items():
        least, most = reading.measure.bounds
        assert least is None or least <= (reading.value if reading.low is None else reading.low)
        assert most is None or most >= (reading.value if reading.high is None else reading.high)
        if reading.measure.role == "quality":
            assert reading.measure.margin and reading.low is not None, name
    assert plain(record)["readings"]
