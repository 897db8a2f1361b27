"""Vision features computed once per unique medium inside a forward, and rotary positions as
Qwen2.5-VL was trained with.

Both change transformers' models at run time. Saved checkpoints are not affected.
"""

from __future__ import annotations

from ..core import torchvision_operators  # noqa: F401  # isort: skip

import contextlib
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch

from .encoder import NAMES, Batch


def backbone(model: Any) -> Any:
    """The inner model that owns the vision tower, under LoRA and distributed wrappers."""
    while hasattr(model, "module"):
        model = model.module
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).model


class SharedVision:
    """Lets the rows of a forward share their media: each medium is encoded once, gradients included.

    Inside ``rows(...)`` a forward gets the grid of every placeholder, which rotary positions need,
    and the pixels of every medium once. If the tower is frozen, features are kept in the ``Batch``.
    """

    def __init__(self, model: Any, always: bool = False) -> None:
        """Change the model's feature functions.

        Args:
            always: run the tower for videos and images in every forward. Sharded parameters need
                that, since a rank without media must take part too.
        """
        self.model = backbone(model)
        self.always = always
        self._batch: Batch | None = None
        self._wanted: dict[str, list[int]] = {}
        for kind in NAMES:
            setattr(
                self.model,
                f"get_{kind}_features",
                self._features(kind, getattr(type(self.model), f"get_{kind}_features")),
            )

    @property
    def frozen(self) -> bool:
        return not any(p.requires_grad for p in self.model.visual.parameters())

    @contextlib.contextmanager
    def rows(
        self, batch: Batch, rows: Sequence[int], device: torch.device | str
    ) -> Iterator[dict[str, torch.Tensor]]:
        """The arguments for a forward or ``generate`` over these rows of the batch, which must run
        inside the context."""
        before = self._batch, self._wanted
        self._batch, self._wanted = batch, {kind: batch.wanted(kind, rows) for kind in NAMES}
        try:
            given = batch.positions(rows)
            for kind, (values, grid) in NAMES.items():
                if self._wanted[kind] or self.always:
                    given[values] = torch.cat(
                        [batch.media[m].values for m in self._missing(kind)] or [self._blank()]
                    )
                    given.setdefault(grid, torch.zeros(0, 3, dtype=torch.long))
            yield {k: v.to(device) for k, v in given.items()}
        finally:
            self._batch, self._wanted = before

    def text_positions(
        self, batch: Batch, rows: Sequence[int], inputs: Mapping[str, torch.Tensor]
    ) -> torch.Tensor:
        """(3, rows, tokens) rotary positions of these rows, as the model's forward would compute
        them."""
        mask = inputs["attention_mask"]
        given = batch.positions(rows)
        if not given:  # the model counts such tokens in order
            return (mask.cumsum(-1) - 1).clamp(min=0).expand(3, *mask.shape)
        found: torch.Tensor = self.model.get_rope_index(
            inputs["input_ids"],
            mm_token_type_ids=inputs["mm_token_type_ids"],
            attention_mask=mask,
            **{k: v.to(mask.device) for k, v in given.items()},
        )[0]
        return found

    def _missing(self, kind: str) -> list[int]:
        """The context's media without kept features, each once, in order."""
        assert self._batch is not None
        return [
            m
            for m in dict.fromkeys(self._wanted[kind])
            if (id(self.model), m) not in self._batch.features
        ]

    def _blank(self) -> torch.Tensor:
        """The smallest medium that the tower accepts: it is encoded if there is no other."""
        c = self.model.config.vision_config
        return torch.zeros(
            c.spatial_merge_size**2, c.in_channels * c.temporal_patch_size * c.patch_size**2
        )

    def _features(self, kind: str, original: Any) -> Any:
        values, grid = NAMES[kind]

        @functools.wraps(original)  # generate() asks for the names of the parameters
        def compute(*args: Any, **kwargs: Any) -> Any:
            given = dict(zip((values, grid), args)) | kwargs
            given.pop("packed", None)  # the text's, and no patch is text
            if self._batch is None:
                return original(self.model, **given)
            batch, missing = self._batch, self._missing(kind)
            found = {
                m: batch.features[id(self.model), m] for m in self._wanted[kind] if m not in missing
            }
            blank: tuple[torch.Tensor, ...] = ()
            if missing or self.always:
                merge = self.model.config.vision_config.spatial_merge_size
                grids = torch.stack(
                    [batch.media[m].grid for m in missing] or [torch.tensor([1, merge, merge])]
                )
                fresh = self._encode(original, {**given, grid: grids.to(given[values].device)})
                blank = () if missing else tuple(f[:0] for f in fresh[0])
                found |= dict(zip(missing, fresh))
                if self.frozen:
                    batch.features.update({(id(self.model), m): found[m] for m in missing})
            layers = list(zip(*(found[m] for m in self._wanted[kind]))) or [(f,) for f in blank]
            return SimpleNamespace(
                pooler_output=layers[0], deepstack_features=[tuple(f) for f in layers[1:]]
            )

        return compute

    def _encode(self, original: Any, given: dict[str, Any]) -> list[tuple[torch.Tensor, ...]]:
        """For each medium: its features, and those of each deepstack layer (Qwen3-VL)."""
        batch, self._batch = (
            self._batch,
            None,
        )  # Qwen3-VL's get_video_features calls get_image_features
        try:
            with torch.no_grad() if self.frozen else contextlib.nullcontext():
                out = original(self.model, **given)
        finally:
            self._batch = batch
        return list(zip(out.pooler_output, *(getattr(out, "deepstack_features", None) or [])))


# --------------------------------------------------------------------------------- rotary positions


def rope_index(
    self: Any,
    input_ids: torch.Tensor,
    mm_token_type_ids: torch.Tensor,
    image_grid_thw: Any = None,
    video_grid_thw: Any = None,
    second_per_grid_ts: Any = None,
    attention_mask: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(3, rows, tokens) positions and (rows, 1) offsets of Qwen2-VL and Qwen2.5-VL.

    In the published algorithm, with which the checkpoints were trained, text behind a medium starts
    one past its largest position. In transformers 5.23 it starts at ``max(h, w)`` of the medium:
    text behind a clip of 60 s then gets positions inside the clip (9 instead of 97).
    """
    config = self.config.vision_config
    merge, per_second = config.spatial_merge_size, getattr(config, "tokens_per_second", None)
    grids = {
        kind: iter(() if g is None else g) for kind, g in ((1, image_grid_thw), (2, video_grid_thw))
    }
    seconds = iter(second_per_grid_ts if second_per_grid_ts is not None else itertools.repeat(1.0))
    mask = (
        attention_mask.bool()
        if attention_mask is not None
        else torch.ones_like(input_ids, dtype=torch.bool)
    )
    positions = torch.zeros(3, *input_ids.shape, dtype=input_ids.dtype, device=input_ids.device)
    offsets = []
    for row in range(len(input_ids)):
        parts, start = [], 0
        for kind, run in itertools.groupby(mm_token_type_ids[row][mask[row]].tolist()):
            if kind == 0:
                part = torch.arange(len(list(run))).expand(3, -1)
            else:
                t, h, w = next(grids[kind]).tolist()
                # Qwen2-VL counts temporal patches, Qwen2.5-VL seconds
                step = float(next(seconds)) * per_second if kind == 2 and per_second else 1
                axes = (
                    (torch.arange(t) * step).long(),
                    torch.arange(h // merge),
                    torch.arange(w // merge),
                )
                part = torch.stack(torch.meshgrid(*axes, indexing="ij")).flatten(1)
            parts.append(part + start)
            start = int(parts[-1].max()) + 1
        found = torch.cat(parts, dim=1).to(positions)
        positions[:, row, mask[row]] = found
        offsets.append(start - found.shape[1])
    return positions, torch.tensor(offsets, device=input_ids.device).unsqueeze(1)


def misplaces_text(cls: Any) -> bool:
    """Whether a model class lets text behind a clip begin elsewhere than one past the clip's
    largest position."""
    config = SimpleNamespace(
        vision_config=SimpleNamespace(spatial_merge_size=2, tokens_per_second=2)
    )
    model = SimpleNamespace(
        config=config,
        get_vision_position_ids=lambda *a, **k: cls.get_vision_position_ids(None, *a, **k),
    )
    types = torch.tensor([[0] + [2] * 8 + [0]])
    found, _ = cls.get_rope_index(
        model,
        torch.ones_like(types),
        types,
        video_grid_thw=torch.tensor([[8, 2, 2]]),
        second_per_grid_ts=torch.tensor([1.0]),
    )
    return bool(found[0, 0, -1] != found[:, 0, 1:9].max() + 1)


def repair_positions() -> list[str]:
    """Give Qwen2-VL and Qwen2.5-VL the published positions, if transformers has others.

    Returns the names of the changed classes.
    """
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel
    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel

    changed = []
    for cls in (Qwen2VLModel, Qwen2_5_VLModel):
        if misplaces_text(cls):
            cls.get_rope_index = rope_index
            changed.append(cls.__name__)
    return changed
