"""The kernel of headless runs: IPython's, but for its end."""

from __future__ import annotations

import contextlib
import signal
from typing import Any

from ipykernel.ipkernel import IPythonKernel


class Kernel(IPythonKernel):
    """Does not mind the SIGINT that jupyter_client ends every kernel with.

    papermill's last request asks for the kernel's name. The signal comes as soon as it has the
    answer, which on a busy machine the kernel is still sending; it would print "KeyboardInterrupt
    caught in kernel" after a run that is done.
    """

    async def kernel_info_request(self, stream: Any, ident: Any, parent: Any) -> None:
        with contextlib.suppress(ValueError):  # other threads answer too, and have no signals
            signal.signal(
                signal.SIGINT, signal.SIG_IGN
            )  # as between requests; the next request sets it again
        await super().kernel_info_request(stream, ident, parent)  # type: ignore[no-untyped-call]
