"""vLLM's processes end with the process that made them, however that one ended.

vLLM 0.32 sees to it only where its own code still runs: after a SIGKILL of the runner its engine core and workers stay,
and with them the GPU's memory. So each of them asks the kernel to be killed with its parent.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal

_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have the kernel kill this process as soon as its parent is gone; nothing where `multiprocessing` made none of it.

    The kernel means the thread that made it: vLLM makes its processes in the main thread.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have gone before the kernel knew of our wish.
    if os.getppid() != parent.pid:
        os.kill(os.getpid(), signal.SIGKILL)
