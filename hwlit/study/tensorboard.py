"""A row of TensorBoard's HParams table, written without torch.

One directory below the study's `tensorboard/` for each cell: the settings of the run, and every
final reading as a scalar. TensorBoard joins the columns of all of them.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.hparams import plugin_data_pb2
from tensorboard.plugins.hparams.metadata import (
    PLUGIN_DATA_VERSION,
    PLUGIN_NAME,
    SESSION_END_INFO_TAG,
    SESSION_START_INFO_TAG,
)
from tensorboard.summary.writer.record_writer import RecordWriter

from hwlit.paths import last_name
from hwlit.records import Record
from hwlit.storage import replacing


def write_session(folder: Path, record: Record) -> None:
    """Write a run's settings and final readings; nothing for a run that has no record.

    Args:
        folder: Its directory in the study's log directory; what it held is replaced.
        record: The run's record.
    """
    shutil.rmtree(folder, ignore_errors=True)
    if not record.readings:
        return
    now = time.time()
    start, end = plugin_data_pb2.HParamsPluginData(), plugin_data_pb2.HParamsPluginData()
    start.version = end.version = PLUGIN_DATA_VERSION
    start.session_start_info.start_time_secs = now
    for name, value in _settings(record).items():
        slot = start.session_start_info.hparams[name]
        if isinstance(value, bool):
            slot.bool_value = value
        elif isinstance(value, int | float):
            slot.number_value = value
        else:
            slot.string_value = str(value)
    end.session_end_info.end_time_secs = now
    ok = record.status == "ok"
    end.session_end_info.status = 1 if ok else 2  # STATUS_SUCCESS, STATUS_FAILURE
    values = [
        Summary.Value(tag=name, simple_value=reading.value)
        for name, reading in record.readings.items()
    ]
    for tag, data in ((SESSION_START_INFO_TAG, start), (SESSION_END_INFO_TAG, end)):
        plugin = SummaryMetadata.PluginData(
            plugin_name=PLUGIN_NAME, content=data.SerializeToString()
        )
        values.append(Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin)))
    with replacing(folder / "events.out.tfevents.0.hwlit") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=now, file_version="brain.Event:2").SerializeToString())
        writer.write(Event(wall_time=now, summary=Summary(value=values)).SerializeToString())


def _settings(record: Record) -> dict[str, Any]:
    """Return what the run was: adapter with its settings, model, device, precision and seed."""
    adapter, model = record.adapter, record.model.hub_id
    settings = {k: v for k, v in adapter.rest.items() if isinstance(v, str | int | float)}
    named = {
        "adapter": adapter.name,
        "class": adapter.class_,
        **settings,
        "quantised_from": None if record.source is None else record.source.adapter,
        "model": None if model is None else last_name(model),
        "device": record.device.name,
        "precision": record.precision,
        "seed": record.seed,
        "data_seed": record.data.seed,
    }
    return {name: value for name, value in named.items() if value is not None}
