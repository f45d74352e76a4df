import dataclasses

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from hwlit.records import Adapter, Device, Model, Reading, Record, measured
from hwlit.study.collect import NO_RECORD
from hwlit.study.tensorboard import write_session

RECORD = Record(
    status="ok",
    adapter=Adapter("LoRA", "hwlit.Lora", rest={"rank": 8, "rslora": False, "sites": ["a"]}),
    model=Model(hub_id="minilm"),
    device=Device(name="Xeon"),
    precision="32-true",
    seed=1,
    readings={
        "test/accuracy": Reading(0.5, "1", measured("")),
        "fit/energy": Reading(7.25, "J", measured("")),
    },
    absent={},
)


def test_a_session_has_settings_and_every_final_measure(tmp_path):
    write_session(tmp_path / "lora", RECORD)
    events = EventAccumulator(str(tmp_path / "lora"))
    events.Reload()
    assert events.Scalars("test/accuracy")[0].value == 0.5
    assert events.Scalars("fit/energy")[0].value == 7.25
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    settings = HParamsPluginData.FromString(content).session_start_info.hparams
    assert settings["adapter"].string_value == "LoRA"
    assert settings["rank"].number_value == 8
    assert settings["device"].string_value == "Xeon"
    assert "sites" not in settings


def test_a_run_without_a_record_leaves_no_session(tmp_path):
    write_session(tmp_path / "lora", RECORD)
    write_session(tmp_path / "lora", NO_RECORD)
    assert not (tmp_path / "lora").exists()


@pytest.mark.filterwarnings("ignore")  # of TensorBoard's own server
def test_tensorboard_joins_the_columns_of_all_sessions(tmp_path):
    write_session(tmp_path / "lora", RECORD)
    readings = {"test/loss": Reading(0.7, "nat", measured(""))}
    untuned = dataclasses.replace(RECORD, adapter=Adapter("Untuned"), readings=readings)
    write_session(tmp_path / "untuned", untuned)
    events = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    events.Reload()
    provider = MultiplexerDataProvider(events, str(tmp_path))
    context = Context(TBContext(multiplexer=events, data_provider=provider))
    request = RequestContext()
    table = context.experiment_from_metadata(
        request, "", True, context.hparams_metadata(request, ""), []
    )
    assert {"adapter", "rank", "device"} <= {each.name for each in table.hparam_infos}
    tags = {each.name.tag for each in table.metric_infos}
    assert {"test/accuracy", "test/loss", "fit/energy"} <= tags
