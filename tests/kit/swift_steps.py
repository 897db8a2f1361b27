"""``swift rlhf`` with its arguments, where torchvision is not built for this torch."""

from __future__ import annotations

from spacer_utils.core import torchvision_operators  # noqa: F401  # isort: skip
from swift.pipelines import rlhf_main  # type: ignore[import-not-found]

if __name__ == "__main__":
    rlhf_main()
