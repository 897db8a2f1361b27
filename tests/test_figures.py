"""Figures as a page shows them: dots and intervals where they belong, names at the dots and at the
ends of lines, no text too small to read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Text

from spacer_utils.analysis import dot_figures, figures, published

PAGE = 864
"""Width of a report's column, CSS pixels; figures are saved with 110 dots per inch."""
MODELS = {"base": 25.0, "base with map": 37.0, "sg_rlvr-lora": 33.0, "rlvr-full": 26.0}


def rows(split: str = "heldout", shift: float = 0.0) -> list[dict[str, Any]]:
    return [
        {
            "split": split,
            "question_type": f"type of {split}",
            "model": m,
            "macro": v + shift,
            "low": v + shift - 5,
            "high": v + shift + 6,
            "n": 12,
        }
        for m, v in MODELS.items()
    ]


def texts(figure: Figure) -> Iterator[Text]:
    for artist in figure.findobj(Text):
        if artist.get_text().strip() and artist.get_visible():
            yield artist


def smallest(figure: Figure) -> float:
    """Size of the smallest text as a page shows the figure, points."""
    shown = min(1.0, PAGE / (110 * figure.get_size_inches()[0])) * 110 / 96
    return min(float(t.get_fontsize()) for t in texts(figure)) * shown


def test_dots_are_sorted_named_and_in_three_colours() -> None:
    figure = dot_figures.dots(
        rows(), panel="split", name="model", value="macro", xlabel="score", line="base with map"
    )
    (axis,) = figure.axes
    named = {t.get_text().split("  ")[0]: t for t in axis.texts}
    best_first = sorted(named, key=lambda n: -named[n].xy[1])
    assert best_first == sorted(MODELS, key=lambda m: -MODELS[m])
    assert named["sg_rlvr-lora"].get_text() == "sg_rlvr-lora  33.0"
    colours = {m: to_hex(t.get_color()).upper() for m, t in named.items()}
    kinds = dot_figures.KINDS
    assert colours["sg_rlvr-lora"] == kinds["map"]
    assert colours["rlvr-full"] == kinds["no map"]
    assert colours["base"] == colours["base with map"] == kinds["baseline"]
    spans = [list(line.get_xdata()) for line in axis.get_lines()]
    assert [32.0, 43.0] in spans, "an interval"
    assert [37.0, 37.0] in spans, "the baseline's line"


def test_another_study_is_pale_behind_ones_own_and_only_where_it_has_the_same() -> None:
    theirs = [*rows(shift=2.0), {**rows()[0], "model": "t_grpo-full", "macro": 99.0}]
    theirs[2]["model"] = "sg_rlvr-full"  # the same method, another tuning
    figure = dot_figures.dots(
        rows(), panel="split", name="model", value="macro", xlabel="score", behind=theirs
    )
    (axis,) = figure.axes
    pale = [line for line in axis.get_lines() if line.get_color() == dot_figures.PALE]
    marks = sorted(float(line.get_xdata()[0]) for line in pale if line.get_marker() == "D")
    assert marks == [v + 2 for v in sorted(MODELS.values())]
    assert "committed study" in figure.legends[0].get_texts()[-1].get_text()


def test_panels_keep_their_own_rows() -> None:
    figure = dot_figures.dots(
        [*rows(), *rows("real_layouts", 10.0)],
        panel="split",
        name="model",
        value="macro",
        xlabel="score",
        line="base",
    )
    assert [a.get_title("left") for a in figure.axes] == ["heldout", "real layouts"]
    for axis, base in zip(figure.axes, (25.0, 35.0)):
        assert [line for line in axis.get_lines() if list(line.get_xdata()) == [base, base]]


def test_names_keep_apart_and_stay_near() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(9).tolist()
    placed = dot_figures.spread_out(values, 0.2)
    order = np.argsort(values)
    assert (np.diff(np.array(placed)[order]) >= 0.2 - 1e-9).all()
    assert np.mean(placed) == pytest.approx(np.mean(values), abs=0.2)
    assert dot_figures.spread_out([0.0, 5.0], 0.2) == [0.0, 5.0]


def test_every_line_is_named_at_its_end_in_each_panel() -> None:
    figure = figures.curves(
        {"look": [{"step": 1, "seen": 2.0, "text": 1.0}], "read": [{"step": 1, "text": 3.0}]},
        ("seen", "text"),
    )
    assert [[t.get_text() for t in axis.texts] for axis in figure.axes] == [
        ["look"],
        ["look", "read"],
    ]
    assert figure.get_suptitle() == "faint: single steps, thick: moving average"
    two = {"b-full-s0": [{"step": 1, "x": 1.0}], "a-lora-s0": [{"step": 1, "x": 1.0}]}
    figure = figures.curves(two, ("x",), window=1, behind={"b-full": [{"step": 1, "x": 2.0}]})
    assert sorted(t.get_text() for t in figure.axes[0].texts) == ["a-lora-s0", "b-full-s0"]
    said = figure.get_suptitle()
    assert said == "dashed: all weights, solid: LoRA; pale: the committed study"


def test_no_text_is_under_nine_points_as_a_page_shows_it() -> None:
    steps = [{"step": k, "reward": 0.1 * k, "kl": 0.0} for k in range(1, 9)]
    moved = [
        {
            "question_type": "counting",
            "run": "rlvr-full-s0",
            "first": 1.0,
            "last": 2.0,
            **dict.fromkeys(("first low", "first high", "last low", "last high")),
        }
    ]
    cells: Any = {"chair": [[1, 2], [7, 7]], "table": [[8, 1]]}
    frame = np.zeros((56, 56, 3), np.uint8)
    drawn = {
        "dots": dot_figures.dots(
            rows(), panel="split", name="model", value="macro", xlabel="score (%)"
        ),
        "types": dot_figures.type_panels(rows(), value="macro"),
        "moved": dot_figures.first_to_last(moved, figures.colour, "accuracy"),
        "curves": figures.curves({"rlvr-full-s0": steps}, ("reward", "kl")),
        "maps": figures.cognitive_maps({"true": cells, "drawn": cells}, columns=4),
        "clip": figures.clip_and_maps([frame] * 4, {"true": cells, "drawn": cells}),
    }
    assert {name: smallest(f) >= 9 for name, f in drawn.items()} == dict.fromkeys(drawn, True)
    assert all(f.get_size_inches()[0] <= dot_figures.WIDTH for f in drawn.values())


# ---------------------------------------------------------------------------------- the paper's claims


def pair(model: str, minus: str, low: float, high: float, rooms: int = 40) -> dict[str, Any]:
    return {
        "split": "heldout",
        "model": model,
        "minus": minus,
        "difference": (low + high) / 2,
        "low": low,
        "high": high,
        "n": 100,
        "rooms": rooms,
    }


def test_every_claim_is_one_row_with_a_verdict_of_a_word_and_a_short_reason() -> None:
    pairs = [
        pair("sg_rlvr-full", "base with map", -1.0, 3.0),
        pair("sg_rlvr_dense-full", "base with map", 1.0, 3.0),
        pair("sft_map-full", "base with map", 1.0, 3.0),
        pair("rlvr-full", "base", -1.0, 1.0),
        pair("sg_rlvr-full", "base", 5.0, 9.0),
        pair("base with map", "base", 4.0, 16.0),
    ]
    table = published.claims(pairs)
    assert len(table) == len({r["claim"] for r in table}) == len(published.CLAIMS)
    assert all(len(r["verdict"].split()) == 1 for r in table)
    assert all(0 < len(r["why"].split()) <= 15 for r in table)
    training, request, *rest = table
    assert [p["model"] for p in training["pairs"]] == [
        "sg_rlvr-full",
        "sg_rlvr_dense-full",
        "sft_map-full",
    ]
    assert {p["minus"] for p in training["pairs"]} == {"base with map"}, "never the bare base"
    assert training["verdict"] == "open"
    assert (request["verdict"], request["pairs"][0]["model"]) == ("holds", "base with map")
    assert {r["verdict"] for r in rest} == {"untested"}


def test_a_claim_is_decided_by_intervals_over_enough_rooms_that_agree() -> None:
    for found, said in (
        ([(0.1, 2.0, 10)], "holds"),
        ([(-0.1, 2.0, 10)], "open"),
        ([(0.1, 2.0, 9)], "open"),
        ([(-2.0, -0.1, 10)], "contradicted"),
        ([(0.1, 2.0, 10), (0.2, 3.0, 10)], "holds"),
        ([(0.1, 2.0, 10), (-2.0, -0.1, 10)], "open"),
        ([], "untested"),
    ):
        assert published.verdict([pair("a", "b", *v) for v in found]) == said
    single = {**pair("a", "b", 0.0, 0.0), "low": None, "high": None}
    assert published.verdict([single]) == "open"
    assert published.in_words(single) == "a minus b: +0.0 points (no interval)"


def test_every_row_of_claims_has_a_small_figure_on_one_scale() -> None:
    table = {
        "one": [pair("sg_rlvr-full", "base", 5.0, 9.0), pair("sft_map-full", "base", -3.0, 0.0)],
        "two": [pair("base", "base, blind", -20.0, 0.0)],
        "three": [],
    }
    drawn = dot_figures.strips(table)
    limits = {f.axes[0].get_xlim() for f in drawn.values()}
    assert len(limits) == 1
    assert [t.get_text() for t in drawn["one"].axes[0].texts] == ["sg_rlvr +7.0", "sft_map -1.5"]
    assert not drawn["three"].axes[0].texts
    both = [pair(f"sg_rlvr-{tuning}", "base", 5.0, 9.0) for tuning in ("lora", "full")]
    (axis,) = dot_figures.strips({"one": both})["one"].axes
    assert [t.get_text() for t in axis.texts] == ["sg_rlvr-lora +7.0", "sg_rlvr-full +7.0"]


def test_a_study_stands_beside_a_run_of_its_name_or_else_the_first(tmp_path: Any) -> None:
    assert published.beside("cpu", tmp_path) == ("", {})
    for name in ("cpu", "h100"):
        (tmp_path / name).mkdir()
        facts = {
            "profile": name,
            "hardware": "two cores",
            "commit": "0123456789ab",
            "rooms": "easy",
        }
        (tmp_path / name / "summary.json").write_text(json.dumps(facts))
        (tmp_path / name / "curves.json").write_text("{}")
    assert published.beside("h100", tmp_path)[1]["profile"] == "h100"
    label, study = published.beside("smoke", tmp_path)
    assert study["profile"] == "cpu"
    assert "not of this run" in label
    assert "difficulty easy" in label


def test_pale_curves_are_of_the_same_methods_and_no_longer() -> None:
    steps = [{"step": k, "reward": float(k)} for k in range(1, 5)]
    study = {"curves": {"rlvr-full-s0": steps, "t_grpo-full-s0": steps}}
    found = published.pale_curves(study, {"rlvr-lora-s3": steps[:2]})
    assert found == {"rlvr-full": [{"reward": 1.0, "step": 1}, {"reward": 2.0, "step": 2}]}
    assert published.pale_curves({}, {"rlvr-lora-s3": steps}) == {}
