"""Map score on a scale whose zero is knowing nothing."""

from __future__ import annotations

from ..core.registry import REWARDS
from ..core.types import Answer, Sample
from .matching import calibrated, drawn


@REWARDS.register("map_calibrated")
def map_calibrated(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Map score above the best uninformative map, 1 = perfect, 0 = uninformative, can be negative.

    Two kinds of map tell nothing about a room. One has every object in the middle: among such maps
    the paper's score pays it best. The other scatters the objects at random: it pays that least.
    A drawn map is compared with a mixture of the two that has the same number of points, equally
    far from the middle. So a map in the middle earns 0, a random one earns 0 on average, and only
    right places earn more. An object that really stands in the middle (four cells) earns nothing,
    since a map without information has it right too.

    >>> from spacer_utils.core.answers import parse
    >>> true = {"tv": [[8, 1]], "bed": [[1, 1]]}
    >>> room = Sample(1, "", "video", "numerical", (), "<answer>2</answer>", "", "", cognitive_map=true)
    >>> for cells in ("{'tv': [[8, 1]], 'bed': [[1, 1]]}", "{'tv': [[4, 4]], 'bed': [[4, 4]]}"):
    ...     print(map_calibrated(room, parse(f"<think><map>{cells}</map></think><answer>2</answer>")))
    (1.0, '2 drawn for 2 objects')
    (0.0, '2 drawn for 2 objects')
    """
    found = drawn(sample, answer)
    if isinstance(found, str):
        return None, found
    return calibrated(found), found.note()
