"""Extends a worker of ``vllm serve`` (``--worker-extension-cls``)."""

from __future__ import annotations

from typing import Any


class Loader:
    """Takes weights from a file."""

    model_runner: Any

    def load_file(self, path: str) -> None:
        from safetensors.torch import load_file

        self.model_runner.model.load_weights(load_file(path).items())
