import json

import pytest
import torch
from jsonargparse import ArgumentParser
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from hwlit.data import base as module
from hwlit.data.base import TextData
from hwlit.data.batching import LengthBatchSampler
from hwlit.data.tweets import Tweets
from hwlit.errors import DataError, UsageError

pytestmark = [  # Lightning's own
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*callbacks used to create the checkpoint"),
]


@pytest.fixture
def make(tweets_csv, tokenizer):
    """Makes a data module over the small file."""
    return lambda **given: Tweets(**{"tokenizer": "any", "path": str(tweets_csv)} | given)


class Listener(LightningModule):
    """Learns one number and writes down the rows of every batch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []
        self.validated = []

    def training_step(self, batch, batch_idx):
        self.seen.append((self.current_epoch, batch["row_id"].tolist()))
        return self.weight.sum()

    def validation_step(self, batch, batch_idx):
        self.validated.extend(batch["row_id"].tolist())

    def configure_optimizers(self):
        _ = self.trainer.estimated_stepping_batches  # as schedules do; it makes the loaders early
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Crash(Exception):
    pass


class Stop(Callback):
    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            raise Crash


def trainer(tmp_path, epochs, *callbacks, **settings):
    return Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        default_root_dir=tmp_path,
        callbacks=list(callbacks),
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=bool(callbacks),
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        **settings,
    )


def expected(data, epoch):
    """The batches of an epoch, from the sampler alone."""
    part = data._ready().parts["train"]
    sampler = LengthBatchSampler(part.lengths, data.batch_size, data.shuffle_seed, True)
    sampler.set_epoch(epoch)
    return [(epoch, [part.row_ids[index] for index in batch]) for batch in sampler]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_lightning_gives_every_epoch_its_own_order(make, tmp_path, num_workers):
    data, listener = make(num_workers=num_workers, seed=3, shuffle_seed=4), Listener()
    trainer(tmp_path, 2).fit(listener, data)
    assert listener.seen == expected(data, 0) + expected(data, 1)
    assert [sorted(rows) for _, rows in expected(data, 0)] != [
        sorted(rows) for _, rows in expected(data, 1)
    ]
    row_ids = data._ready().parts["validation"].row_ids
    assert sorted(listener.validated) == sorted(row_ids * 2)


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("step", [5, 10, 14])
def test_a_run_goes_on_where_its_checkpoint_was_written(make, tmp_path, step, num_workers):
    saving = ModelCheckpoint(
        tmp_path / "kept", "last", every_n_train_steps=1, enable_version_counter=False
    )
    data, first = make(num_workers=num_workers), Listener()
    with pytest.raises(Crash):
        trainer(tmp_path, 2, saving, Stop(step)).fit(first, data)
    data, second = make(num_workers=num_workers), Listener()
    path = tmp_path / "kept" / "last.ckpt"
    trainer(tmp_path, 2).fit(second, data, ckpt_path=path, weights_only=True)
    written = torch.load(path, weights_only=True)["global_step"]
    whole = expected(data, 0) + expected(data, 1)
    assert len(whole) == 18
    assert second.seen == whole[written:]
    assert written == step - 1  # callbacks that save come last


def test_a_checkpoint_of_other_rows_is_refused_for_training(make, write_csv, tmp_path):
    saving = ModelCheckpoint(tmp_path / "kept", "last", enable_version_counter=False)
    trainer(tmp_path, 1, saving).fit(Listener(), make())
    rows = [(f"other {i}", str(i % 2)) for i in range(200)]
    other = make(path=str(write_csv(["text", "target"], rows)))
    with pytest.raises(DataError, match="holds other rows than those that the checkpoint"):
        trainer(tmp_path, 2).fit(Listener(), other, ckpt_path=tmp_path / "kept" / "last.ckpt")
    trainer(tmp_path, 2).validate(Listener(), other, ckpt_path=tmp_path / "kept" / "last.ckpt")


def test_preparing_twice_reads_once(make, monkeypatch):
    data, calls = make(), []
    read = module.read_rows
    monkeypatch.setattr(module, "read_rows", lambda *given: calls.append(given) or read(*given))
    data.prepare_data()
    data.prepare_data()
    data.setup("fit")
    data.setup("test")
    assert len(calls) == 1


def test_loaders_draw_nothing_from_the_global_random_numbers(make):
    data = make()
    before = torch.get_rng_state()
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        list(loader)
    assert torch.equal(before, torch.get_rng_state())


def test_batches_carry_rows_and_labels_that_belong_together(make):
    data = make(eval_batch_size=7)
    rows = {row: (text, label) for row, text, label in data.test_rows()}
    seen = []
    for batch in data.test_dataloader():
        for row, label, mask in zip(
            batch["row_id"].tolist(), batch["labels"].tolist(), batch["attention_mask"], strict=True
        ):
            text, wanted = rows[row]
            assert label == wanted == row % 2
            assert text.startswith(f"t{row}")
            assert int(mask.sum()) == len(text.split()) + 2
            seen.append(row)
    assert sorted(seen) == sorted(rows) == [row for row, _, _ in data.test_rows()]


def test_ranks_share_the_test_rows(make):
    class Process:
        def __init__(self, rank):
            self.global_rank, self.world_size = rank, 2

    seen = []
    for rank in range(2):
        data = make(eval_batch_size=4)
        data.trainer = Process(rank)
        seen.append([row for b in data.test_dataloader() for row in b["row_id"].tolist()])
    assert sorted(seen[0] + seen[1]) == [row for row, _, _ in make().test_rows()]
    assert len(seen[0]) == len(seen[1])


def test_batches_may_have_one_fixed_length(make):
    lengths = {b["input_ids"].shape[1] for b in make(pad_to_max_length=True).train_dataloader()}
    assert lengths == {128}
    assert max(b["input_ids"].shape[1] for b in make().train_dataloader()) < 20


def test_a_test_file_of_its_own(make, write_csv):
    rows = [("t4 fire", "0"), ("T3 ", "1"), ("new", "1")]
    data = make(test_path=str(write_csv(["text", "target"], rows, "test.csv")))
    assert data.test_rows() == [(0, "t4 fire", 0), (1, "T3 ", 1), (2, "new", 1)]
    report = data.report()
    assert report["rows"]["test"] == 3
    assert [source.endswith(".csv") for source in report["source"]] == [True, True]


@pytest.fixture
def gaps_csv(write_csv):
    """120 rows, of which every tenth has an empty text."""
    texts = ["" if i % 20 == 3 else " \n" if i % 20 == 13 else f"t{i}" for i in range(120)]
    return write_csv(["text", "target"], [(text, str(i // 2 % 2)) for i, text in enumerate(texts)])


def test_empty_texts_are_kept_and_counted(make, gaps_csv):
    report = make(path=str(gaps_csv)).report()
    assert (report["empty_texts"], report["dropped"]["empty_text"]) == (12, 0)
    assert report["empty_texts_policy"] == "keep"
    assert sum(report["rows"][part] for part in ("train", "validation", "test")) == 120


@pytest.mark.parametrize("own_test", [False, True])
def test_dropped_rows_leave_the_others_their_ids(make, gaps_csv, write_csv, own_test):
    rows = [("new 0", "0"), ("", "0"), ("new 2", "1")]
    test = str(write_csv(["text", "target"], rows, "test.csv")) if own_test else None
    data = make(path=str(gaps_csv), test_path=test, empty_texts="drop")
    report = data.report()
    assert report["dropped"]["empty_text"] == 12 + own_test
    assert (report["rows"]["read"], report["empty_texts"]) == (120 + 3 * own_test, 12 + own_test)
    if own_test:
        assert data.test_rows() == [(0, "new 0", 0), (2, "new 2", 1)]
    parts = data._ready().parts
    for name in ("train", "validation") if own_test else ("train", "validation", "test"):
        for row_id, label in zip(parts[name].row_ids, parts[name].labels, strict=True):
            assert row_id % 10 != 3
            assert label == row_id // 2 % 2
    served = [row for batch in data.train_dataloader() for row in batch["row_id"].tolist()]
    assert sorted(served) == parts["train"].row_ids


def test_empty_texts_may_stop_the_run(make, gaps_csv):
    with pytest.raises(DataError, match=r"d.csv has 12 empty texts, the first in row 3 .*drop"):
        make(path=str(gaps_csv), empty_texts="error").prepare_data()


def test_weights_are_in_training_batches_alone(make):
    data = make(class_weights={"disaster": 2.5})
    for batch in data.train_dataloader():
        assert batch["weight"].tolist() == [2.5 if label else 1.0 for label in batch["labels"]]
        assert batch["weight"].dtype == torch.float32
    assert data.report()["class_weights"] == {"not disaster": 1.0, "disaster": 2.5}
    plain = [*data.val_dataloader(), *data.test_dataloader(), data.sample_batches((4,))[4]]
    assert not any("weight" in batch for batch in plain)
    assert not any("weight" in batch for batch in make().train_dataloader())
    assert make().report()["class_weights"] is None


def test_weights_of_other_classes_are_refused(make):
    with pytest.raises(UsageError, match="has 'x', which is no class"):
        make(class_weights={"x": 2.0}).prepare_data()


def test_the_report_is_plain_and_the_same_again(make, cache):
    report = make().report()
    assert json.loads(json.dumps(report)) == report
    assert report == make().report()
    assert report["seed"] == 0
    assert report["rows"]["read"] == sum(
        report["rows"][part] for part in ("train", "validation", "test")
    )
    assert report["fingerprint"] == make(seed=1).report()["fingerprint"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"test_size": 0}, "--data.test_size is 0; give a number of rows"),
        ({"test_size": 1.0}, "test_size is 1.0"),
        ({"test_size": True}, "test_size is True"),
        ({"validation_size": 0.0}, "validation_size is 0.0"),
        ({"validation_size": -3}, "validation_size is -3"),
        ({"train_size": 0}, "train_size is 0; give a whole number from 1"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"eval_batch_size": 1.5}, "eval_batch_size is 1.5"),
        ({"max_length": 0}, "max_length is 0"),
        ({"num_workers": -1}, "num_workers is -1; give a whole number from 0"),
        ({"seed": -1}, "seed is -1"),
        ({"path": None, "test_path": "t.csv"}, "test_path needs --data.path"),
    ],
)
def test_arguments_out_of_range_are_refused(make, argument, message):
    with pytest.raises(UsageError, match=message):
        make(**argument)


def test_a_tokenizer_without_padding_is_refused(make, tokenizer):
    tokenizer.pad_token = None
    with pytest.raises(UsageError, match="the tokenizer any has no padding token"):
        make().prepare_data()


def test_the_base_class_is_abstract():
    with pytest.raises(TypeError):
        TextData(tokenizer="any", max_length=8)


def test_the_command_line_shows_and_takes_the_arguments(capsys):
    parser = ArgumentParser()
    parser.add_subclass_arguments(TextData, "data")
    given = ["--data", "hwlit.data.tweets.Tweets", "--data.tokenizer", "any"]
    parsed = parser.parse_args([*given, "--data.test_size", "2500", "--data.validation_size=0.2"])
    assert parsed.data.init_args.test_size == 2500
    assert isinstance(parsed.data.init_args.test_size, int)
    assert parsed.data.init_args.validation_size == 0.2
    assert parsed.data.init_args.max_length == 128
    with pytest.raises(SystemExit):
        parser.parse_args(["--data.help", "hwlit.data.tweets.Tweets"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "Trains on a stratified sample of this many rows" in shown
    assert "Longer tweets are cut to this many tokens" in shown
