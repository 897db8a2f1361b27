# ruff: noqa: E501 (the texts are literal)
"""Prompt texts, character for character."""

from __future__ import annotations

from typing import Any

import pytest

from spacer_utils.benchmarks.scoring.record import read
from spacer_utils.core.registry import BENCHMARKS

BOXES = (
    "The values represent the bounding box coordinates normalized to a 0-1000 scale, with the top-left corner as the origin of "
    "the image."
)
LETTER = "Answer with the option's letter from the given choices directly."
THINK = (
    "Please think about this question as if you were a human pondering deeply. Engage in an internal dialogue using expressions "
    "such as 'let me think', 'wait', 'Hmm', 'oh, I see', 'let's break it down', etc, or other natural language thought "
    "expressions It's encouraged to include self-reflection or verification in the reasoning process. Provide your detailed "
    "reasoning between the <think> </think> tags, and then give your final answer between the <answer> </answer> tags."
)
ONE_LETTER = "Please provide only the single option letter (e.g., A, B, C, D, etc.) within the <answer> </answer> tags."
MAP = """\
Please think about this question as if you were a human pondering deeply. Engage in an internal dialogue using expressions such as \
'let me think', 'wait', 'Hmm', 'oh, I see', 'let's break it down', etc, or other natural language thought expressions It's encouraged \
to include self-reflection or verification in the reasoning process.
If generating a cognitive map for the video can help you answer the question, you could follow the below steps to generate a \
cognitive map in <map> </map> tags
[Steps] Identify specific objects within the **video scene**, understand the spatial arrangement of the scene, and estimate the \
center point of each object, assuming the entire scene is represented by a 10x10 grid. These information should be summarized in \
<map> </map> tags.
[Rule]1. We provide the categories to care about in this scene: ['ceiling light', 'trash can', 'bed', 'heater', 'closet', 'pillow', \
'backpack', 'chair', 'refrigerator', 'tv', 'nightstand', 'keyboard', 'computer tower', 'coat hanger', 'table', 'trash bin', \
'whiteboard', 'monitor', 'sofa', 'clock', 'computer mouse', 'radiator', 'telephone']. Focus ONLY on these categories for the entire \
video scene.
2. Estimate the center location of each instance within the provided categories, assuming the entire scene is represented by a 10x10 \
grid, considering the information from all frames.
3. If a category contains multiple instances across all frames, include all of them.
Present the map using dict format. Here is an example: <map>{'table': [[0, 3], [5, 7]], 'chair': [[9, 3]], 'window': [[6, 5]]}</map>.
If you generate a cognitive map, please put it in <map> </map> tags. Provide your detailed reasoning process between the <think> \
</think> tags, and then give your final answer between the <answer> </answer> tags.
 """
FOUR = "A. a\nB. b\nC. c\nD. d"
VSI = {
    "question_type": "route_planning",
    "question": "Q?",
    "ground_truth": "A",
    "options": ["A. a", "B. b", "C. c", "D. d"],
}
COUNT = {"question_type": "object_counting", "question": "Q?", "ground_truth": "4", "options": None}
STI = {
    "Task": "Pose Estimation",
    "Question": "Q?",
    "Answer": "A",
    "Candidates": {"A": "a", "B": "b", "C": None},
    "time_start": 1.5,
    "time_end": 2.0,
}
SPAR = {"task": "position_matching", "question": "Q?", "answer": "A"}
MME = {
    "task_type": "OCR Problems",
    "question": "Q?",
    "options": ["A. a", "B. b", "C. c", "D. d"],
    "answer": "A",
}
LVB = {
    "question_category": "S2E",
    "question": "Q?",
    "candidates": ["a", "b", "c", "d"],
    "correct_choice": 0,
}
CASES: list[tuple[str, dict[str, Any], str, str]] = [
    ("vsi_bench", VSI, "official", f"These are frames of a video.\nQ?\nOptions:\n{FOUR}\n{LETTER}"),
    (
        "vsi_bench",
        COUNT,
        "official",
        "These are frames of a video.\nQ?\nPlease answer the question using a single word or phrase.",
    ),
    ("vsi_bench", VSI, "spacer_default", f"Question: Q?\nOptions:\n{FOUR}\n\n{LETTER}"),
    ("vsi_bench", VSI, "spacer", f"Question: Q?\nOptions:\n{FOUR}\n{MAP}{ONE_LETTER}"),
    (
        "vsi_bench",
        COUNT,
        "spacer",
        f"Question: Q?\n{MAP}Please provide the numerical value (e.g., 42 or 3.1) within the <answer> "
        "</answer> tags.",
    ),
    (
        "revsi_32",
        {**VSI, "num_frames": "32"},
        "official",
        f"These are frames of a video.\nQ?\nOptions:\n{FOUR}\n{LETTER}",
    ),
    (
        "revsi_32",
        {**COUNT, "num_frames": 32, "question_type": "object_counting_multiple"},
        "official",
        "These are frames of a video.\nQ?\nAnswer the question using a single integer or decimal number.",
    ),
    (
        "revsi_32",
        {**VSI, "num_frames": "32"},
        "spacer",
        f"Question: Q?\nOptions:\n{FOUR}\n{MAP}{ONE_LETTER}",
    ),
    (
        "sti_bench",
        STI,
        "official",
        "From 1.5 s to 2.0 s. Q?\n(A) a\n(B) b\nPlease output only the option letter!",
    ),
    (
        "sti_bench",
        STI,
        "spacer",
        f"Question: From 1.5 seconds to 2.0 seconds. Q?\nA a\nB b\n{THINK}\n{ONE_LETTER}",
    ),
    ("spar_bench", SPAR, "official", f"\nQ?\n{BOXES}\n{LETTER}"),
    ("spar_bench", {**SPAR, "task": "spatial_imagination_oc"}, "official", f"\nQ?\n\n{LETTER}"),
    (
        "spar_bench",
        {**SPAR, "task": "depth_prediction_oc", "answer": "1"},
        "official",
        "\nQ?\nPlease answer the question using a single word or phrase.",
    ),
    ("spar_bench", {**SPAR, "task": "view_change_infer"}, "official", "\nQ?\n\n"),
    ("spar_bench", SPAR, "spacer", f"Question: Q?\n{THINK}\n{BOXES}\n{ONE_LETTER}"),
    (
        "spar_bench",
        {**SPAR, "task": "view_change_infer"},
        "spacer",
        f"Question: Q?\n{THINK}\nFirst output the thinking process in "
        "<think> </think> tags and then output the answer in <answer> </answer> tags.",
    ),
    (
        "spar_bench",
        {**SPAR, "task": "view_change_infer"},
        "spacer_default",
        "Question: Q?\n\nPlease output the answer directly.",
    ),
    (
        "video_mme",
        MME,
        "official",
        "Select the best answer to the following multiple-choice question based on the video. Respond with "
        f"only the letter (A, B, C, or D) of the correct option.\nQ?\n{FOUR}\nThe best answer is:",
    ),
    ("video_mme", MME, "spacer", f"Question: Q?\nOptions:\n{FOUR}\n{THINK}\n{ONE_LETTER}"),
    (
        "tempcompass",
        {"question": "Q?\nA. a\nB. b", "answer": "A. a"},
        "official",
        "Q?\nA. a\nB. b\nPlease directly give the best option:",
    ),
    (
        "tempcompass",
        {"question": "Q?", "answer": "yes"},
        "official",
        "Q?\nPlease answer yes or no:",
    ),
    (
        "tempcompass",
        {"question": "Q?\nOption 1: a\nOption 2: b", "answer": "Option 1: a"},
        "official",
        "Q?\nOption 1: a\nOption 2: b\nPlease directly give the best option:",
    ),
    (
        "tempcompass",
        {"question": "Generated Caption:", "answer": "x", "mc_answer": "A. x"},
        "official",
        "Generated Caption:",
    ),
    ("longvideobench", LVB, "official", f"Question: Q?\n{FOUR}\n{LETTER}"),
    ("longvideobench", LVB, "spacer", f"Question: Q?\nOptions:\n{FOUR}\n\n{THINK}{ONE_LETTER}"),
    (
        "viewspatial",
        {
            "question_type": "Person perspective - Relative Direction",
            "question": "Q?",
            "choices": "A. a\nB. b",
            "answer": "A. a",
        },
        "official",
        "Q?A. a\nB. b\nReply only to the corresponding option.\nAnswer:",
    ),
    (
        "pope",
        {"question": "Is there a dog in the image?", "answer": "yes"},
        "official",
        "Is there a dog in the image?",
    ),
    (
        "mmbench",
        {"index": 1, "question": "Q?", "hint": "H", "answer": "A", "A": "a", "B": "b"},
        "official",
        "Hint: H\nQuestion: Q?\nOptions:\nA. a\nB. b\nPlease select the correct answer from the options above. \n",
    ),
    (
        "embspatial",
        {"data_source": "mp3d", "question": "Q?", "answer_options": ["a", "b"], "answer": 0},
        "official",
        "Note: You only need to respond with A, B, C, D without providing any additional information.\nQ?\nA) a\nB) b",
    ),
    (
        "mmstar",
        {"category": "math", "question": "Q?\nOptions: A: a, B: b", "answer": "A"},
        "official",
        f"Q?\nOptions: A: a, B: b\n{LETTER[:-1]}",
    ),
    (
        "hrbench_4k",
        {"category": "cross", "question": "Q?", "A": "a", "B": "b", "answer": "A"},
        "official",
        "Q?\nA. a\nB. b\nAnswer the option letter directly.",
    ),
    (
        "blink",
        {"sub_task": "Counting", "prompt": "P (A) a (B) b", "choices": ["a", "b"], "answer": "(A)"},
        "official",
        "P (A) a (B) b",
    ),
]


@pytest.mark.parametrize(("name", "row", "style", "text"), CASES)
def test_prompt(name: str, row: dict[str, Any], style: str, text: str) -> None:
    assert BENCHMARKS[name].prompt(read(BENCHMARKS[name], row), row, style) == text
