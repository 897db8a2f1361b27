"""The answer that a map gives to a question, and the written steps from the map to the answer.

On a map, objects are points in cells. So even the true map may give another answer than the room.
"""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from itertools import takewhile

from .answers import same_text
from .directions import MARGIN, SECTORS, boundary_gap, sector, turn_angle
from .options import option_texts
from .types import MapCells, Sample

DISTANCES = ("object_rel_distance", "object_rel_distance_farthest")
CLEAR = 0.5
"""Cells by which the nearest (farthest) option must lead over the next, or the map doesn't decide."""
LETTERS = string.ascii_lowercase
HOURS = 24
"""Parts of a full turn: a direction is written as a whole number of them."""
LONGEST = (len(LETTERS) - 1) / 2
"""The longest distance that a letter can say, in cells. Longer ones are written as this."""


def _names_its_objects(sample: Sample) -> bool:
    """Whether a map could answer the question. Published rows may name no categories."""
    kind, count = sample.question_type, len(sample.categories)
    return (
        (kind == "object_counting" and count == 1)
        or (kind in SECTORS and count == 3)
        or (kind in DISTANCES and count > 2)
    )


def reading(sample: Sample, cells: MapCells) -> str | None:
    """The answer that a map alone gives, a letter or a number.

    None where the map doesn't decide, and for questions that no map answers.

    >>> room = Sample(1, "", "video", "numerical", (), "<answer>2</answer>", "", "", "object_counting", categories=("tv",))
    >>> reading(room, {"tv": [[1, 2]], "bed": [[5, 5]]})
    '1'
    """
    if not _names_its_objects(sample):
        return None
    kind, places = sample.question_type, [cells.get(c, []) for c in sample.categories]
    if kind == "object_counting":
        return str(len(places[0]))
    if not all(places):
        return None
    text = (
        _direction(places, kind) if kind in SECTORS else _extreme(places, sample.categories, kind)
    )
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
    nearest = {
        c: min(math.dist(places[0][0], p) for p in ps) for c, ps in zip(categories[1:], places[1:])
    }
    first, second = sorted(nearest, key=nearest.__getitem__, reverse=kind.endswith("farthest"))[:2]
    return first if abs(nearest[first] - nearest[second]) >= CLEAR else None


def steps(sample: Sample, cells: MapCells) -> str:
    """The steps from a map to the answer, as supervised training teaches them.

    Empty for questions that no map answers, and where the map lacks an object of the question.

    The text is ``<cut-out> -> <steps>``. The cut-out holds the question's objects and their cells;
    of several instances, the one nearest to the first object. For counts it holds all instances,
    and their number is the only step. Else the steps begin with the offset of every other object
    from the first one, in cells. Then follow:

    * for directions: the direction of each offset in ``HOURS``, counter-clockwise from the map's
      right (the first one reversed for someone who looks backward); the turn between the two; its
      name; the options up to the one that has this name
    * for distances: each option's distance in half cells and the best option so far, in the order
      of the options' letters

    A number that the model has to work out is one token, a lowercase letter (``a`` is 0).

    >>> from dataclasses import replace
    >>> room = Sample(1, "", "video", "multiple choice", ("A. right", "B. left"), "<answer>B</answer>", "", "",
    ...               "object_rel_direction_easy", categories=("tv", "bed", "sofa"))
    >>> cells = {"bed": [[5, 1]], "tv": [[1, 1]], "sofa": [[1, 4]]}
    >>> cut_out, walked = steps(room, cells).split(" -> ")
    >>> cut_out
    "{'tv': [[1, 1]], 'bed': [[5, 1]], 'sofa': [[1, 4]]}"
    >>> walked
    'bed 5, 1-1, 1=right 4 up 0=a;sofa 1, 4-1, 1=right 0 up 3=g;g-a=g left;A right;B left=B'
    >>> steps(replace(room, question_type="object_rel_distance", options=("A. bed", "B. sofa")), cells).split(" -> ")[1]
    'nearest;A bed 5, 1-1, 1=right 4 up 0=i A=i;B sofa 1, 4-1, 1=right 0 up 3=g B=g'
    """
    if not _names_its_objects(sample):
        return ""
    kind = sample.question_type
    if kind == "object_counting":
        return counted(sample.categories[0], cells.get(sample.categories[0], []))
    places = {c: sorted(cells.get(c, [])) for c in sample.categories}
    if not all(places.values()):
        return ""

    # The first object, and of every other one the nearest instance.
    first, *others = sample.categories
    here = places[first][0]
    near: dict[str, list[int]] = {
        c: min(places[c], key=lambda p: math.dist(here, p)) for c in others
    }

    # The steps.
    if kind in SECTORS:
        walked = _directions(here, near, kind, option_texts(sample.options))
    else:
        letters = {same_text(text): letter for letter, text in option_texts(sample.options).items()}
        if set(letters) != set(map(same_text, others)):
            return ""
        near = dict(sorted(near.items(), key=lambda item: letters[same_text(item[0])]))
        far = [math.dist(here, p) for p in near.values()]
        ways = [f"{c} {offset(here, p)}" for c, p in near.items()]
        walked = best_so_far(
            [letters[same_text(c)] for c in near], far, ways, farthest=kind.endswith("farthest")
        )

    # Before them, the cut-out.
    cut_out = {c: [list(p)] for c, p in {first: here, **near}.items()}
    return f"{cut_out} -> {walked}"


def counted(category: str, places: Sequence[Sequence[int]]) -> str:
    """The category, its cut-out and the number of instances.

    The name stands first: whether a map has a named category is one look at its names.

    >>> counted("chair", [[3, 7], [5, 6]]), counted("tv", [])
    ("chair {'chair': [[3, 7], [5, 6]]} -> 2", 'tv {} -> 0')
    """
    cut_out = {category: sorted(map(list, places))} if places else {}
    return f"{category} {cut_out} -> {len(places)}"


def turned(target: int, ahead: int) -> str:
    """The turn from the direction ``ahead`` to the direction ``target``, in ``HOURS`` as letters.

    >>> turned(3, 6)
    'd-g=v'
    """
    return f"{LETTERS[target]}-{LETTERS[ahead]}={LETTERS[(target - ahead) % HOURS]}"


def looked_up(says: str, options: Mapping[str, str]) -> str:
    """A text, the options up to the one that equals it, and that option's letter.

    An option is written up to its first word that differs: a small model compares single words, and
    mistook ``front-left`` for ``back-left``. If no option equals the text, all options and the last
    one's letter.

    >>> looked_up("front-left", {"A": "back-left", "B": "front-right", "C": "front-left", "D": "back-right"})
    'front-left;A back;B front-right;C front-left=C'
    """
    wanted, tried = same_text(says).split("-"), []
    for letter, text in options.items():
        words = same_text(text).split("-")
        alike = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(words, wanted))))
        tried.append(f"{letter} {'-'.join(words[: alike + 1])}")
        if words == wanted:
            break
    return f"{says};{';'.join(tried)}={tried[-1][0]}"


def half_cells(far: float) -> int:
    """A distance of cells in half cells, rounded; at most ``LONGEST``."""
    return round(2 * min(far, LONGEST))


def best_so_far(
    letters: Sequence[str], far: Sequence[float], ways: Sequence[str], farthest: bool
) -> str:
    """Options with their distances (cells), and behind each the best option so far. Of equal ones
    the earlier is the best.

    >>> best_so_far(["A", "B"], [2.0, 1.2], ["", ""], farthest=False)
    'nearest;A=e A=e;B=c B=c'
    """
    halves = [half_cells(d) for d in far]
    best = [halves.index((max if farthest else min)(halves[:k])) for k in range(1, len(halves) + 1)]
    tried = (
        f"{letter}{way and ' '}{way}={LETTERS[d]} {letters[k]}={LETTERS[halves[k]]}"
        for letter, way, d, k in zip(letters, ways, halves, best)
    )
    return ";".join(("farthest" if farthest else "nearest", *tried))


def _directions(
    here: list[int], near: dict[str, list[int]], kind: str, options: dict[str, str]
) -> str:
    (b, ahead), (c, target) = near.items()
    says = sector(_turn(here, ahead, target, kind), SECTORS[kind])
    one, two = hours(here, ahead, reverse=kind.endswith("backward")), hours(here, target)
    return ";".join(
        (
            f"{b} {offset(here, ahead)}={LETTERS[one]}",
            f"{c} {offset(here, target)}={LETTERS[two]}",
            f"{turned(two, one)} {looked_up(says, options) if options else says}",
        )
    )


def _turn(here: list[int], ahead: list[int], target: list[int], kind: str) -> float:
    """The turn that a question asks for: degrees in [-180, 180), left is positive."""
    half_turn = 180.0 if kind.endswith("backward") else 0.0
    return (turn_angle(here, ahead, target) + half_turn + 180) % 360 - 180


def offset(here: Sequence[int], there: Sequence[int]) -> str:
    """The way from one cell to another: the subtraction and its result.

    >>> offset([1, 1], [5, 0])
    '5, 0-1, 1=right 4 down 1'
    """
    across, along = there[0] - here[0], there[1] - here[1]
    ways = f"{'right' if across >= 0 else 'left'} {abs(across)} {'up' if along >= 0 else 'down'} {abs(along)}"
    return f"{there[0]}, {there[1]}-{here[0]}, {here[1]}={ways}"


def hours(here: Sequence[int], there: Sequence[int], reverse: bool = False) -> int:
    """The direction from one cell to another in ``HOURS``, counter-clockwise from the map's right."""
    degrees = math.degrees(math.atan2(there[1] - here[1], there[0] - here[0])) + 180 * reverse
    return round(degrees * HOURS / 360) % HOURS
