"""Real batches through verl's own configuration, data loader and reward manager; run with verl's
packages first on the path: ``verl_batches.py EXPORT PROCESSOR REPLIES``.

``REPLIES`` is a JSON list of texts. Every row gets each of them. Prints one JSON line: what the
loader gave and the scores.
"""

from __future__ import annotations

import ast
import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any


def main(export: Path, processor_folder: str, replies: list[str]) -> dict[str, Any]:
    from spacer_utils.core import torchvision_operators  # noqa: F401  # isort: skip
    import torch
    import verl  # type: ignore[import-not-found]
    from hydra import compose, initialize_config_dir  # type: ignore[import-not-found]
    from torch.utils.data import DataLoader
    from transformers import AutoProcessor
    from verl.experimental.reward_loop.reward_loop import (  # type: ignore[import-not-found]
        migrate_legacy_reward_impl,
    )
    from verl.trainer.ppo.reward import load_reward_manager  # type: ignore[import-not-found]
    from verl.utils.dataset.rl_dataset import (  # type: ignore[import-not-found]
        RLHFDataset,
        collate_fn,
    )

    # The options of the export's head, on verl's own defaults.
    head = ast.get_docstring(ast.parse((export / "reward.py").read_text())) or ""
    options = re.findall(r"\S+=\S+", head)
    defaults = Path(verl.__file__).parent / "trainer" / "config"
    with initialize_config_dir(str(defaults), version_base=None):
        config = compose("ppo_trainer", options)
    config = migrate_legacy_reward_impl(config)

    # Its rows, in its batches.
    processor = AutoProcessor.from_pretrained(processor_folder)
    words = processor.tokenizer
    dataset = RLHFDataset(config.data.train_files, words, config.data, processor)
    batches = DataLoader(dataset, batch_size=2, collate_fn=collate_fn)
    manager = load_reward_manager(config, words)
    shapes, scores = [], []
    for batch in batches:
        for messages in batch["raw_prompt"]:
            shapes.append(_shown(RLHFDataset, messages, config))

        # Every reply behind every prompt, as rollouts stand there.
        for text in replies:
            ids = words(text, add_special_tokens=False)["input_ids"]
            proto = verl.DataProto.from_single_dict(
                {
                    **batch,
                    "responses": torch.tensor([ids] * len(batch["raw_prompt"])),
                    "attention_mask": torch.ones(
                        len(batch["raw_prompt"]), len(ids), dtype=torch.long
                    ),
                }
            )
            for k in range(len(proto)):
                found = manager.loop.run_until_complete(manager.run_single(proto[k : k + 1]))
                row = proto[k].non_tensor_batch["reward_model"]["ground_truth"]
                scores.append([row, text, found["reward_score"], found["reward_extra_info"]])
    return {"rows": len(dataset), "options": options, "shapes": shapes, "scores": scores}


def _shown(dataset: Any, messages: Any, config: Any) -> list[Any]:
    """What verl shows of a row's media: (frames, channels, height, width) or (width, height)."""
    images, videos = asyncio.run(dataset.process_vision_info(messages, 14, config.data))
    clips = [list(video.shape) for video, _ in videos or []]
    return clips + [list(image.size) for image in images or []]


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3]))))
