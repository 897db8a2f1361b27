"""What a map says: the answer that it gives to a question, and the steps from one to the other as a model writes them down.

Cells are square and objects are points there, so now and then even the true map says something else than the room.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from .answers import option_texts, same_text
from .questions.geometry import boundary_gap, sector, turn
from .questions.object_rel_direction import MARGIN, SECTORS
from .types import MapCells, Sample

DISTANCES = ("object_rel_distance", "object_rel_distance_farthest")
CLEAR = 0.5
"""Cells by which the nearest (farthest) option must be nearer (farther) than the next for a map to decide."""
ROUND = 10
"""Degrees to which angles are rounded where they are written down."""


def reading(sample: Sample, cells: MapCells) -> str | None:
    """The answer that a map alone gives, a letter or a number; None where it doesn't decide or the question isn't about maps.

    >>> room = Sample(1, "", "video", "numerical", (), "<answer>2</answer>", "", "", "object_counting", categories=("tv",))
    >>> reading(room, {"tv": [[1, 2]], "bed": [[5, 5]]})
    '1'
    """
    kind, places = sample.question_type, [cells.get(c, []) for c in sample.categories]
    if kind == "object_counting":
        return str(len(places[0]))
    if not all(places):
        return None
    if kind in SECTORS:
        text = _direction(places, kind)
    elif kind in DISTANCES:
        text = _extreme(places, sample.categories, kind)
    else:
        return None
    letters = {same_text(option): name for name, option in option_texts(sample.options).items()}
    return letters.get(same_text(text)) if text else None


def _direction(places: Sequence[list[list[int]]], kind: str) -> str | None:
    if any(len(p) > 1 for p in places):
        return None
    here, ahead, target = (p[0] for p in places)
    angle = _turn(here, ahead, target, kind)
    clear = here not in (ahead, target) and boundary_gap(angle, SECTORS[kind]) >= MARGIN
    return sector(angle, SECTORS[kind]) if clear else None


def _extreme(places: Sequence[list[list[int]]], categories: Sequence[str], kind: str) -> str | None:
    if len(places[0]) > 1:
        return None
    nearest = {c: min(math.dist(places[0][0], p) for p in ps) for c, ps in zip(categories[1:], places[1:])}
    first, second = sorted(nearest, key=nearest.__getitem__, reverse=kind.endswith("farthest"))[:2]
    return first if abs(nearest[first] - nearest[second]) >= CLEAR else None


def steps(sample: Sample, cells: MapCells) -> str:
    """How a map is read, in the form that supervised training imitates: what is asked about, cut out of the map, and what
    follows from it. Empty where one look is enough (counts), where something asked about isn't drawn, and for other questions.

    Each of the other things lies so many cells to the right or left and up or down from the first one. For directions follow the
    ways there in degrees counter-clockwise from the map's right (that to the second thing reversed for a turned back), the turn
    between them, and what it is called, with its letter. For distances the options are gone through by their letters; behind the
    distance of each, in cells, stands the letter of the best one so far. Of several instances the one nearest to the first thing
    is taken.

    >>> room = Sample(1, "", "video", "multiple choice", ("A. left", "B. right"), "<answer>A</answer>", "", "",
    ...               "object_rel_direction_easy", categories=("tv", "bed", "sofa"))
    >>> steps(room, {"bed": [[5, 1]], "tv": [[1, 1]], "sofa": [[1, 4]]})
    "{'tv': [[1, 1]], 'bed': [[5, 1]], 'sofa': [[1, 4]]} -> bed right 4 up 0: 0; sofa right 0 up 3: 90; left 90; left A"
    """
    kind, places = sample.question_type, {c: sorted(cells.get(c, [])) for c in sample.categories}
    if kind not in (*SECTORS, *DISTANCES) or not all(places.values()):
        return ""
    first, *others = sample.categories
    here = places[first][0]
    near: dict[str, list[int]] = {c: min(places[c], key=lambda p: math.dist(here, p)) for c in others}
    if kind in SECTORS:
        walked = _directions(here, near, kind, option_texts(sample.options))
    else:
        letters = {same_text(text): letter for letter, text in option_texts(sample.options or others).items()}
        if set(letters) != set(map(same_text, others)):
            return ""
        near = dict(sorted(near.items(), key=lambda item: letters[same_text(item[0])]))
        walked = _distances(here, near, [letters[same_text(c)] for c in near], farthest=kind.endswith("farthest"))
    cut_out = {c: [list(p)] for c, p in {first: here, **near}.items()}
    return f"{cut_out} -> {'; '.join(walked)}"  # semicolons, because "4, 5" would be a cell


def _directions(here: list[int], near: dict[str, list[int]], kind: str, options: dict[str, str]) -> list[str]:
    (b, ahead), (c, target) = near.items()
    angle = _turn(here, ahead, target, kind)
    says = sector(angle, SECTORS[kind])
    letter = next((f" {letter}" for letter, text in options.items() if same_text(text) == same_text(says)), "")
    return [f"{b} {_offset(here, ahead)}: {_bearing(here, ahead, turned=kind.endswith('backward'))}",
            f"{c} {_offset(here, target)}: {_bearing(here, target)}",
            f"{'left' if angle >= 0 else 'right'} {_rounded(abs(angle))}", f"{says}{letter}"]


def _distances(here: list[int], near: dict[str, list[int]], letters: list[str], farthest: bool) -> list[str]:
    far = [math.dist(here, p) for p in near.values()]
    best = [far.index((max if farthest else min)(far[:k])) for k in range(1, len(far) + 1)]
    return [f"{letter} {c} {_offset(here, p)}: {d:.1f} {letters[k]}"
            for letter, (c, p), d, k in zip(letters, near.items(), far, best)]


def _turn(here: list[int], ahead: list[int], target: list[int], kind: str) -> float:
    """Degrees in [-180, 180), left is positive."""
    return (turn(here, ahead, target) + (180 if kind.endswith("backward") else 0) + 180) % 360 - 180


def _offset(here: list[int], there: list[int]) -> str:
    across, along = there[0] - here[0], there[1] - here[1]
    return f"{'right' if across >= 0 else 'left'} {abs(across)} {'up' if along >= 0 else 'down'} {abs(along)}"


def _bearing(here: list[int], there: list[int], turned: bool = False) -> int:
    return _rounded(math.degrees(math.atan2(there[1] - here[1], there[0] - here[0])) + 180 * turned) % 360


def _rounded(degrees: float) -> int:
    return round(degrees / ROUND) * ROUND
