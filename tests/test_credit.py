"""The learner's dials: which tokens are credited with what, which groups are left out, and what
reaches TRL; with numbers that were worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kit.training_kit import MAP, MIXED, Clips, grpo, inputs, tiny_model, vowels

from spacer_utils.core import profiles
from spacer_utils.core.types import Sample, WorkbookError
from spacer_utils.training import credit, loop, plan
from spacer_utils.training.grpo import group_advantages, without_spread

torch = pytest.importorskip("torch")
ROOM = Sample(
    0,
    "?",
    "video",
    "numerical",
    (),
    "",
    "",
    "",
    cognitive_map={"tv": [[8, 1]], "bed": [[1, 1]]},
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_model(tmp_path_factory.mktemp("base"), "qwen3_vl")


def drawn(tv: str, bed: str) -> str:
    return f"<think><map>{{'tv': [[{tv}]], 'bed': [[{bed}]]}}</map></think><answer>1</answer>"


# ------------------------------------------------------------------------------------ by category


def test_categories_without_scaling_stand_in_units_of_the_reward() -> None:
    """The tv and the bed earn half of the true map each, and the map has weight 3. One map of four
    is wrong about the tv, so it has all of 1.5 to lose against the other three."""
    texts = [drawn("8, 1", "1, 1")] * 3 + [drawn("4, 4", "1, 1")]  # the middle earns nothing
    found = credit.by_category([ROOM] * 4, texts, 4, "none", 3.0)
    assert [row["tv"] for row in found] == pytest.approx([0.375, 0.375, 0.375, -1.125])
    assert [row["bed"] for row in found] == pytest.approx([0.0] * 4)

    # together they are what the whole map's reward differs by
    scores = torch.tensor([3.0, 3.0, 3.0, 1.5])
    whole = group_advantages(scores, 4, "none").tolist()
    assert [sum(row.values()) for row in found] == pytest.approx(whole)


def test_no_category_is_credited_where_everything_stands_in_the_middle() -> None:
    from dataclasses import replace

    middle = replace(ROOM, cognitive_map={"tv": [[4, 4]], "bed": [[5, 5]]})
    found = credit.by_category([middle] * 2, [drawn("4, 4", "5, 5"), drawn("1, 1", "5, 5")], 2)
    assert set(found[0]) == {"tv", "bed"}
    bare = credit.by_category(
        [middle] * 2, [drawn("4, 4", "5, 5"), drawn("1, 1", "5, 5")], 2, "none"
    )
    assert bare == [{"tv": 0.0, "bed": 0.0}] * 2


# ---------------------------------------------------------------------------------------- by parts


def test_parts_meet_at_the_end_of_the_map() -> None:
    """Tokens of three characters, the last shorter; ``</map>`` ends inside the fifth token."""
    texts = ["<map>{}</map> B", "no map at all", "<map>{} B"]
    tokens = [[3, 6, 9, 12, 15], [3, 6, 9, 12, 13], [3, 6, 9, 9, 9]]
    found = credit.by_token(
        torch.tensor([9.0, 9.0, 9.0]),
        torch.tensor([1.0, 1.0, 1.0]),
        torch.tensor([-2.0, -2.0, -2.0]),
        texts,
        tokens,
        6,
    )
    # "<ma", "p>{", "}</", "map", "> B": the token that ends the map belongs to it
    assert found[0].tolist() == [1.0, 1.0, 1.0, 1.0, 1.0, -2.0]
    assert found[1].tolist() == [9.0] * 6  # no map
    assert found[2].tolist() == [9.0] * 6  # a map that does not end


class Scripted:
    """A trainer that writes given texts and scores them with given numbers."""

    def __init__(
        self, model: str, out: Path, texts: list[str], terms: dict[str, list[float]], **more: Any
    ) -> None:
        def function(name: str) -> Any:
            def value(completions: Any, **_: Any) -> list[float]:
                assert len(completions) == len(texts)
                return terms[name]

            value.__name__ = name
            return value

        self.rows: list[dict[str, Any]] = []
        self.trainer = grpo(
            model,
            out,
            Clips(),
            rows=MIXED[: len(texts) // 4],
            num_generations=4,
            on_rollouts=self.rows.extend,
            rewards=[function(name) for name in terms],
            max_completion_length=60,
            **more,
        )
        words = self.trainer.processing_class.tokenizer
        self.ids = [
            [*words(t, add_special_tokens=False).input_ids, words.eos_token_id] for t in texts
        ]
        self.trainer._generate_single_turn = lambda *_, **__: (self.ids, None)
        self.out = self.trainer._generate_and_score_completions(inputs(self.trainer))

    def advantages(self, row: int) -> list[float]:
        mask = self.out["completion_mask"][row].bool()
        found: list[float] = self.out["advantages"][row][mask].tolist()
        return found


HEAD, TAIL = "<think><map>{'chair': [[1, 2]]}</map>", "</think><answer>2</answer>"


@pytest.mark.parametrize("scale", ["group", "none"])
def test_map_and_answer_are_credited_apart(model: str, tmp_path: Path, scale: str) -> None:
    """Three maps and one completion without. By hand, with ``none``: the map and the format earn
    (4, 1, 1, 0), on average 1.5; the answer and the format (2, 1, 3, 0), on average 1.5; all
    together (5, 1, 3, 0), on average 2.25."""
    texts = [HEAD + TAIL] * 3 + ["<think></think><answer>2</answer>"]
    terms = {
        "accuracy": [0.5, 0.0, 1.0, 0.0],
        "format": [1.0, 1.0, 1.0, 0.0],
        "map_calibrated": [1.0, 0.0, 0.0, 0.0],
    }
    run = Scripted(
        model,
        tmp_path,
        texts,
        terms,
        credit_by="parts",
        reward_weights=[2.0, 1.0, 3.0],
        scale_rewards=scale,
    )
    head = torch.tensor([2.5, -0.5, -0.5, -1.5])
    rest = torch.tensor([0.5, -0.5, 1.5, -1.5])
    whole = torch.tensor([2.75, -1.25, 0.75, -2.25])
    if scale == "group":
        head, rest, whole = (x / (x.std() + 1e-4) for x in (head, rest, whole))

    ends = credit.ends(run.trainer.processing_class.tokenizer, run.ids[0])
    in_map = sum(n < len(HEAD) for n in ends) + 1
    for row in range(3):
        behind = len(ends) - in_map
        expected = [head[row].item()] * in_map + [rest[row].item()] * behind
        assert run.advantages(row) == pytest.approx(expected, abs=1e-4)
    assert run.advantages(3) == pytest.approx([whole[3].item()] * len(run.ids[3]), abs=1e-4)
    assert [r["advantage"] for r in run.rows] == pytest.approx(whole.tolist(), abs=1e-4)


def test_cells_are_credited_in_units_of_the_reward(model: str, tmp_path: Path) -> None:
    """Credit by object without scaling: a chair at its place is worth its third of a map of weight
    3, and two of four maps have it."""
    texts = [f"<think><map>{{'chair': [[{p}]]}}</map>{TAIL}" for p in ("1, 2", "4, 4") * 2]
    run = Scripted(
        model,
        tmp_path,
        texts,
        {"accuracy": [1.0, 0.0, 0.0, 0.0], "map_calibrated": [0.25, 0.0, 0.25, 0.0]},
        credit_by="object",
        reward_weights=[1.0, 3.0],
        scale_rewards="none",
        loss_type="dr_grpo",
    )
    samples = [Sample(0, "?", "video", "numerical", (), "", "", "", cognitive_map=MAP)] * 4
    own = credit.by_category(samples, texts, 4, "none", 3.0)
    found = run.advantages(0)
    assert found[0] == pytest.approx(0.375)  # names: the map's own, 0.75 against 0.375
    assert found[-1] == pytest.approx(0.75)  # the answer's, 1 against 0.25
    assert min(abs(a - own[0]["chair"]) for a in found) < 1e-4
    assert 0 < own[0]["chair"] == pytest.approx(-own[1]["chair"])
    mask, run.trainer.beta = run.out["completion_mask"], 0.0
    loss = -(run.out["advantages"] * mask).sum() / (4 * 60)  # ratios are 1
    assert run.trainer._compute_loss(run.trainer.model, run.out).item() == pytest.approx(
        loss.item(), abs=1e-5
    )


def test_credit_within_completions_needs_a_reward_for_maps(model: str, tmp_path: Path) -> None:
    with pytest.raises(WorkbookError, match="needs a reward for maps"):
        grpo(model, tmp_path, Clips(), credit_by="parts")


# ------------------------------------------------------------------------------- groups left out

TEXTS = ["<think>", "</think>", "<answer>", "</answer>"]


def test_groups_without_spread() -> None:
    accuracies = torch.tensor([0.0, 0.0, 0.0, 0.5, 1.0, 1.0])
    assert without_spread(accuracies, 2).tolist() == [True, True, False, False, True, True]
    assert without_spread(accuracies, 3).tolist() == [True] * 3 + [False] * 3


def skipping(model: str, out: Path, accuracy: list[float], **more: Any) -> Scripted:
    terms = {"accuracy": accuracy, "format": [1.0, 0.0, 1.0, 1.0] * 3}
    texts = [TEXTS[k % 4] * (1 + k % 3) for k in range(12)]
    return Scripted(model, out, texts, terms, scale_rewards="none", beta=0.0, **more)


SPREAD = [1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
"""The first group is all right, the last all wrong."""


@pytest.mark.parametrize("loss_type", ["grpo", "dr_grpo"])
def test_groups_that_are_all_equally_right_are_left_out_of_the_mean(
    model: str, tmp_path: Path, loss_type: str
) -> None:
    """Accuracy and format together earn (2, 0, 1, 1) in the second group, on average 1; the loss is
    the mean over its four rows, though the step has twelve."""
    run = skipping(model, tmp_path, SPREAD, skip_groups="accuracy", loss_type=loss_type)
    assert run.out["advantages"].tolist() == pytest.approx([0] * 4 + [1, -1, 0, 0] + [0] * 4)
    assert [r["advantage"] for r in run.rows] == pytest.approx(run.out["advantages"].tolist())
    metrics = run.trainer._metrics["train"]
    assert metrics["groups/skipped"] == [2.0]
    assert metrics["groups/with_spread"] == [pytest.approx(1 / 3)]

    lengths = run.out["completion_mask"].sum(1)
    expected = {"grpo": 0.0, "dr_grpo": (lengths[5] - lengths[4]).item() / (4 * 60)}
    loss = run.trainer._compute_loss(run.trainer.model, run.out)
    assert loss.item() == pytest.approx(expected[loss_type], abs=1e-6)

    # in chunks of whole and of mixed rows the sum is the same, and a chunk of none counts nothing
    for size in (2, 3, 4):
        run.trainer.current_gradient_accumulation_steps = 12 // size
        parts = [
            run.trainer._compute_loss(
                run.trainer.model,
                {
                    k: v[start : start + size] if v.dim() else v
                    for k, v in run.out.items()
                    if isinstance(v, torch.Tensor)
                },
            )
            for start in range(0, 12, size)
        ]
        assert sum(p.item() for p in parts) == pytest.approx(expected[loss_type], abs=1e-6)
        assert all(p.requires_grad for p in parts)


def test_the_gradient_is_that_of_a_step_without_the_groups(model: str, tmp_path: Path) -> None:
    def gradient(run: Scripted, rows: slice) -> Any:
        chosen = {k: v[rows] if v.dim() else v for k, v in run.out.items() if torch.is_tensor(v)}
        run.trainer.model.zero_grad()
        run.trainer._compute_loss(run.trainer.model, chosen).backward()
        return torch.cat(
            [p.grad.flatten() for p in run.trainer.model.parameters() if p.grad is not None]
        )

    whole = skipping(model, tmp_path / "a", SPREAD, skip_groups="accuracy", loss_type="dr_grpo")
    alone = skipping(model, tmp_path / "b", SPREAD, loss_type="dr_grpo")
    ours, theirs = gradient(whole, slice(0, 12)), gradient(alone, slice(4, 8))
    assert theirs.abs().max() > 0
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_nothing_is_left_of_a_step_in_which_every_group_is_left_out(
    model: str, tmp_path: Path
) -> None:
    run = skipping(model, tmp_path, [1.0] * 12, skip_groups="accuracy")
    loss = run.trainer._compute_loss(run.trainer.model, run.out)
    loss.backward()
    assert loss.item() == 0
    assert all(not p.grad.any() for p in run.trainer.model.parameters() if p.grad is not None)


def test_maps_of_groups_left_out_are_still_compared(model: str, tmp_path: Path) -> None:
    """All four answers are right: what stands behind the map is not credited, the maps are."""
    run = Scripted(
        model,
        tmp_path,
        [HEAD + TAIL] * 4,
        {"accuracy": [1.0] * 4, "format": [1.0] * 4, "map_calibrated": [1.0, 0.0, 0.5, 0.5]},
        credit_by="parts",
        skip_groups="accuracy",
        scale_rewards="none",
    )
    assert run.advantages(0)[0] == pytest.approx(0.5)
    assert run.advantages(1)[0] == pytest.approx(-0.5)
    assert run.advantages(0)[-1] == 0.0
    assert "kept" not in run.out


def test_leaving_out_refuses_what_it_would_not_follow(model: str, tmp_path: Path) -> None:
    with pytest.raises(WorkbookError, match="Choose grpo or dr_grpo"):
        grpo(model, tmp_path, Clips(), skip_groups="accuracy", loss_type="dapo")
    with pytest.raises(WorkbookError, match="needs the reward term accuracy"):
        grpo(model, tmp_path, Clips(), skip_groups="accuracy", rewards=(vowels,))


# ------------------------------------------------------------------------------ from the profile


def planned(tmp_path: Path, **dials: Any) -> plan.Plan:
    profile = profiles.get("smoke").with_overrides(**dials)
    return plan.Plan(profile, "sg_rlvr", "full", 0, tmp_path, tmp_path / "out", "model", {})


def test_the_dials_of_a_profile_reach_trl(tmp_path: Path) -> None:
    full = profiles.get("gpu-full").train
    paper = loop.arguments(
        planned(tmp_path, **{k: getattr(full, k) for k in ("loss_type", "scale_rewards", "beta")})
    )
    assert (paper.loss_type, paper.scale_rewards, paper.beta) == ("grpo", "group", 0.04)
    ours = loop.arguments(
        planned(
            tmp_path,
            loss_type="dr_grpo",
            scale_rewards="none",
            beta=0,
            prompts_per_step=16,
            group_size=8,
        )
    )
    assert (ours.loss_type, ours.scale_rewards, ours.beta) == ("dr_grpo", "none", 0)
    assert ours.num_generations == 8
    assert ours.per_device_train_batch_size * ours.gradient_accumulation_steps == 128


@pytest.mark.parametrize("dial", ["loss_type", "scale_rewards", "credit", "skip_groups"])
def test_a_dial_takes_what_it_knows(dial: str) -> None:
    with pytest.raises(WorkbookError, match=f"{dial} must be one of .*, not 'something'"):
        profiles.get("cpu").with_overrides(**{dial: "something"})


def test_without_kl_there_is_no_reference_model(model: str, tmp_path: Path) -> None:
    assert grpo(model, tmp_path, Clips(), beta=0.0).ref_model is None
    assert grpo(model, tmp_path, Clips(), beta=0.04).ref_model is not None
