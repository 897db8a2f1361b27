"""Dense supervision of the nano base: what stands behind every vision token, and where on the map.

A small model that learns from written maps alone finds the objects very slowly. So every vision
token gets two labels: *which* category it sees, and *in which cell* that object stands. The model
then learns to look first and to write second.

Names and cells are predicted through the language head itself. A token's knowledge and the model's
writing then share their vectors, and attention that copies (``nano``) can write a cell as soon as it
looks at the right token. With heads of their own, cells were known to within two cells, and still
not written after hundreds of steps. The heads for depth, distance and camera are thrown away
afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional as F

from ..core import maps
from ..core.types import Clip
from .nano import CELLS, KEYS

NOTHING = "<|vision_pad|>"
"""The token that stands for walls, floor and ceiling: Qwen's vocabulary has it, and nothing else
uses it."""
SPREAD = 0.7
"""Deviation, in cells, of the target around an object's cell: a guess next door is worth
something."""
MIN_SHARE = 0.04
"""A vision token shows an object if it covers this share of the token's pixels."""


@dataclass(frozen=True)
class Labels:
    """Targets of one clip, one entry per vision token in the order of the prompt."""

    name: npt.NDArray[np.int64]
    """(N,) token id of the category that covers most of the token's pixels, or of ``NOTHING``."""
    cell: npt.NDArray[np.int64]
    """(N, 2) map cell (x, y) of that object, -1 where there is none."""
    place: npt.NDArray[np.float32]
    """(N, 3) log depth of the token's centre; log distance and horizontal offset (half frames) of
    the object, 0 where none."""
    camera: npt.NDArray[np.float32]
    """(N, 6) ``maps.cameras`` of the token's frame, the room's extent as logarithms."""


def labels(
    clip: Clip,
    ids: npt.NDArray[np.int32],
    depth: npt.NDArray[np.float32],
    cells: dict[int, tuple[int, int]],
    token_of: dict[str, int],
    side: int,
) -> Labels:
    """Targets from the id and depth buffers.

    Args:
        ids, depth: (T, H, W) instance ids and metric depth of the frames that the model is given.
        cells: instance id -> map cell.
        token_of: category (and ``NOTHING``) -> token id.
        side: pixels of a vision token's side.
    """
    frames, height, width = ids.shape
    rows, columns = height // side, width // side
    found, objects = _covering(clip, ids, side), clip.scene.objects
    middle = depth.reshape(frames, rows, side, columns, side)[
        :, :, side // 2, :, side // 2
    ].reshape(-1)
    name = np.full(len(found), token_of[NOTHING], np.int64)
    cell = np.full((len(found), 2), -1, np.int64)
    place = np.zeros((len(found), 3), np.float32)
    place[:, 0] = np.log(np.maximum(middle, 0.1))
    focal = clip.intrinsics[0][0] / clip.width * 2
    views = np.linalg.inv(np.array(clip.poses))
    for token in np.flatnonzero(found >= 0):
        o = objects[found[token]]
        name[token], cell[token] = token_of[o.category], cells[o.instance_id]
        x, _, z, _ = views[token // (rows * columns)] @ np.array([*o.box.center, 1.0])
        place[token, 1:] = (
            np.log(max(float(np.hypot(x, z)), 0.1)),
            np.clip(focal * x / max(float(z), 0.1), -2, 2),
        )
    camera = np.repeat(np.array(maps.cameras(clip), np.float32), rows * columns, 0)
    camera[:, 4:] = np.log(camera[:, 4:])
    return Labels(name, cell, place, camera)


def _covering(clip: Clip, ids: npt.NDArray[np.int32], side: int) -> npt.NDArray[np.int64]:
    """(N,) index of the object that covers most of each vision token, -1 where none covers
    ``MIN_SHARE``."""
    frames, height, width = ids.shape
    blocks = (
        ids.reshape(frames, height // side, side, width // side, side)
        .transpose(0, 1, 3, 2, 4)
        .reshape(-1, side * side)
    )
    objects = clip.scene.objects
    share = (
        np.stack([(blocks == o.instance_id).mean(1) for o in objects], 1)
        if objects
        else np.zeros((len(blocks), 1))
    )
    return np.where(share.max(1) >= MIN_SHARE, share.argmax(1), -1)


def shown(clip: Clip, ids: Sequence[npt.NDArray[np.int32]], side: int) -> list[list[list[str]]]:
    """Per frame, row and column: the category of the vision token's label, or an empty
    text."""
    names = np.array([*(o.category for o in clip.scene.objects), ""])
    rows, columns = ids[0].shape[0] // side, ids[0].shape[1] // side
    named: list[list[list[str]]] = (
        names[_covering(clip, np.stack(ids), side)].reshape(len(ids), rows, columns).tolist()
    )
    return named


class Words:
    """Token ids: of ``NOTHING`` and all categories' keys, ascending, and of the cells in their
    order."""

    def __init__(self, tokenizer: Any, device: str = "cpu") -> None:
        ids = tokenizer.convert_tokens_to_ids
        self.nothing = int(ids(NOTHING))
        self.name = torch.tensor(sorted([self.nothing, *ids(list(KEYS.values()))]), device=device)
        self.cell = torch.tensor(ids(list(CELLS)), device=device)


class Heads(nn.Module):
    """What is read off a vision token besides words: depth, distance and offset; the camera in the
    room."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.place = nn.Linear(hidden, 3)
        self.camera = nn.Linear(hidden, 6)


def seen_loss(
    features: torch.Tensor,
    embed: torch.Tensor,
    heads: Heads,
    name: torch.Tensor,
    place: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """Losses of the vision tower alone: names by the language model's own word vectors, and where
    in the picture.

    Args:
        features: (N, hidden) tokens as the language model receives them.
        embed: (vocabulary, hidden) word vectors.
        name, place: ``Labels`` of the same tokens.
    """
    shown = (place[:, 1:].abs().sum(1) > 0)[:, None]
    guess = heads.place(features)
    weight = torch.cat([torch.ones_like(shown), shown, shown], 1).float()
    off = F.smooth_l1_loss(guess, place, reduction="none", beta=0.2)
    return {
        "seen": _name_loss(features @ embed.T, name),
        "place": (off * weight).sum() / weight.sum(),
    }


def known_loss(
    hidden: torch.Tensor,
    logits: torch.Tensor,
    heads: Heads,
    words: Words,
    name: torch.Tensor,
    cell: torch.Tensor,
    camera: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """Losses of the language model at its vision tokens: names and cells by the language head,
    cameras by a head of their own.

    A token says two words at once, so each is chosen among its like. Targets of cells are spread
    over their neighbours: with those and vectors that resemble each other (``nano``), 80 steps
    taught what 230 had without.

    Args:
        logits: (N, vocabulary) of the language head.
    """
    inside = cell[:, 0] >= 0
    off = torch.cdist(cell[inside].float(), _grid(cell.device))
    near = torch.softmax(-(off**2) / (2 * SPREAD**2), 1)
    where = (
        F.cross_entropy(logits[inside][:, words.cell], near) if inside.any() else hidden.sum() * 0
    )
    stands = F.smooth_l1_loss(heads.camera(hidden), camera, beta=0.1)
    return {
        "known": _name_loss(logits[:, words.name], torch.searchsorted(words.name, name)),
        "cell": where,
        "camera": stands,
    }


def cells_off(logits: torch.Tensor, words: Words, cell: torch.Tensor) -> torch.Tensor:
    """Mean distance in cells between the expected and the true cell of the tokens that show an
    object."""
    inside = cell[:, 0] >= 0
    off: torch.Tensor = (
        (logits[inside][:, words.cell].softmax(-1) @ _grid(cell.device) - cell[inside])
        .norm(dim=1)
        .mean()
    )
    return off


def cell_tokens(cell: torch.Tensor, tokenizer: Any) -> torch.Tensor:
    """(N,) token ids of map cells (N, 2); -1 for those that are nowhere."""
    tokens: torch.Tensor = Words(tokenizer, str(cell.device)).cell[cell[:, 0] * 10 + cell[:, 1]]
    return tokens.where(cell[:, 0] >= 0, -1)


def _grid(device: torch.device) -> torch.Tensor:
    """(100, 2) the cells in the order of ``CELLS``."""
    return torch.cartesian_prod(*[torch.arange(10.0, device=device)] * 2)


def _name_loss(logits: torch.Tensor, name: torch.Tensor) -> torch.Tensor:
    """Cross-entropy in which ``NOTHING``, two tokens of three, weighs as much as all objects
    together."""
    each = F.cross_entropy(logits, name, reduction="none")
    common = name == name.mode().values
    return 0.5 * (each[common].mean() + (each[~common].mean() if (~common).any() else 0.0))


def recall(logits: torch.Tensor, words: Words, name: torch.Tensor) -> float:
    """Share of object tokens whose name is the most probable one."""
    objects = name != words.nothing
    said = words.name[logits[:, words.name].argmax(-1)]
    return float((said == name)[objects].float().mean()) if objects.any() else float("nan")


def token_ids(words: Any, categories: tuple[str, ...]) -> dict[str, int]:
    """Category -> token id of its key, and ``NOTHING``'s own."""
    return {c: words.convert_tokens_to_ids(KEYS.get(c, c)) for c in (*categories, NOTHING)}
