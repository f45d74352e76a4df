import pytest
import yaml

from hwlit.data.arguments import unquoted
from hwlit.parsing import verbatim_columns


@pytest.mark.parametrize(
    "column", ["topic", "a: b", "- x", "[x]", "#tag", "~", "null", "--x", "1", "it's", 'a"b', "é"]
)
def test_any_column_name_reaches_the_data_as_it_is(column):
    for words in (["--data.text_column", column], [f"--data.label_column={column}"]):
        found = verbatim_columns(["fit", *words, "--seed_everything", "1"])
        assert found[-2:] == ["--seed_everything", "1"]
        value = found[2] if len(words) == 2 else found[1].partition("=")[2]
        assert unquoted(value) == column
        assert isinstance(yaml.safe_load(value), str)  # else the parser would not take it
        assert not value.startswith("-")
    assert verbatim_columns(found) == found
