"""Aggregation: published rows from their per-task values, and what each benchmark's variants must
satisfy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

import pytest

from spacer_utils.benchmarks import revsi, spar_bench, sti_bench, vsi_bench, wemath
from spacer_utils.benchmarks.scoring import Item, Question, baselines, judge_row, report
from spacer_utils.benchmarks.scoring.record import read
from spacer_utils.benchmarks.scoring.score_benchmark import score_lines
from spacer_utils.core.registry import BENCHMARKS


def items(
    scores: Mapping[str, float],
    counts: Mapping[str, int] | None = None,
    **groups: Mapping[str, str],
) -> list[Item]:
    """``counts[task]`` items (else one) per task, each with the task's score in percent."""
    return [
        Item(
            Question(task, "A", groups={k: v[task] for k, v in groups.items()}),
            {},
            value / 100,
            "A",
            "",
        )
        for task, value in scores.items()
        for _ in range((counts or {}).get(task, 1))
    ]


def variants(name: str, scores: Iterable[Item]) -> dict[str, Any]:
    table: dict[str, Any] = report(BENCHMARKS[name], list(scores))["per_variant"]
    return table


@pytest.mark.parametrize(
    ("row", "average"),
    [
        ((33.96, 17.48, 51.85, 36.60, 35.77, 37.73, 29.38, 32.69), 34.43),
        ((15.84, 12.10, 19.12, 24.24, 31.83, 34.68, 34.54, 30.42), 25.35),
        ((63.24, 29.78, 60.76, 45.07, 39.15, 45.02, 28.87, 57.28), 46.15),
        ((62.1, 32.0, 29.9, 33.1, 25.1, 47.9, 28.4, 25.2), 35.46),
    ],
)
def test_vsi_published_averages(row: tuple[float, ...], average: float) -> None:
    names = (
        *vsi_bench.NUMERIC,
        "object_rel_distance",
        "direction",
        "route_planning",
        "obj_appearance_order",
    )
    scores = dict(zip(names, row))
    direction = scores.pop("direction")
    # the three difficulties have their own means and sizes: only their unweighted mean is the
    # task's
    parts = dict(zip(vsi_bench.DIRECTION, (direction - 10, direction + 4, direction + 6)))
    table = variants("vsi_bench", items(scores | parts, {"object_rel_direction_easy": 7}))
    assert table["macro_8_tasks"] == pytest.approx(average, abs=0.0051)
    assert table["tasks"]["object_rel_direction"] == pytest.approx(direction)


def test_vsi_subsets_average_what_is_there() -> None:
    table = report(
        BENCHMARKS["vsi_bench"], items({"object_rel_direction_easy": 40, "object_counting": 20})
    )
    assert table["headline"] == pytest.approx(30)
    assert table["partial"]
    assert not report(
        BENCHMARKS["vsi_bench"], items(dict.fromkeys(BENCHMARKS["vsi_bench"].tasks, 50))
    )["partial"]


def test_vsi_chance_of_direction_is_the_published_one() -> None:
    rows = [
        {"question_type": task, "ground_truth": "A", "options": ["x"] * count, "question": ""}
        for task, count in zip(vsi_bench.DIRECTION, (2, 3, 4))
        for _ in range(count)
    ]
    assert baselines(BENCHMARKS["vsi_bench"], rows)["random"]["headline"] == pytest.approx(
        36.1, abs=0.05
    )


@pytest.mark.parametrize(
    ("name", "row", "average"),
    [
        ("revsi_32", (34.3, 21.7, 45.5, 35.1, 32.6, 33.7, 34.1), 33.9),  # Qwen2.5-VL-7B
        ("revsi_32", (30.7, 34.5, 52.0, 18.6, 22.8, 34.5, 20.2), 30.5),  # SpaceR-7B
        ("revsi_32", (51.1, 40.3, 17.1, 20.9, 26.2, 32.7, 30.2), 31.2),  # commonest answers
        ("revsi_16", (18.7, 15.6, 16.8, None, 33.2, 34.3, None), 23.7),  # Qwen2.5-VL-3B
    ],
)
def test_revsi_published_averages(name: str, row: tuple[float | None, ...], average: float) -> None:
    means = dict(zip(revsi.TASKS, row))
    scores = {k: m for task, m in means.items() if m is not None for k in revsi.TASKS[task]}
    table = variants(name, items(scores, {"object_counting_single": 9}))
    assert table["macro"] == pytest.approx(average, abs=0.051)
    assert list(table["tasks"]) == [task for task, m in means.items() if m is not None]


def test_revsi_tasks_are_means_of_their_question_types() -> None:
    """SpaceR-7B, tables 4 and 14 of the paper."""
    kinds = {
        "object_counting_single": 45.3,
        "object_counting_multiple": 16.1,
        "room_size_estimation_single": 18.4,
        "room_size_estimation_multiple": 18.7,
        "object_rel_distance_closest": 22.8,
        "object_rel_distance_farthest": 22.9,
        **{f"object_rel_direction_forward_{level}": 44.2 for level in ("easy", "hard")},
        **{f"object_rel_direction_backward_{level}": 24.8 for level in ("easy", "hard")},
    }
    tasks = variants("revsi_32", items(kinds, {"object_counting_single": 5}))["tasks"]
    assert tasks["object_counting"] == pytest.approx(30.7)
    assert tasks["room_size_estimation"] == pytest.approx(18.6, abs=0.051)
    assert tasks["object_rel_distance"] == pytest.approx(22.8, abs=0.051)
    assert tasks["object_rel_direction"] == pytest.approx(34.5)


STI = {
    "Dimensional Measurement": 289,
    "Spatial Relation": 146,
    "3D Video Grounding": 317,
    "Displacement & Path Length": 358,
    "Speed & Acceleration": 331,
    "Ego-Centric Orientation": 185,
    "Trajectory Description": 78,
    "Pose Estimation": 360,
}


@pytest.mark.parametrize(
    ("row", "macro", "micro", "sub", "nine"),
    [
        ((21.45, 44.52, 33.75, 23.74, 31.71, 35.14, 47.44, 50.83), 36.07, 34.35, 30.21, None),
        ((30.10, 51.37, 20.82, 34.36, 34.44, 37.30, 44.87, 43.06), 37.04, 35.08, 36.27, 37.23),
        ((31.5, 47.6, 39.1, 25.1, 38.4, 43.8, 51.3, 60.6), None, 40.73, None, None),
        ((38.7, 53.8, 36.9, 33.9, 33.1, 52.5, 47.4, 50.4), None, 41.37, None, None),
    ],
)
def test_sti_published_averages(
    row: tuple[float, ...], macro: float | None, micro: float, sub: float | None, nine: float | None
) -> None:
    assert sum(STI.values()) == 2064
    assert sum(STI[t] for t in sti_bench.SR_SUB) == 1387
    table = variants("sti_bench", items(dict(zip(STI, row)), STI))
    for name, value in (
        ("overall_macro8", macro),
        ("overall_micro", micro),
        ("sr_sub_micro", sub),
        ("overall_nine_term", nine),
    ):
        assert value is None or table[name] == pytest.approx(value, abs=0.0051)


def test_sti_headline_follows_the_profile() -> None:
    rows = items({"Spatial Relation": 100, "Pose Estimation": 0}, {"Pose Estimation": 3})
    assert report(BENCHMARKS["sti_bench"], rows, "official")["headline"] == 25
    assert report(BENCHMARKS["sti_bench"], rows, "spacer")["headline"] == 50


SPAR = (
    "camera_motion_infer",
    "depth_prediction_oc",
    "depth_prediction_oc_mv",
    "depth_prediction_oo",
    "depth_prediction_oo_mv",
    "distance_infer_center_oo",
    "distance_infer_center_oo_mv",
    "distance_prediction_oc",
    "distance_prediction_oc_mv",
    "distance_prediction_oo",
    "distance_prediction_oo_mv",
    "obj_spatial_relation_oc_mv",
    "obj_spatial_relation_oo",
    "obj_spatial_relation_oo_mv",
    "position_matching",
    "spatial_imagination_oc",
    "spatial_imagination_oc_mv",
    "spatial_imagination_oo",
    "spatial_imagination_oo_mv",
    "view_change_infer",
)


@pytest.mark.parametrize(
    ("row", "average", "single", "multi"),
    [
        (
            (
                24.75,
                32.19,
                36.06,
                20.00,
                15.43,
                59.41,
                55.95,
                42.85,
                26.52,
                25.48,
                21.21,
                45.50,
                52.20,
                38.23,
                42.75,
                33.33,
                32.56,
                29.80,
                33.61,
                8.47,
            ),
            33.82,
            36.91,
            31.75,
        ),
        (
            (
                40.00,
                36.14,
                35.16,
                15.40,
                19.25,
                62.35,
                61.61,
                40.13,
                35.07,
                36.97,
                29.16,
                52.25,
                51.92,
                46.81,
                38.68,
                37.90,
                36.05,
                24.83,
                34.17,
                17.23,
            ),
            37.55,
            38.21,
            37.12,
        ),
    ],
)
def test_spar_published_averages(
    row: tuple[float, ...], average: float, single: float, multi: float
) -> None:
    table = variants("spar_bench", items(dict(zip(SPAR, row))))
    assert table["macro_20_tasks"] == pytest.approx(average, abs=0.0051)
    assert table["single_view"] == pytest.approx(single, abs=0.0051)
    assert table["multi_view"] == pytest.approx(multi, abs=0.0051)


@pytest.mark.parametrize(
    ("average", "low", "middle", "high"),
    [
        (67.27, 55.31, 72.32, 76.22),
        (32.74, 31.19, 38.25, 32.29),
        (39.40, 35.35, 23.05, 48.44),
        (35.62, 35.28, 23.39, 40.00),
        (21.77, 25.43, 7.33, 23.33),
        (36.28, 29.46, 31.88, 43.80),
        (33.07, 28.75, 22.97, 40.27),
        (30.74, 27.52, 20.44, 37.03),
    ],
)
def test_spar_published_levels(average: float, low: float, middle: float, high: float) -> None:
    levels = {spar_bench.LOW: low, spar_bench.MIDDLE: middle, spar_bench.HIGH: high}
    table = variants(
        "spar_bench", items({task: value for tasks, value in levels.items() for task in tasks})
    )
    assert table["macro_20_tasks"] == pytest.approx(average, abs=0.0101)
    assert (table["low"], table["middle"], table["high"]) == pytest.approx((low, middle, high))


def test_spar_middle_with_and_without_view_change() -> None:
    table = variants(
        "spar_bench",
        items({"view_change_infer": 0, "position_matching": 30, "camera_motion_infer": 60}),
    )
    assert (table["middle"], table["middle_without_view_change"]) == pytest.approx((30, 45))


def test_spar_standing_still_scores_the_axes_that_do_not_move() -> None:
    assert spar_bench.view_change("move_right:0", "move_right:1,rotate_up:20") == pytest.approx(
        3 / 5
    )


def test_viewspatial_published_average() -> None:
    tasks = BENCHMARKS["viewspatial"].tasks
    scores, sizes = (
        dict(zip(tasks, (46.64, 29.72, 37.05, 35.04, 28.78))),
        dict(zip(tasks, (1773, 996, 996, 842, 1105))),
    )
    rows = items(scores, sizes, perspective={t: t.split()[0].lower() for t in tasks})
    assert variants("viewspatial", rows)["micro"] == pytest.approx(36.85, abs=0.0051)
    assert variants("viewspatial", rows)["perspective"]["camera"] == pytest.approx(
        (46.64 * 1773 + 29.72 * 996) / 2769
    )


# ------------------------------------------------------------------------------------------- groups


def group(name: str, steps: tuple[float, ...], whole: float) -> list[Item]:
    keys = [
        *(f"{len(steps)}steps_{n}" for n in range(1, len(steps) + 1)),
        f"{len(steps)}steps_multi",
    ]
    return [
        Item(Question(key, "A", groups={"group": name}), {}, s, "A", "")
        for key, s in zip(keys, (*steps, whole))
    ]


def test_wemath_levels_partition_the_groups() -> None:
    cases = [*product((0.0, 1.0), repeat=3), *product((0.0, 1.0), repeat=4)]
    rows = [
        i for n, (*steps, whole) in enumerate(cases) for i in group(str(n), tuple(steps), whole)
    ]
    table = wemath.WeMath.variants(rows)
    levels, n = table["levels"], table["n_groups"]
    assert n == len(cases)
    for flavour in ("strict", "loose"):
        mastery, solved = levels[f"CM_{flavour}"] * n, sum(whole for *_, whole in cases)
        rote = levels[f"RM_{flavour}"] * solved
        assert levels["IK"] * n + levels["IG"] * n + mastery + rote == pytest.approx(n)
        assert table[f"score_{flavour}"] == pytest.approx(
            (n - 0.5 * levels["IG"] * n - rote - levels["IK"] * n) / n
        )
    assert levels["CM_strict"] * n == pytest.approx(2)
    assert levels["CM_loose"] * n == pytest.approx(3 + 7)


@pytest.mark.parametrize(
    ("steps", "whole", "strict", "loose"),
    [
        ((1, 1), 1, 1, 1),
        ((1, 1), 0, 0.5, 0.5),
        ((1, 0), 1, 0, 1),
        ((0, 0), 1, 0, 0),
        ((1, 0), 0, 0, 0),
        ((1, 0, 0), 1, 0, 1),
    ],
)
def test_wemath_scores_of_one_group(
    steps: tuple[float, ...], whole: float, strict: float, loose: float
) -> None:
    table = wemath.WeMath.variants(group("g", steps, whole))
    assert (table["score_strict"], table["score_loose"]) == (strict, loose)


def test_wemath_leaves_incomplete_groups_out() -> None:
    rows = [*group("a", (1, 1), 1), *group("b", (1, 1), 0)[:2]]
    table = wemath.WeMath.variants(rows)
    assert (table["n_groups"], table["score_strict"], table["S1"]) == (1, 1, 1)
    assert wemath.WeMath.variants(rows[:1])["score_strict"] is None
    assert wemath.WeMath.variants(group("a", (1, 1), 0))["levels"]["RM_strict"] is None


def rotations(answers: str, outputs: str) -> list[dict[str, Any]]:
    sample = BENCHMARKS["mmbench"].sample[0]
    return [
        {**sample, "index": 7 + n * 1_000_000, "answer": a, "output": o}
        for n, (a, o) in enumerate(zip(answers, outputs))
    ]


def test_mmbench_counts_a_question_when_every_rotation_is_right() -> None:
    other = [{**row, "index": row["index"] + 1} for row in rotations("ACB", "ACA")]
    rows = [judge_row(BENCHMARKS["mmbench"], row) for row in (*rotations("ACB", "ACB"), *other)]
    table = report(BENCHMARKS["mmbench"], rows)
    assert (table["headline"], table["headline_variant"]) == (50, "circular")
    assert table["per_variant"]["vanilla"] == pytest.approx(100 * 5 / 6)
    assert table["per_variant"]["circular_category"] == {"spatial_relationship": 50}
    constant = [judge_row(BENCHMARKS["mmbench"], row) for row in rotations("ACB", "AAA")]
    assert report(BENCHMARKS["mmbench"], constant)["headline"] == 0


def test_hrbench_averages_over_rotations_not_all_or_nothing() -> None:
    sample = BENCHMARKS["hrbench_4k"].sample[0]
    rows = [
        {**sample, "category": kind, "cycle_category": str(c), "output": "A" if right else "B"}
        for kind, c, right in (
            ("single", 0, 1),
            ("single", 1, 0),
            ("cross", 0, 1),
            ("cross", 1, 1),
            ("cross", 1, 0),
        )
    ]
    table = report(
        BENCHMARKS["hrbench_4k"], [judge_row(BENCHMARKS["hrbench_4k"], row) for row in rows]
    )
    assert table["headline"] == pytest.approx(100 * (1 + 1 / 3) / 2)
    assert table["per_variant"]["fsp_single"] == 50
    assert table["per_variant"]["fcp_cross"] == 75
    assert table["per_variant"]["mean_of_fsp_fcp"] == 62.5


def test_pope_confusion_and_always_yes() -> None:
    sample = BENCHMARKS["pope"].sample
    rows = [{**row, "output": "Yes"} for row in (sample[0], sample[1])]
    table = report(BENCHMARKS["pope"], [judge_row(BENCHMARKS["pope"], row) for row in rows])[
        "per_variant"
    ]
    assert (table["accuracy"], table["recall"], table["yes_ratio"]) == (50, 100, 100)
    assert table["f1"] == pytest.approx(100 * 2 / 3)
    outputs = ["yes", "no", "no", None]
    table = report(
        BENCHMARKS["pope"],
        [judge_row(BENCHMARKS["pope"], {**r, "output": o}) for r, o in zip(sample, outputs)],
    )["per_variant"]
    assert (table["accuracy"], table["precision"], table["recall"]) == (50, 100, 50)
    assert table["setting"]["random"]["accuracy"] == 0
    assert table["accuracy_mean_of_settings"] == pytest.approx(200 / 3)


def test_mindcube_leaves_translation_out_officially() -> None:
    rows = items({"around": 100, "translation": 0, "other": 50})
    table = variants("mindcube", rows)
    assert (table["micro_without_translation"], table["micro_all"]) == (75, 50)
    keys = {
        "aroundnew_x": "around",
        "Rotation_1": "rotation",
        "among_around": "around",
        "translation_among": "translation",
        "x": "other",
    }
    for key, setting in keys.items():
        assert read(BENCHMARKS["mindcube"], {"id": key, "gt_answer": "A"}).task == setting


def test_mmstar_micro_and_macro_differ_with_sizes() -> None:
    rows = [
        Item(Question("math", "A", groups={"l2_category": sub}), {}, s, "A", "")
        for sub, s in (
            ("geometry", 1.0),
            ("geometry", 1.0),
            ("geometry", 1.0),
            ("statistical reasoning", 0.0),
        )
    ]
    table = variants("mmstar", rows)
    assert (table["micro"], table["macro_18_subcategories"], table["category_by_subcategory"]) == (
        75,
        50,
        {"math": 50},
    )


def test_blink_headline_is_the_mean_over_tasks() -> None:
    table = report(BENCHMARKS["blink"], items({"Counting": 100, "Jigsaw": 0}, {"Jigsaw": 3}))
    assert (table["headline"], table["per_variant"]["micro"]) == (50, 25)


def test_tempcompass_averages_and_leaves_unjudged_captions_out() -> None:
    rows = items({"multi-choice": 100, "yes_no": 50, "caption_matching": 0}, {"yes_no": 2})
    assert report(BENCHMARKS["tempcompass"], rows)["headline"] == 50
    assert report(BENCHMARKS["tempcompass"], rows, "spacer")["headline"] == 100
    caption = Item(Question("captioning", "A"), {}, None, None, "not scored")
    table = report(BENCHMARKS["tempcompass"], [*rows, caption])
    assert (table["headline_variant"], table["headline"], table["counts"]["n_not_scored"]) == (
        "avg_without_captioning",
        50,
        1,
    )
    assert table["per_task"]["captioning"]["score"] is None
    judged = Item(Question("captioning", "A"), {}, 0.0, "A", "")
    assert report(BENCHMARKS["tempcompass"], [*rows, judged])["per_variant"]["avg_all"] == 40


def test_longvideobench_levels() -> None:
    table = variants("longvideobench", items({"S2E": 100, "S2O": 0, "TAA": 0, "SSS": 0}))
    assert (table["micro"], table["perception"], table["relation"]) == (25, 50, 0)


def test_frequency_baseline_takes_the_smallest_of_equals() -> None:
    rows = [
        {"question_type": "object_counting", "ground_truth": g, "question": ""}
        for g in ("10", "9", "9", "10", "3")
    ]
    assert baselines(BENCHMARKS["vsi_bench"], rows)["frequency (test-set mode)"][
        "headline"
    ] == pytest.approx(100 * (1 + 1 + 0.9 + 0.9 + 0) / 5)


def test_counts_account_for_every_row() -> None:
    sample = BENCHMARKS["vsi_bench"].sample
    outputs = ["4", "nothing", "<think>never", None]
    table, _ = score_lines(
        [json.dumps({**r, "output": o}).encode() for r, o in zip(sample, outputs)], "vsi_bench"
    )
    assert table["counts"] == {
        "n_expected": 4,
        "n_scored": 3,
        "n_missing": 1,
        "n_unparsed": 2,
        "truncated": 1,
        "n_not_scored": 0,
    }
