"""End a process before each of its steps in the file system, one after another, as SIGKILL would.

No `finally` runs and nothing buffered is written, as a patched function that raises would let them.
"""

from __future__ import annotations

import itertools
import os
import sys
import traceback
from collections.abc import Callable, Iterator

# Events of Python's audit hooks: all by which a file comes, changes its name or goes.
STEPS = (
    "open", "os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink",
    "hwlit.step",
)  # fmt: skip


def step() -> None:
    """Be a step of its own, such as in the middle of writing."""
    sys.audit("hwlit.step")


def killed_at_each_step(prepare: Callable[[], None], work: Callable[[], None]) -> Iterator[int]:
    """Prepare and work again and again, each time ended one step later; the last time by itself.

    Args:
        prepare: Makes what is worked on; what an earlier round left is there.
        work: What is ended; it runs in a forked process.

    Yields:
        How many steps were done, for the caller to look at what is left.

    Raises:
        RuntimeError: The work failed.
    """
    for steps in itertools.count():
        prepare()
        ended = _run(work, steps)
        yield steps
        if ended:
            return


def _run(work: Callable[[], None], steps: int) -> bool:
    """Return whether the work ended before it had done more than so many steps."""
    if not (pid := os.fork()):
        done = 0

        def count(event: str, arguments: object) -> None:
            nonlocal done
            if event in STEPS:
                done += 1
                if done > steps:
                    os._exit(9)

        try:
            sys.addaudithook(count)
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code not in (0, 9):
        raise RuntimeError(f"the work failed before step {steps + 1} (exit code {code})")
    return code == 0
