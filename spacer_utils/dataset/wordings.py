"""What a published question asks, by its words: SR-91k's rows name no question type and no
categories, and Video-R1's name none either."""

from __future__ import annotations

import re
from dataclasses import replace

from ..core.options import option_texts
from ..core.types import Sample

SPATIAL_SOURCES = ("SR_dataset", "SR-91k", "VSI-Bench")
"""``data_source`` of questions about rooms."""
OTHER = "other_spatial"
"""Question type of a question about a room whose words are none of ``WORDS``."""
WORDS: dict[str, re.Pattern[str]] = {
    kind: re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for kind, pattern in {
        "object_counting": r"How many (.+?)(?:\(s\)|s)? are (?:there )?in (?:this|the) room",
        "object_abs_distance": r"closest point of each object,.*distance between the (.+?) and the (.+?)"
        r"(?: \(in| in meters|\?)",
        "object_size_estimation": r"longest dimension .*?of the (.+?)(?:, measured| in centimeters|\?)",
        "room_size_estimation": r"size of this room",
        "object_rel_distance": r"closest point of each object,.*closest to the (.+?)\?",
        "object_rel_direction_easy": r"standing by the (.+?) and facing the (.+?), is the (.+?) to the left or the right",
        "object_rel_direction_medium": r"standing by the (.+?) and facing the (.+?), is the (.+?) to my left, right, or back",
        "object_rel_direction_hard": r"standing by the (.+?) and facing the (.+?), is the (.+?) to my front-left",
        "obj_appearance_order": r"first-time appearance order of the following categories in the video: (.+?)\?",
        "route_planning": r"robot beginning at the (.+?) and facing the (.+?)\..*navigate to the (.+?)\.",
    }.items()
}
"""Question type -> its words in SpaceR-151k and VSI-Bench; the groups are the categories named."""
GENERAL_KINDS = {
    "OCR": "general_ocr",
    "free-form": "general_free_form",
    "regression": "general_regression",
    "numerical": "general_numerical",
}
"""Problem type of a question about no room -> question type."""


def named(sample: Sample) -> Sample:
    """The sample with its question type and the categories that it names, where the row has none.

    A question is about a room if its source says so, or if it asks about a video in the words of
    one of the spatial types; else its type is a general one.

    >>> asked = "How many chair(s) are in this room?"
    >>> row = Sample(1, asked, "video", "numerical", (), "<answer>2</answer>", "a.mp4", "SR_dataset")
    >>> named(row).question_type, named(row).categories
    ('object_counting', ('chair',))
    """
    if sample.question_type:
        return sample
    spatial = sample.data_source in SPATIAL_SOURCES
    for kind, words in WORDS.items():
        found = words.search(sample.problem)
        if found and (spatial or sample.data_type == "video"):
            categories = sample.categories or _categories(kind, found, sample)
            return replace(sample, question_type=kind, categories=categories)
    return replace(sample, question_type=OTHER if spatial else _general(sample))


def _general(sample: Sample) -> str:
    if sample.problem_type == "multiple choice":
        return f"general_{sample.data_type}_choice"
    return GENERAL_KINDS[sample.problem_type]


def _categories(kind: str, found: re.Match[str], sample: Sample) -> tuple[str, ...]:
    """The categories that a question names, each once."""
    texts = [text.strip() for text in found.groups()]
    if kind == "obj_appearance_order":
        texts = [text.strip() for text in texts[0].split(",")]
    if kind == "object_rel_distance":
        texts += option_texts(sample.options).values()
    return tuple(dict.fromkeys(text for text in texts if text))
