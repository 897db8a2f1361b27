"""The policy side: nano model, video in TRL, checkpoints, logs. Importing it makes torchvision
importable beside a CPU torch."""

from __future__ import annotations

import torch


def _declare_torchvision_operators() -> None:
    """Declare the two operators that a stock torchvision wheel looks for when torch is another
    build.

    ``import torchvision`` stops with "operator torchvision::nms does not exist" where torch is the
    CPU build and torchvision the stock wheel. Only the schemas are missing; none of our code calls
    the operators.
    """
    try:
        import torchvision
    except RuntimeError:
        import sys

        for name in [m for m in sys.modules if m == "torchvision" or m.startswith("torchvision.")]:
            del sys.modules[name]
        box = "(Tensor boxes, Tensor scores, {}float iou_threshold) -> Tensor"
        torch.library.define("torchvision::nms", box.format(""))
        torch.library.define("torchvision::qnms", box.format(""))
        import torchvision  # noqa: F401


_declare_torchvision_operators()
