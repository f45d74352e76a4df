import pytest

from hwlit.data.prompts import (
    check_prompts,
    common_word,
    cut_off,
    find_identifier,
    remarks_on_prompts,
)
from hwlit.errors import UsageError
from tests.pipelines import WORDS, tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return tiny_tokenizer(tmp_path_factory.mktemp("vocabulary"))


def test_what_is_cut_off_is_told(tokenizer):
    words = ["dog"] * 75
    assert cut_off(tokenizer, " ".join(words)) == ""
    assert cut_off(tokenizer, " ".join([*words, "red", "blue"])) == "red blue"
    told = remarks_on_prompts([tokenizer], [" ".join([*words, "red"]), "photo of dog"], "")
    assert len(told) == 1
    assert "longer than 77 tokens; cut off is 'red'" in told[0]


def test_the_identifier_is_what_the_class_prompt_lacks():
    assert find_identifier("a photo of sks dog", "A photo of dog") == "sks"
    assert find_identifier("photo of zwx sks dog", "photo of dog") == "zwx sks"
    assert find_identifier("a photo of sks dog", None) == ""


def test_a_common_word_is_a_poor_identifier(tokenizer):
    assert WORDS[0] == "photo"  # merged first, so the commonest
    assert common_word(tokenizer, "photo")
    assert common_word(tokenizer, "a")
    assert not common_word(tokenizer, "sks")  # merged last
    assert not common_word(tokenizer, "photo dog")
    assert not common_word(tokenizer, "qzx")  # no word of the vocabulary
    assert "'photo' is a common word" in remarks_on_prompts([tokenizer], [], "photo")[0]
    assert remarks_on_prompts([tokenizer], ["photo of sks dog"], "sks") == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((" ", "", ["x"]), "instance_prompt is empty"),
        (("photo of dog", "sks", ["x"]), "identifier 'sks' is not in --data.instance_prompt"),
        (("photo of dog", "", []), "test_prompts needs at least one"),
        (("photo of dog", "", ["x", " "]), "none of them empty"),
    ],
)
def test_prompts_that_cannot_be_used(given, told):
    with pytest.raises(UsageError, match=told):
        check_prompts(*given)
