import zipfile
from contextlib import nullcontext

import pytest
import torch

from hwlit.callbacks.checkpoints import DurableCheckpointIO
from hwlit.errors import IntegrityError
from hwlit.storage import manifest_path, write_with_manifest


@pytest.fixture
def io():
    return DurableCheckpointIO(nullcontext)


CHECKPOINT = {
    "global_step": 4, "epoch": 1, "state_dict": {"a": torch.arange(3.0)}, "loops": {},
    "callbacks": {}, "optimizer_states": [], "lr_schedulers": [], "should_stop": False,
}  # fmt: skip


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
    with pytest.raises(IntegrityError, match="no checkpoint of plain data"):
        io.load_checkpoint(tmp_path / "a.ckpt", weights_only=False)
    assert not (tmp_path / "ran").exists()


def test_a_packed_checkpoint_is_not_unpacked(io, tmp_path):
    """What is packed may unpack to any size."""
    io.save_checkpoint({**CHECKPOINT, "much": torch.zeros(100_000)}, tmp_path / "plain.ckpt")

    def pack(file):
        with (
            zipfile.ZipFile(tmp_path / "plain.ckpt") as plain,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed,
        ):
            for entry in plain.infolist():
                packed.writestr(entry.filename, plain.read(entry))

    write_with_manifest(tmp_path / "packed.ckpt", pack, {"step": 4, "epoch": 1})
    assert io.load_checkpoint(tmp_path / "plain.ckpt")["much"].shape == (100_000,)
    with pytest.raises(IntegrityError, match="no checkpoint of plain data"):
        io.load_checkpoint(tmp_path / "packed.ckpt")
