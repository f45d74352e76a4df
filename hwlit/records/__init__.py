"""The record of a run: its layout, and the one way to read and write it."""

from hwlit.records.read import (
    need,
    plain,
    read_record,
    read_run,
    record_of,
    using,
    write_record,
)
from hwlit.records.schema import (
    COST,
    FACT,
    SCHEMA,
    TAGS,
    Adapter,
    Checkpoint,
    ClassFigures,
    Data,
    Device,
    Disturbance,
    Exhibit,
    How,
    Measure,
    Model,
    Phase,
    Quantisation,
    Reading,
    Record,
    ResumedFrom,
    Rows,
    Source,
    TestRows,
    counted,
    estimated,
    measured,
    sampled,
    worst,
)

__all__ = [
    "COST", "FACT", "SCHEMA", "TAGS", "Adapter", "Checkpoint", "ClassFigures", "Data", "Device",
    "Disturbance", "Exhibit", "How", "Measure", "Model", "Phase", "Quantisation", "Reading",
    "Record", "ResumedFrom", "Rows", "Source", "TestRows", "counted", "estimated", "measured",
    "need", "plain", "read_record", "read_run", "record_of", "sampled", "using", "worst",
    "write_record",
]  # fmt: skip
