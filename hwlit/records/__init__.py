"""The record of a run: its layout, and the one way to read and write it."""

from hwlit.records.decoding import Unfit, encoded, field_decoder
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
    Code,
    Combination,
    Data,
    Device,
    Direction,
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
    RowKind,
    Rows,
    Source,
    TestRows,
    counted,
    estimated,
    measured,
    sampled,
    worst,
)
from hwlit.records.table import RowTable

__all__ = [
    "COST", "FACT", "SCHEMA", "TAGS", "Adapter", "Checkpoint", "ClassFigures", "Code",
    "Combination", "Data", "Device", "Direction", "Disturbance", "Exhibit", "How", "Measure",
    "Model", "Phase", "Quantisation", "Reading", "Record", "ResumedFrom", "RowKind", "RowTable",
    "Rows", "Source", "TestRows", "Unfit", "counted", "encoded", "estimated", "field_decoder",
    "measured", "need", "plain", "read_record", "read_run", "record_of", "sampled", "using",
    "worst", "write_record",
]  # fmt: skip
