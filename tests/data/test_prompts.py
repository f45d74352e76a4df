import pytest
import yaml

from hwlit.data.prompts import (
    check_prompts,
    common_word,
    cut_off,
    filled_in,
    find_class,
    find_identifier,
    remarks_on_prompts,
)
from hwlit.errors import UsageError
from hwlit.shipped import config_root
from tests.pipelines import WORDS, tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return tiny_tokenizer(tmp_path_factory.mktemp("vocabulary"))


def test_what_is_cut_off_is_told(tokenizer):
    words = ["dog"] * 75
    assert cut_off(tokenizer, " ".join(words)) == ""
    assert cut_off(tokenizer, " ".join([*words, "red", "blue"])) == "red blue"
    told = remarks_on_prompts([tokenizer], [" ".join([*words, "red"]), "photo of dog"], "sks")
    assert len(told) == 1
    assert "longer than 77 tokens; cut off is 'red'" in told[0]
    (long,) = remarks_on_prompts([tokenizer], ["dog " * 500], "sks")
    assert len(long) < 250


def test_a_concept_without_a_word_of_its_own_is_told(tokenizer):
    (told,) = remarks_on_prompts([tokenizer], ["photo of dog"], "")
    assert "no word tells the concept from its class" in told
    assert "--data.instance_prompt, and give --data.class_prompt without it" in told


def test_the_identifier_is_what_the_class_prompt_lacks():
    assert find_identifier("a photo of sks dog", "A photo of dog") == "sks"
    assert find_identifier("photo of zwx sks dog", "photo of dog") == "zwx sks"
    assert find_identifier("a photo of sks dog", None) == ""
    assert find_identifier("a photo of <a>", None, ["<a>", "<b>"]) == "<a>"
    assert find_identifier("a <a> dog", "a dog", ["<a>", "<b>"]) == "<a>"
    assert find_identifier("a <a> and a <b>", None, ["<a>", "<b>"]) == "<a> <b>"


@pytest.mark.parametrize(
    ("instance_prompt", "class_prompt", "wanted"),
    [
        ("a photo of sks dog", "a photo of Dog.", "sks"),
        ("photo of sks, dog", "photo of dog", "sks"),
        ('a photo of "zwx" (sks) dog!', "a photo of a dog", "zwx sks"),
        ("a photo of <new1>, a dog", "a photo of a dog", "<new1>"),
        ("a photo , of sks dog", "a photo of dog", "sks"),
        ("a photo of sks-zwx dog", "a photo of dog", "sks-zwx"),
    ],
)
def test_punctuation_is_no_part_of_a_word(instance_prompt, class_prompt, wanted):
    assert find_identifier(instance_prompt, class_prompt) == wanted
    check_prompts(instance_prompt, wanted, ["x"])


def test_a_common_word_is_a_poor_identifier(tokenizer):
    assert WORDS[0] == "photo"  # merged first, so the commonest
    assert common_word(tokenizer, "photo")
    assert common_word(tokenizer, "a")
    assert not common_word(tokenizer, "sks")  # merged last
    assert common_word(tokenizer, "photo of")
    assert not common_word(tokenizer, "photo sks")
    assert not common_word(tokenizer, "qzx")  # no word of the vocabulary
    assert "'photo' is common" in remarks_on_prompts([tokenizer], [], "photo")[0]
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


@pytest.mark.parametrize(
    ("instance_prompt", "identifier", "wanted"),
    [
        ("a photo of sks dog", "sks", "dog"),
        ("a photo of a <new1> stuffed animal", "<new1>", "stuffed animal"),
        ("photo of Zwx glorp mug", "zwx glorp", "mug"),
        ("a photo of a <mug>", "<mug>", ""),
        ("a photo of sks, dog.", "sks", "dog"),
        ("a photo of a dog", "", ""),
    ],
)
def test_the_class_follows_the_identifier(instance_prompt, identifier, wanted):
    assert find_class(instance_prompt, identifier) == wanted


def test_one_list_of_prompts_serves_every_concept():
    prompts = ["a wet {identifier} {class}", "{class} and {class}", "plain  text"]
    dog = filled_in(prompts, "sks", "a photo of sks dog", "a photo of dog")
    assert dog == ("a wet sks dog", "dog and dog", "plain  text")
    learned = filled_in(prompts[:1], "<mug>", "a photo of a <mug>", None)
    assert learned == ("a wet <mug>",)
    assert filled_in(None, "sks", "a sks {dog}", None) == ("a sks {dog}",)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((["a {0} dog"], "sks", "a sks dog", "a dog"), r"the placeholder \{0\}; those that are"),
        ((["a {} dog"], "sks", "a sks dog", "a dog"), r"the placeholder \{\}"),
        ((["a {identifier}"], "", "a sks dog", None), "there is none; give --data.identifier"),
        ((["a {class}"], "sks", "a dog sks", "a dog"), "no word follows 'sks'"),
    ],
)
def test_a_placeholder_without_words_is_refused(given, told):
    with pytest.raises(UsageError, match=told):
        filled_in(*given)


@pytest.mark.parametrize("name", ["objects", "live_subjects"])
def test_the_lists_of_dreambooth_are_whole(name):
    text = (config_root() / "prompts" / f"dreambooth_{name}.yaml").read_text()
    data = yaml.safe_load(text)["data"]
    assert list(data) == ["init_args"]  # an overlay
    assert list(data["init_args"]) == ["test_prompts"]
    prompts = filled_in(
        data["init_args"]["test_prompts"], "sks", "a photo of sks dog", "a photo of dog"
    )
    assert len(set(prompts)) == 25
    assert all(prompt.count("sks dog") == 1 and "{" not in prompt for prompt in prompts)
