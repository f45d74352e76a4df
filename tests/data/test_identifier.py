import pytest

from hwlit.data.identifier import holds_word, remarks_on_identifier
from hwlit.data.prompts import check_prompts
from hwlit.errors import UsageError


@pytest.mark.parametrize(
    ("prompt", "word", "held"),
    [
        ("a photo of sks dog", "sks", True),
        ("Sks, a dog", "sks", True),
        ("dog-sks", "sks", True),
        ("sks_dog", "sks", True),
        ("(sks:1.2)", "sks", True),
        ("sks", "SKS", True),
        ("asksome dog", "sks", False),
        ("sks2 dog", "sks", True),  # CLIP cuts letters from digits
        ("2sks dog", "sks", True),
        ("asks2 dog", "sks2", False),
        ("a cafe\u0301 dog", "caf\xe9", True),  # and composes accents
        ("a caf\xe9 dog", "cafe\u0301", True),
        ("a cafe\u0301 dog", "cafe", False),
        (
            "\u4e00\u53ea\u72d7\u5728\u8349\u5730\u4e0a",
            "\u4e00\u53ea\u72d7",
            True,
        ),  # no spaces between words
        ("a sks\u72d7", "sks", True),
        (
            "\u0e2a\u0e38\u0e19\u0e31\u0e02\u0e17\u0e35\u0e48\u0e14\u0e35",
            "\u0e2a\u0e38\u0e19\u0e31\u0e02",
            True,
        ),  # Thai
        ("\u0441\u043e\u0431\u0430\u043a\u0430", "\u0431\u0430\u043a", False),  # Cyrillic has them
        ("\xe4sks", "sks", False),
        ("a<new1>dog", "<new1>", True),
        ("a new1 dog", "<new1>", False),
        ("", "sks", False),
    ],
)
def test_words_are_compared_whole(prompt, word, held):
    assert holds_word(prompt, word) is held


def told(identifier="sks", new=(), training=("a sks dog",), tested=("sks",), others=("a dog",)):
    return list(remarks_on_identifier(identifier, new, training, tested, others))


def test_nothing_is_told_where_all_is_well():
    assert told() == told("") == []
    assert told("zwx sks", training=["sks zwx dog"], tested=["zwx sks dog"]) == []
    joint = ["a <new1> mug", "a <new2> dog", "<new1> on <new2>"]
    assert told("<new1>", ["<new1>", "<new2>"], joint[:2], joint) == []


def test_captions_without_the_identifier_are_told():
    (none,) = told(training=["a dog on grass", "asksome dog"])
    assert none.startswith(
        "the identifier 'sks' is in no training prompt, so that nothing is learn"
    )
    assert "('a dog on grass' and 1 more) stand for --data.instance_prompt" in none
    (some,) = told(training=["a dog", "a sks dog", "a dog"])
    assert some == (
        "the identifier 'sks' is not in 2 of 3 training prompts ('a dog'), which teach other words"
    )


def test_of_several_words_those_that_lack_are_told():
    (part,) = told("my sks", training=["a sks dog", "one sks dog"], tested=["my sks"])
    assert part == (
        "of the identifier 'my sks' 'my' is in no training prompt; where the rest names the "
        "concept, give it by --data.identifier"
    )
    (never,) = told("my sks", training=["my dog", "a sks dog"], tested=["my sks dog"])
    assert never == (
        "the words of the identifier 'my sks' are in no training prompt together, so that they are "
        "not learned as one; write all of them into each caption, or give those that name the "
        "concept by --data.identifier"
    )


def test_a_new_word_that_is_not_taught_is_told():
    (lost,) = told("<new1>", ["<new1>", "<new2>"], ["a <new1> mug"], ["<new2>"])
    assert lost == "the new word '<new2>' is in no training prompt, so that it learns nothing"
    (none,) = told("<new1>", ["<new1>"], ["a mug"], ["<new1>"])
    assert "'<new1>' is in no training prompt" in none


def test_test_prompts_without_the_identifier_are_told():
    (one,) = told(tested=["a sks dog", "a photo of a mug", "a mug"])
    assert one == (
        "the identifier 'sks' is not in 2 of 3 test prompts ('a photo of a mug' and 1 more), which "
        "are measured as if they named the concept"
    )


def test_the_identifier_in_other_prompts_is_told():
    (held,) = told(others=["a sks dog", "a sks dog", "a cat"])
    assert held.startswith("the identifier 'sks' is in 1 of 2 prompts of the class or of other thi")


def test_an_identifier_within_another_word_is_not_in_the_prompt():
    with pytest.raises(UsageError, match=r"'sks' is not in --data\.instance_prompt"):
        check_prompts("an asksome dog", "sks", ["x"])
