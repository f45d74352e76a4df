"""Drawing while training, and what it must not change."""

import contextlib
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from hwlit.adapters.lora import Lora
from hwlit.callbacks.loggers import TensorBoard
from hwlit.callbacks.samples import Samples
from hwlit.errors import UsageError
from hwlit.tasks.personalization import Personalization

STEPS = 4
LORA = Lora(rank=2, dropout=0.2, learning_rate=1e-2, targets=("unet.*.to_[qkv]",))


class Batches(torch.utils.data.Dataset):
    def __len__(self):
        return 2 * STEPS  # two batches an update

    def __getitem__(self, row):
        generator = torch.Generator().manual_seed(row)
        return {
            "row_id": row,
            "prior": False,
            "latent_mean": torch.randn(4, 8, 8, generator=generator),
            "latent_std": torch.full((4, 8, 8), 0.1),
            "prompt_embeds": torch.randn(77, 32, generator=generator),
        }


class Sampling(contextlib.AbstractContextManager):
    depth = times = 0

    def __enter__(self):
        self.depth += 1
        self.times += 1

    def __exit__(self, *error):
        self.depth -= 1


def samples(task, folder, sampling, every_n_steps=2, remarks=None):
    def pipeline():
        assert sampling.depth == 1  # loading it belongs to the phase as well
        assert not any(module.training for module in task.modules())
        torch.manual_seed(0)  # a sampler may draw from the global generator
        return task.pipeline()

    return Samples(
        pipeline, ["photo of sks dog", "red circle"], [0, 1], every_n_steps=every_n_steps,
        steps=2, guidance=3.0, folder=folder, sampling=lambda: sampling, 
        remark=[].append if remarks is None else remarks.append,
    )  # fmt: skip


def trained(pretrained, folder, callbacks, **settings):
    """Train without seeding each step, so that random state that was moved shows."""
    task = Personalization(adapter=LORA, pretrained=pretrained)
    task.on_train_batch_start = lambda *_: None
    trainer = Trainer(
        accelerator="cpu", max_epochs=1, accumulate_grad_batches=2, logger=TensorBoard(folder),
        callbacks=callbacks(task), enable_progress_bar=False, enable_model_summary=False,
        enable_checkpointing=False, limit_val_batches=0, log_every_n_steps=1, **settings,
    )  # fmt: skip
    torch.manual_seed(7)
    task.trainer = trainer
    loader = DataLoader(Batches(), batch_size=1)
    trainer.fit(task, loader, loader)
    return task


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_is_the_same_with_and_without(precision, tiny_pipelines, tmp_path):
    sampling, modes = Sampling(), []

    def observe(task):
        task.on_before_optimizer_step = lambda *_: modes.append(
            {name: module.training for name, module in task.named_modules()}
        )
        return [samples(task, tmp_path / "samples", sampling)]

    pretrained = tiny_pipelines["sd"]
    plain = trained(pretrained, tmp_path / "a", lambda task: [], precision=precision)
    seen = trained(pretrained, tmp_path / "b", observe, precision=precision)
    for (name, wanted), found in zip(
        plain.learned_state().items(), seen.learned_state().values(), strict=True
    ):
        assert torch.equal(wanted, found), name
    assert sampling.times == 2
    assert len(modes) == STEPS
    assert all(mode == modes[0] for mode in modes)


def test_a_sheet_per_drawing_is_written_and_shown(tiny_pipelines, tmp_path):
    def observe(task):
        return [samples(task, tmp_path / "samples", Sampling(), every_n_steps=3)]

    trained(tiny_pipelines["sd"], tmp_path, observe)
    assert [path.name for path in Path(tmp_path / "samples").iterdir()] == ["step-000003.png"]
    with Image.open(tmp_path / "samples" / "step-000003.png") as sheet:
        assert sheet.width > 2 * 160
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [image.step for image in events.Images("samples")] == [3]


def test_pictures_change_as_the_network_learns(tiny_pipelines, tmp_path):
    trained(tiny_pipelines["sd"], tmp_path, lambda t: [samples(t, tmp_path, Sampling(), 1)])
    sheets = [path.read_bytes() for path in sorted(tmp_path.glob("step-*.png"))]
    assert len(sheets) == len(set(sheets)) == STEPS


def test_never_is_no_interval():
    with pytest.raises(UsageError, match="every 0 steps; give at least 1"):
        samples(None, Path(), Sampling(), every_n_steps=0)


def test_samples_that_cannot_be_drawn_are_told_and_training_goes_on(tiny_pipelines, tmp_path):
    remarks = []

    def broken(task):
        found = samples(task, tmp_path, Sampling(), 2, remarks)
        pipeline = found._pipeline

        def spoilt():
            drawing = pipeline()
            with torch.no_grad():
                drawing.vae.decoder.conv_in.weight.fill_(float("nan"))
            return drawing

        found._pipeline = spoilt
        return [found]

    task = trained(tiny_pipelines["sd"], tmp_path, broken)
    assert task.trainer.global_step == STEPS
    assert [told.partition(":")[0] for told in remarks] == [
        "no sample was drawn at step 2", "no sample was drawn at step 4"
    ]  # fmt: skip
    assert "are not finite" in remarks[0]
    assert not list(tmp_path.glob("step-*.png"))
