"""Replies scored as ms-swift scores rollouts; run with its packages first on the path:
``swift_scores.py EXPORT REPLIES``.

Rows come from its own loader. Every row gets each reply. Prints one JSON line.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(export: Path, replies: list[str]) -> list[Any]:
    from spacer_utils.core import torchvision_operators  # noqa: F401  # isort: skip
    import torch
    from swift.dataset import load_dataset  # type: ignore[import-not-found]
    from swift.rewards import orms  # type: ignore[import-not-found]
    from swift.rl_core.data import GRPOSample  # type: ignore[import-not-found]
    from swift.rl_core.grpo_algorithm import score_completions  # type: ignore[import-not-found]
    from swift.utils.utils import import_external_file  # type: ignore[import-not-found]

    import_external_file(str(export / "reward.py"))
    names = [name for name in orms if name.startswith("spacer_")]
    # As its command for GRPO loads them.
    rows, _ = load_dataset(
        str(export / "train.jsonl"),
        split_dataset_ratio=0.0,
        num_proc=1,
        remove_unused_columns=False,
    )
    found = []
    for text in replies:
        samples = [GRPOSample.from_row(dict(row)) for row in rows]
        for sample in samples:
            sample.messages.append({"role": "assistant", "content": text})
        paid = score_completions(
            samples,
            [orms[name]() for name in names],
            [None] * len(names),
            False,
            torch.device("cpu"),
        )
        for sample, values in zip(samples, paid.tolist()):
            terms = {
                n.removeprefix("spacer_"): v if v == v else None for n, v in zip(names, values)
            }
            found.append([sample.extra["sample"], text, terms])
    return found


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), json.loads(sys.argv[2]))))
