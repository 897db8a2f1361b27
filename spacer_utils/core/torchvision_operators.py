"""Importing this module makes torchvision importable beside a CPU build of torch.

Every module that imports transformers, trl, peft or torchvision imports this one first: they stop
where torchvision can't be imported.
"""

from __future__ import annotations

import sys
from importlib import import_module

import torch


def _declare() -> None:
    """Declare the two operators that a stock torchvision wheel looks for when torch is another
    build.

    ``import torchvision`` stops with "operator torchvision::nms does not exist" where torch is the
    CPU build and torchvision the stock wheel. Only the schemas are missing; none of our code calls
    the operators.
    """
    try:
        import_module("torchvision")
    except RuntimeError:
        for name in [m for m in sys.modules if m == "torchvision" or m.startswith("torchvision.")]:
            del sys.modules[name]
        box = "(Tensor boxes, Tensor scores, {}float iou_threshold) -> Tensor"
        torch.library.define("torchvision::nms", box.format(""))
        torch.library.define("torchvision::qnms", box.format(""))
        import_module("torchvision")


_declare()
