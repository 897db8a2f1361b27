"""The nano base: a small Qwen-VL that is made and trained here."""

from ..core import torchvision_operators  # noqa: F401
