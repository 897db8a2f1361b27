"""``vllm serve`` as a script: where torchvision is a stock wheel beside a CPU build of torch, its two
operators are declared first, in this process and in those that it spawns."""

from spacer_utils.core import torchvision_operators  # noqa: F401  # isort: skip

from typing import Any


class Loader:
    """Extends vLLM's worker: weights from a file."""

    model_runner: Any

    def load_file(self, path: str) -> None:
        from safetensors.torch import load_file

        self.model_runner.model.load_weights(load_file(path).items())


if __name__ == "__main__":
    from vllm.entrypoints.cli.main import main

    main()
