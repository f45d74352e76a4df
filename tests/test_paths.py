import pytest

from hwlit.paths import is_local, last_name, without_folders


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("/home/me/bert", "bert"), ("/home/me/bert/", "bert"), ("C:\\Users\\me\\bert", "bert"),
        ("\\\\server\\share\\bert", "bert"), ("~/bert", "bert"), ("../me/bert", "bert"),
        ("file:///home/me/bert", "bert"), ("/", "a folder"), ("~", "~"),
    ],
)  # fmt: skip
def test_of_a_path_the_last_name_is_told(name, told):
    assert is_local(name)
    assert last_name(name) == told


@pytest.mark.parametrize("name", ["google-bert/bert-base-uncased", "gpt2", "bundled", "a/b/c.csv"])
def test_a_public_name_is_told_as_it_is(name):
    assert not is_local(name)
    assert last_name(name) == name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/home/me/runs/a holds it", "a holds it"),
        ("model folder /data/me/bert does not exist", "model folder bert does not exist"),
        ("'/home/Jo Doe/runs/a': gone", "'a': gone"),
        ("C:\\Users\\Jo Doe\\runs\\a: gone", "a: gone"),
        ("cannot write D:\\me\\runs\\a", "cannot write a"),
        ("~me/runs/a and ~/b, file:///srv/me/c", "a and b, c"),
        ("(/mnt/me/x.csv)", "(x.csv)"),
        ("see https://huggingface.co/docs/peft/x", "see https://huggingface.co/docs/peft/x"),
        ("test/accuracy, 3 1/s, org/name, and/or", "test/accuracy, 3 1/s, org/name, and/or"),
        ("no path", "no path"),
    ],
)
def test_a_sentence_loses_the_folders_of_its_paths(text, told):
    assert without_folders(text) == told
