import dataclasses
import inspect
from pathlib import Path

from hwlit.records import fields, readings, schema

README = Path(__file__).parents[2] / "README.md"


def test_every_field_has_a_sentence():
    for module in (schema, readings):
        told = fields.sentences(module)
        for name, kind in vars(module).items():
            if inspect.isclass(kind) and dataclasses.is_dataclass(kind) and name in told:
                for field in dataclasses.fields(kind):
                    sentence = told[name].get(field.name, "")
                    assert sentence.endswith("."), f"{name}.{field.name}"


def test_the_readme_shows_the_fields_as_they_are():
    text = README.read_text(encoding="utf-8")
    shown = text.partition(fields.BEGIN)[2].partition(fields.END)[0].strip()
    assert shown == fields.table(), "put in the output of: python -m hwlit.records.fields"
    assert "| `readings.NAME.how.tag` |" in shown
    assert "| `phases[].wall_time` |" in shown
