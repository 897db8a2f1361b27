"""Plugin for ms-swift: its template for Qwen3-VL has the token ids of the hub's vocabulary; the small
base has a vocabulary of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

from swift.template.templates.qwen import Qwen2VLTemplate  # type: ignore[import-not-found]

config = json.loads((Path(os.environ["SPACER_BASE"]) / "config.json").read_text())
Qwen2VLTemplate.image_token_id = config["image_token_id"]
Qwen2VLTemplate.video_token_id = config["video_token_id"]
