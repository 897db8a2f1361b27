"""Map score from directions and distances between objects, free of the map's place and size."""

from __future__ import annotations

import numpy as np

from ..core.registry import REWARDS
from ..core.types import Answer, Sample
from .matching import Array, Drawn, drawn, matched

MOST = 100
"""Most objects whose relations are compared; of more, an even selection. The work grows with the
cube of their number."""


@REWARDS.register("map_relations")
def map_relations(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Agreement of pairwise directions and of distance order, -1 to 1; free of where and how large
    the map is drawn.

    Direction: the mean cosine between the true and the drawn displacement of two objects. Order:
    for every object, which of two others is nearer; agreements minus disagreements, divided by the
    number of questions. The score is the mean of both, times the share of true pairs that are
    drawn. It is 0 on average for random maps with one object per category.

    >>> from spacer_utils.core.answers import parse
    >>> true = {"tv": [[8, 1]], "bed": [[1, 1]]}
    >>> room = Sample(1, "", "video", "numerical", (), "<answer>2</answer>", "", "", cognitive_map=true)
    >>> map_relations(room, parse("<think><map>{'tv': [[5, 4]], 'bed': [[3, 4]]}</map></think><answer>2</answer>"))
    (1.0, '2 drawn for 2 objects')
    """
    found = drawn(sample, answer)
    if isinstance(found, str):
        return None, found
    everything = np.array([p for ps in found.true.values() for p in ps])
    if not np.any(everything != everything[0]):
        return None, "no two objects of the room stand apart"
    true, mine = _pairs(found)
    if len(true) < 2:
        return 0.0, found.note()
    n, most = len(true), max(found.count, sum(found.written.values()) + found.extra)
    coverage = min(1.0, n * (n - 1) / (most * (most - 1)))
    some = np.linspace(0, n - 1, min(n, MOST)).astype(int)
    parts = [
        v
        for v in (_directions(true[some], mine[some]), _order(true[some], mine[some]))
        if v is not None
    ]
    return coverage * sum(parts) / len(parts) if parts else 0.0, found.note()


def _pairs(map_: Drawn) -> tuple[Array, Array]:
    """(n, 2) true and (n, 2) drawn places of the matched objects.

    Both maps are centred and scaled before they are matched.
    """
    # sorted, so that the order in the map changes no bit of the score
    true = _normal({c: np.array(sorted(ps)) for c, ps in map_.true.items() if map_.valid[c]})
    mine = _normal({c: np.array(sorted(map_.valid[c][: 2 * len(map_.true[c])])) for c in true})
    pairs = [
        (mine[c][i], true[c][j])
        for c in true
        for i, j in matched(mine[c].tolist(), true[c].tolist())
    ]
    return np.array([place for _, place in pairs]), np.array([point for point, _ in pairs])


def _normal(places: dict[str, Array]) -> dict[str, Array]:
    if not places:
        return {}
    everything = np.concatenate(list(places.values()))
    size = float(np.sqrt(((everything - everything.mean(0)) ** 2).sum(1).mean())) or 1.0
    return {c: (p - everything.mean(0)) / size for c, p in places.items()}


def _directions(true: Array, mine: Array) -> float | None:
    """Mean cosine over the pairs whose true places differ; a pair drawn on one spot counts 0."""
    a, b = true[:, None] - true[None], mine[:, None] - mine[None]
    apart = np.hypot(a[..., 0], a[..., 1]) > 1e-9
    norm = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))  # exactly a's square for b = a
    cosines = np.divide((a * b).sum(-1), norm, out=np.zeros_like(norm), where=norm > 1e-12)
    return float(np.clip(cosines[apart], -1, 1).mean()) if apart.any() else None


def _order(true: Array, mine: Array) -> float | None:
    """Agreements minus disagreements on "is B or C nearer to A?", divided by the number of
    questions.

    A triple with equal true distances asks no question.
    """
    tables = [np.hypot(*np.moveaxis(p[:, None] - p, -1, 0)) for p in (true, mine)]
    agreement = decided = 0.0
    for k in range(len(true)):
        others = [np.delete(table[k], k) for table in tables]
        want, got = (np.sign(np.round(o[:, None] - o[None], 9)) for o in others)
        agreement += float((want * got).sum())
        decided += float(np.abs(want).sum())
    return agreement / decided if decided else None
