"""Tokenizers in use pass, the usual ones without a process; what grows texts is in the corpus."""

import subprocess
from pathlib import Path

import pytest

from hwlit.errors import UsageError
from hwlit.networks.growth import LONGEST_TEXT, MOST_SPECIAL, check_added, checked_parts
from hwlit.networks.patterns import CLIP, GPT4, check_patterns
from hwlit.networks.vetting import check_counts, vet

FILE = Path("tokenizer.json")
BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
SPACES = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
SPLIT = {"type": "Split", "behavior": "Isolated", "invert": False}


def replace(pattern, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def sequence(name, *parts):
    return {"type": "Sequence", name: list(parts)}


def template(ids):
    text, other = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    known = {"<s>": {"id": "<s>", "ids": ids, "tokens": ["<s>"] * len(ids)}}
    single = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, text]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [text, other],
        "special_tokens": known,
    }


IN_USE = {
    "Llama 2": {
        "normalizer": sequence(
            "normalizers", {"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")
        ),
        "post_processor": template([1]),
        "decoder": sequence(
            "decoders",
            replace("▁", " "),
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ),
    },
    "Llama 3": {
        "pre_tokenizer": sequence("pretokenizers", SPLIT | {"pattern": {"Regex": GPT4}}, BYTES),
        "post_processor": sequence("processors", BYTES, template([128000])),
        "decoder": BYTES,
    },
    "CLIP": {
        "normalizer": sequence(
            "normalizers", {"type": "NFC"}, replace(r"\s+", " ", "Regex"), {"type": "Lowercase"}
        ),
        "pre_tokenizer": sequence("pretokenizers", SPLIT | {"pattern": {"Regex": CLIP}}, BYTES),
    },
    "ALBERT, without its table": {
        "normalizer": sequence(
            "normalizers",
            replace("``", '"'),
            {"type": "NFKD"},
            {"type": "StripAccents"},
            {"type": "Lowercase"},
        ),
        "pre_tokenizer": sequence("pretokenizers", {"type": "WhitespaceSplit"}, SPACES),
        "decoder": SPACES,
    },
    "BERT": {
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
    },
}


@pytest.mark.parametrize("parts", IN_USE.values(), ids=IN_USE)
def test_usual_tokenizers_need_no_process(parts, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *words, **settings: pytest.fail("a process"))
    check_patterns(FILE, parts)


def test_what_is_put_in_for_a_line_is_tried_and_passes():
    written = sequence("normalizers", replace("\n", "</n>"), replace(" ", "</_>"))
    check_patterns(FILE, {"normalizer": written})


def test_parts_are_read_as_the_library_reads_them():
    bare = {"normalizers": [{"pattern": {"String": "a"}, "content": "b"}, {"type": "NFC"}]}
    parts = checked_parts(FILE, {"normalizer": bare})
    assert [part["type"] for part in parts["normalizer"]] == ["Replace", "NFC"]


def test_tokens_around_a_text_are_counted():
    checked_parts(FILE, {"post_processor": template([1] * MOST_SPECIAL)})
    with pytest.raises(UsageError, match="and 65 tokens beside it"):
        checked_parts(FILE, {"post_processor": template([1] * (MOST_SPECIAL + 1))})


def test_texts_up_to_the_limit_pass_and_words_of_the_vocabulary_are_not_among_them():
    long = "x" * LONGEST_TEXT
    model = {"vocab": {"x" * 10_000: 0}, "continuing_subword_prefix": long}
    checked_parts(FILE, {"model": model})
    with pytest.raises(UsageError, match="continuing_subword_prefix"):
        checked_parts(FILE, {"model": {"continuing_subword_prefix": long + "x"}})


def test_added_tokens_of_gemma_pass():
    check_added("tokenizer.json", iter(["\n" * 31, *(f"<unused{n}>" for n in range(7_000))]))


# Of the classes of transformers 5; to import them all takes half a minute.
FILES = (
    "bpe.codes", "byte_maps.json", "emoji.json", "entity_vocab.json", "merges.txt",
    "normalizer.json", "prophetnet.tokenizer", "sentencepiece.bpe.model", "spiece.model",
    "tokenizer.model", "vocab-src.json", "vocab.txt", "word_pronunciation.json",
    "chat_template.jinja",
)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_file_that_a_tokenizer_reads_has_a_limit(name, tmp_path, monkeypatch):
    monkeypatch.setattr("hwlit.networks.vetting.LARGEST_VOCABULARY", 10)
    monkeypatch.setattr("hwlit.networks.vetting.LARGEST_CONFIG", 10)
    (tmp_path / name).write_text("01234567890")
    with pytest.raises(UsageError, match="11 bytes"):
        vet(tmp_path)


def test_weights_and_data_beside_a_model_have_no_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("hwlit.networks.vetting.LARGEST_VOCABULARY", 10)
    for name in ("pytorch_model.bin", "train.csv", "events.out.tfevents.1"):
        (tmp_path / name).write_text("01234567890")
    vet(tmp_path)


def test_numbers_of_models_in_use_pass():
    """Of Llama 4, InternLM 3, GPT-Neo and Qwen's tokenizer."""
    large = {
        "max_position_embeddings": 10_485_760, "rope_theta": 50_000_000, "vocab_size": 262_208,
        "attention_types": [[["global", "local"], 12]], "eos_token_id": [1, 106],
        "model_max_length": 10**30, "text_config": {"rope_local_base_freq": 10**9},
    }  # fmt: skip
    check_counts("config.json", large)
