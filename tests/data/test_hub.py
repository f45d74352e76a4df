import io

import datasets
import PIL.Image
import pytest

from hwlit.data import hub
from hwlit.errors import DataError

REAL_LOAD = datasets.load_dataset


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Serves a folder of parquet files as any hub data set."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")

    def serving(**parts):
        folder = tmp_path / "parquet"
        folder.mkdir()
        for part, columns in parts.items():
            datasets.Dataset.from_dict(columns).to_parquet(folder / f"{part}-0.parquet")
        files = {part: str(folder / f"{part}-0.parquet") for part in parts}
        monkeypatch.setattr(
            hub,
            "load_dataset",
            lambda name, split: REAL_LOAD("parquet", data_files=files, split=split),
        )

    return serving


def test_a_part_is_read_in_order(serve):
    serve(train={"text": ["NA", "b", ""], "label": [1, 0, 1]}, test={"text": ["c"], "label": [0]})
    train = hub.read_part("some/set", "train", 2)
    assert (train.texts, train.labels) == (["NA", "b", ""], [1, 0, 1])
    assert train.source == "some/set"
    assert hub.read_part("some/set", "test", 2).texts == ["c"]


@pytest.mark.parametrize("label", [-1, 2, None])
def test_other_labels_are_refused(serve, label):
    serve(train={"text": ["a", "b"], "label": [0, label]})
    with pytest.raises(DataError, match=rf"row 1 of train has the label {label} and the text 'b'"):
        hub.read_part("some/set", "train", 2)


def test_a_missing_text_is_refused(serve):
    serve(train={"text": ["a", None], "label": [0, 1]})
    with pytest.raises(DataError, match="row 1 of train has the label 1 and the text 'None'"):
        hub.read_part("some/set", "train", 2)


def test_other_columns_are_refused(serve):
    serve(train={"sentence": ["a"], "label": [0]})
    with pytest.raises(DataError, match="no columns text and label; give a file"):
        hub.read_part("some/set", "train", 2)


@pytest.mark.parametrize(
    "error",
    [
        ConnectionError("Couldn't reach 'x/y' on the Hub\n(offline)"),
        datasets.exceptions.DatasetNotFoundError("Dataset 'x/y' doesn't exist"),
        RuntimeError("Dataset scripts are no longer supported"),
    ],
)
def test_failures_of_the_hub_are_one_sentence(monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(hub, "load_dataset", fail)
    monkeypatch.setattr(hub, "hf_hub_download", fail)
    for read in (lambda: hub.read_part("x/y", "train", 2), lambda: hub.download("x/y", "t.csv")):
        with pytest.raises(DataError, match=r"cannot load x/y from the hub .*--data\.path") as got:
            read()
        assert "\n" not in str(got.value)


def test_offline_the_real_hub_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(DataError, match="cannot load stanfordnlp/imdb from the hub"):
        hub.read_part("stanfordnlp/imdb", "train", 2)


def test_the_revision_is_the_commit_that_was_read(serve, monkeypatch, tmp_path):
    serve(train={"text": ["a"], "label": [0]})
    commit = "0123456789abcdef0123456789abcdef01234567"
    loaded = hub.load_dataset("x/y", "train")
    loaded.info.download_checksums = {f"hf://datasets/x/y@{commit}/train.parquet": {}}
    monkeypatch.setattr(hub, "load_dataset", lambda name, split: loaded)
    assert hub.read_part("x/y", "train", 2).revision == commit
    file = tmp_path / "snapshots" / commit / "train.csv"
    monkeypatch.setattr(hub, "hf_hub_download", lambda name, file_, repo_type: str(file))
    assert hub.download("x/y", "train.csv") == (file, commit)


def pictures(*colours):
    return [PIL.Image.new("RGB", (4, 4), colour) for colour in colours]


@pytest.fixture
def serve_pictures(tmp_path, monkeypatch):
    """Serves pictures as any hub data set, as its Parquet files would."""
    asked = []

    def serving(**columns):
        texts = dict.fromkeys(("text", "caption", "prompt", "notes"), datasets.Value("string"))
        kinds = {"image": datasets.Image(), "label": datasets.Value("int64"), **texts}
        features = datasets.Features({name: kinds[name] for name in columns})
        made = datasets.Dataset.from_dict(columns, features)
        monkeypatch.setattr(
            hub, "load_dataset", lambda *given, **named: asked.append((given, named)) or made
        )
        return asked

    return serving


def test_pictures_come_as_their_files_bytes(serve_pictures):
    asked = serve_pictures(image=pictures("red", "blue"))
    found = hub.read_images("some/set", "dog6").contents
    assert asked == [(("some/set", "dog6"), {"split": "train"})]
    opened = [PIL.Image.open(io.BytesIO(content)).getpixel((0, 0)) for _, content in found]
    assert opened == [(255, 0, 0), (0, 0, 255)]
    assert len({name for name, _ in found}) == 2


def test_pictures_of_several_subjects_are_refused(serve_pictures):
    serve_pictures(image=pictures("red", "blue"), label=[0, 1])
    with pytest.raises(DataError, match=r"holds pictures of 2 subjects; choose one by --data\.sub"):
        hub.read_images("google/dreambooth", None)
    assert len(hub.read_images("google/dreambooth", "dog6").contents) == 2


@pytest.mark.parametrize("column", ["text", "caption", "prompt"])
def test_captions_of_a_set_come_with_its_pictures(serve_pictures, column):
    said = ["a sks\ndog", None, " "]
    serve_pictures(image=pictures("red", "blue", "green"), notes=["x"] * 3, **{column: said})
    found = hub.read_images("some/set", None)
    assert found.captions == {found.contents[0][0]: "a sks dog"}
    serve_pictures(image=pictures("red"), notes=["x"])
    assert hub.read_images("some/set", None).captions == {}


def test_pictures_of_the_same_name_are_told_apart(serve_pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    paths = [tmp_path / folder / "0.png" for folder in ("a", "b")]
    for path, picture in zip(paths, pictures("red", "blue"), strict=True):
        path.parent.mkdir()
        picture.save(path)
    serve_pictures(image=[{"bytes": None, "path": str(path)} for path in paths])
    found = hub.read_images("some/set", None).contents
    assert [name for name, _ in found] == ["0.png", "01-0.png"]
    assert found[0][1] != found[1][1]


def test_a_set_without_pictures_is_refused(serve_pictures):
    serve_pictures(label=[0])
    with pytest.raises(DataError, match="none is image; give a folder"):
        hub.read_images("some/texts", None)


@pytest.mark.parametrize("name", ["csv", "a/b/c", "../x", "hf://datasets/x/y", "s3:/x", "a/..", ""])
def test_what_is_no_name_is_not_loaded(name):
    with pytest.raises(
        DataError, match=r"is (no owner/name|a path here), where the name of a data"
    ):
        hub.read_images(name, None)


def test_a_folder_does_not_stand_for_the_hubs_data_set(tmp_path, monkeypatch):
    (tmp_path / "stanfordnlp" / "imdb").mkdir(parents=True)
    (tmp_path / "stanfordnlp" / "imdb" / "train.csv").write_text("text,label\nmine,0\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="stanfordnlp/imdb is a path here"):
        hub.read_part("stanfordnlp/imdb", "train", 2)


def test_a_set_reads_no_picture_of_this_machine(serve_pictures, tmp_path, monkeypatch):
    pictures("red")[0].save(tmp_path / "private.png")
    serve_pictures(image=[{"bytes": None, "path": str(tmp_path / "private.png")}])
    with pytest.raises(DataError, match=r"names .*private\.png, a file of this machine"):
        hub.read_images("some/set", None)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))  # downloaded with the set
    assert hub.read_images("some/set", None).contents[0][0] == "private.png"
