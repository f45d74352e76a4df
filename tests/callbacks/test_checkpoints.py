from contextlib import nullcontext

import pytest
import torch

from hwlit.callbacks.checkpoints import DurableCheckpointIO
from hwlit.errors import IntegrityError
from hwlit.storage import manifest_path


@pytest.fixture
def io():
    return DurableCheckpointIO(nullcontext)


CHECKPOINT = {
    "pytorch-lightning_version": "2.6.6",
    "global_step": 4,
    "epoch": 1,
    "state_dict": {"a": torch.arange(3.0)},
}


def test_a_checkpoint_reads_back(io, tmp_path):
    io.save_checkpoint(CHECKPOINT, tmp_path / "a.ckpt")
    found = io.load_checkpoint(tmp_path / "a.ckpt")
    torch.testing.assert_close(found["state_dict"]["a"], torch.arange(3.0))
    io.remove_checkpoint(tmp_path / "a.ckpt")
    assert not list(tmp_path.iterdir())


def test_a_damaged_checkpoint_is_refused(io, tmp_path):
    path = tmp_path / "a.ckpt"
    io.save_checkpoint(CHECKPOINT, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"a\.ckpt differs"):
        io.load_checkpoint(path)
    assert manifest_path(path).exists()


def test_a_checkpoint_runs_no_code(io, tmp_path):
    class Evil:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    io.save_checkpoint({**CHECKPOINT, "evil": Evil()}, tmp_path / "a.ckpt")
    with pytest.raises(IntegrityError, match="could be code"):
        io.load_checkpoint(tmp_path / "a.ckpt", weights_only=False)
    assert not (tmp_path / "ran").exists()
