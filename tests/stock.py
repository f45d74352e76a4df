"""What a stranger does with a file: stock diffusers, in a process that has no hwlit."""

import subprocess
import sys

import numpy as np

SCRIPT = """
import sys
import diffusers
import numpy as np
import torch
from safetensors.torch import load_file

base, folder, out, code, prompt = sys.argv[1:]
pipe = diffusers.DiffusionPipeline.from_pretrained(base)
pipe.set_progress_bar_config(disable=True)
exec(code)
assert not any(name.partition(".")[0] == "hwlit" for name in sys.modules)
picture = pipe(prompt, generator=torch.Generator().manual_seed(0), num_inference_steps=2,
               guidance_scale=3.0, output_type="np").images[0]
np.save(out, picture)
"""


def drawn_elsewhere(base, folder, code, prompt="photo of sks dog"):
    """Return what `tests.drawing.drawn` does, of a pipeline after a stranger's lines of code.

    Args:
        base: The folder of the pipeline `pipe`.
        folder: What the code knows as `folder`.
        code: The lines.
        prompt: What to draw.
    """
    out = folder / "picture.npy"
    words = [sys.executable, "-P", "-c", SCRIPT, str(base), str(folder), str(out), code, prompt]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return np.load(out)
