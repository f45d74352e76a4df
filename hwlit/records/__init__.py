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
from hwlit.records.readings import (
    COST,
    FACT,
    TAGS,
    Combination,
    Direction,
    Exhibit,
    How,
    Measure,
    Reading,
    RowKind,
    Rows,
    Tag,
    TestRows,
    counted,
    estimated,
    measured,
    sampled,
    worst,
)
from hwlit.records.schema import (
    SCHEMA,
    Adapter,
    Checkpoint,
    ClassFigures,
    Code,
    Data,
    Device,
    Disturbance,
    Model,
    Phase,
    Quantisation,
    Record,
    ResumedFrom,
    Source,
)
from hwlit.records.table import RowTable

__all__ = [
    "COST", "FACT", "SCHEMA", "TAGS", "Adapter", "Checkpoint", "ClassFigures", "Code",
    "Combination", "Data", "Device", "Direction", "Disturbance", "Exhibit", "How", "Measure",
    "Model", "Phase", "Quantisation", "Reading", "Record", "ResumedFrom", "RowKind", "RowTable",
    "Rows", "Source", "Tag", "TestRows", "Unfit", "counted", "encoded", "estimated",
    "field_decoder", "measured", "need", "plain", "read_record", "read_run", "record_of",
    "sampled", "using", "worst", "write_record",
]  # fmt: skip
