"""Map score on a scale whose zero is knowing nothing."""

from __future__ import annotations

from ..core.registry import REWARDS
from ..core.types import Answer, Sample
from .matching import calibrated, drawn


@REWARDS.register("map_calibrated")
def map_calibrated(sample: Sample, answer: Answer) -> tuple[float | None, str]:
    """Map score above the best uninformative map, 1 = perfect, 0 = uninformative, can be negative.

    Two maps tell nothing about a room: everything in the middle, which the paper's score pays best,
    and everything scattered at random, which it pays least. What a drawn map has to beat lies
    between the two by how far its points stand from the middle, with the drawn counts: then both
    earn 0 (the scattered ones on average), and nothing but where things are earns more. What does
    stand in the middle (four cells) earns nothing either: an uninformed map has it right too.

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
