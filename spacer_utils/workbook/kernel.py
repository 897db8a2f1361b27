"""The kernel that runs notebooks headless: IPython's kernel, which ignores the interrupt at its end."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

from ipykernel.ipkernel import IPythonKernel


class Kernel(IPythonKernel):
    """Ignores the SIGINT with which jupyter_client ends every kernel.

    papermill's last request asks for the kernel's name, and the signal follows the answer at once.
    On a busy machine the kernel may still be sending that answer. It would then print
    "KeyboardInterrupt caught in kernel" after a run that is done.
    """

    async def kernel_info_request(self, stream: Any, ident: Any, parent: Any) -> None:
        # a thread other than the main one can't set signals, and raises ValueError
        with contextlib.suppress(ValueError):
            # the kernel ignores it between requests too; its next request sets it again
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        await super().kernel_info_request(stream, ident, parent)  # type: ignore[no-untyped-call]
