"""The policy sees its media wherever it is asked: in sampling, in old, reference and policy
log-probabilities, and in SFT."""

from __future__ import annotations

import inspect
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kit.training_kit import FAMILIES, FRAMES, MAP, MIXED, Clips, grpo, inputs, tiny_model, vowels

from spacer_utils.core.types import Sample, WorkbookError
from spacer_utils.training import credit, rollouts
from spacer_utils.training.grpo import group_advantages

torch = pytest.importorskip("torch")

TUNINGS = ("full", "lora")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Family -> folder of a tiny model."""
    return {family: tiny_model(tmp_path_factory.mktemp(family), family) for family in FAMILIES}


def fixed(trainer: Any, length: int = 6) -> None:
    """Completions that do not depend on what the model sees, of different length, the last token an
    end of turn."""
    words = trainer.processing_class.tokenizer

    def turn(prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        rows = range(len(prompt_ids))
        return [
            [40 + (3 * r + k) % 200 for k in range(length - r % 3)] + [words.eos_token_id]
            for r in rows
        ], None

    trainer._generate_single_turn = turn


def scored(trainer: Any) -> dict[str, Any]:
    """Old, reference and policy log-probabilities (rows, tokens) of one generation, through TRL's
    own path."""
    found = {}
    out = trainer._generate_and_score_completions(inputs(trainer))
    original = type(trainer)._get_per_token_logps_and_entropies

    def spy(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        found["policy"] = result[0].detach()
        return result

    trainer._get_per_token_logps_and_entropies = spy.__get__(trainer)
    found["loss"] = trainer._compute_loss(trainer.model, out)
    del trainer._get_per_token_logps_and_entropies
    return {
        **found,
        "old": out["old_per_token_logps"],
        "reference": out["ref_per_token_logps"],
        "out": out,
    }


@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_one_frame_changes_old_reference_and_policy(
    models: dict[str, str], tmp_path: Path, family: str, tuning: str
) -> None:
    clips = Clips()
    trainer = grpo(models[family], tmp_path, clips, tuning=tuning, num_iterations=2)
    fixed(trainer)
    before = scored(trainer)
    clips.changed = {"a-x6": 2}
    trainer.encoder._raw.clear()
    after = scored(trainer)
    for name in ("old", "reference", "policy"):
        difference = (before[name] - after[name]).abs().amax(dim=1)
        assert (difference[:2] > 1e-3).all(), f"{name} log-probabilities do not see the clip"
        assert (difference[2:] < 1e-5).all(), f"{name} log-probabilities of other rows moved"


@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_policy_old_and_reference_start_equal(
    models: dict[str, str], tmp_path: Path, family: str, tuning: str
) -> None:
    trainer = grpo(models[family], tmp_path, Clips(), tuning=tuning, num_iterations=2)
    found = scored(trainer)
    mask = found["out"]["completion_mask"].bool()
    for name in ("old", "reference"):
        assert torch.allclose(found["policy"][mask], found[name][mask], atol=1e-5)
    assert trainer._metrics["train"]["kl"] == [pytest.approx(0, abs=1e-8)]
    assert trainer._metrics["train"]["clip_ratio/region_mean"] == [0]


@pytest.mark.parametrize("family", FAMILIES)
def test_generation_and_scoring_agree_per_token(
    models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    trainer = grpo(models[family], tmp_path, Clips(), num_iterations=2)
    logits: list[Any] = []
    complete = rollouts.complete

    def watched(*args: Any) -> Any:
        def keep(ids: Any, scores: Any) -> Any:
            logits.append(scores.clone())
            return scores

        head, filters, rest = args[:5], args[5], args[6:]
        return complete(*head, [keep, *filters], *rest)

    monkeypatch.setattr(rollouts, "complete", watched)
    trainer.eos_token_ids = list(
        range(0, len(trainer.processing_class.tokenizer), 5)
    )  # so that rows end at different times
    out = trainer._generate_and_score_completions(inputs(trainer))
    ids, mask = out["completion_ids"], out["completion_mask"].bool()
    assert len(set(mask.sum(1).tolist())) > 2
    sampled = torch.zeros(ids.shape)
    for step, scores in enumerate(logits):
        alive = mask[:, step]
        sampled[alive, step] = scores.log_softmax(-1)[range(len(scores)), ids[alive, step]]
    assert torch.allclose(sampled[mask], out["old_per_token_logps"][mask], atol=1e-4)


def test_rollouts_are_drawn_at_the_temperature_asked_for(
    models: dict[str, str], tmp_path: Path
) -> None:
    found = []
    for temperature, sample in ((1.0, True), (1e-4, True), (1.0, False)):
        trainer = grpo(
            models["qwen3_vl"], tmp_path, Clips(), num_generations=4, temperature=temperature
        )
        trainer.generation_config.do_sample = sample
        found.append(trainer._generate_and_score_completions(inputs(trainer))["completion_ids"])
    first, cold, likely = (
        [rows[k : k + 4] for k in range(0, len(rows), 4)] for rows in (t.tolist() for t in found)
    )
    assert all(len({tuple(row) for row in group}) == 4 for group in first)
    assert cold == likely
    assert all(len({tuple(row) for row in group}) == 1 for group in cold)
    torch.manual_seed(0)
    drawn = rollouts.drawn(torch.tensor([0.7, 0.2, 0.1]).log().expand(20_000, 3))
    assert torch.allclose(drawn.bincount() / len(drawn), torch.tensor([0.7, 0.2, 0.1]), atol=0.015)


@pytest.mark.parametrize("family", FAMILIES)
def test_chunks_and_order_do_not_matter(
    models: dict[str, str], tmp_path: Path, family: str
) -> None:
    whole = grpo(models[family], tmp_path / "a", Clips(), num_iterations=2)
    chunked = grpo(
        models[family],
        tmp_path / "b",
        Clips(),
        num_iterations=2,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=8,
    )
    turned = grpo(models[family], tmp_path / "c", Clips(), num_iterations=2, rows=MIXED[::-1])
    for trainer in (whole, chunked, turned):
        words = trainer.processing_class.tokenizer
        # the completion belongs to the prompt, not to the place in the batch
        trainer._generate_single_turn = lambda ids, *a, _w=words, **k: (
            [
                [40 + (7 * len(row) + j) % 200 for j in range(2 + len(row) % 4)] + [_w.eos_token_id]
                for row in ids
            ],
            None,
        )
    a, b, c = (t._generate_and_score_completions(inputs(t)) for t in (whole, chunked, turned))
    mask = a["completion_mask"].bool()
    for name in ("old_per_token_logps", "ref_per_token_logps"):
        assert torch.allclose(a[name][mask], b[name][mask], atol=1e-5)
        assert torch.allclose(a[name][mask], c[name].flip(0)[mask], atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_shared_features_equal_repeated_pixels(
    models: dict[str, str], tmp_path: Path, family: str
) -> None:
    """Loss and gradients are those of the stock processor's batch in which every row carries its
    own pixels."""
    clips = Clips()
    trainer = grpo(models[family], tmp_path, clips, num_iterations=2)
    fixed(trainer)
    found = scored(trainer)
    found["loss"].backward()
    ours = {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}
    trainer.model.zero_grad()

    out, processor = found["out"], trainer.processing_class
    rows = [row for row in MIXED for _ in range(2)]
    texts, images, videos, about = [], [], [], []
    for text, media in rows:
        messages = [
            {
                "role": "user",
                "content": [{"type": k} for k, _ in media] + [{"type": "text", "text": text}],
            }
        ]
        texts.append(
            processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        )
        images += [clips(k, p)[0] for k, p in media if k == "image"]
        videos += [clips(k, p) for k, p in media if k == "video"]
        about += [m for _, m in videos[len(about) :]]
    stock = processor(
        text=texts,
        images=images,
        videos=[v for v, _ in videos],
        video_metadata=about,
        padding=True,
        padding_side="left",
        return_tensors="pt",
        do_sample_frames=False,
    )
    assert torch.equal(stock["input_ids"], out["prompt_ids"])
    ids = torch.cat([out["prompt_ids"], out["completion_ids"]], 1)
    mask = torch.cat([out["prompt_mask"], out["completion_mask"]], 1)
    types = torch.nn.functional.pad(
        stock.pop("mm_token_type_ids"), (0, out["completion_ids"].shape[1])
    )
    extra = {k: v for k, v in stock.items() if k not in ("input_ids", "attention_mask")}
    if "second_per_grid_ts" in extra:
        extra["second_per_grid_ts"] = torch.as_tensor(extra["second_per_grid_ts"])
    logits = trainer.model(
        input_ids=ids, attention_mask=mask, mm_token_type_ids=types, **extra
    ).logits
    kept = out["completion_ids"].shape[1]
    logps = (
        logits[:, -kept - 1 : -1]
        .log_softmax(-1)
        .gather(2, out["completion_ids"].unsqueeze(2))
        .squeeze(2)
    )
    where = out["completion_mask"].bool()
    assert torch.allclose(logps[where], found["policy"][where], atol=1e-5)
    ratio = (logps - out["old_per_token_logps"]).exp()
    kl = (out["ref_per_token_logps"] - logps).exp() - (out["ref_per_token_logps"] - logps) - 1
    per_token = -ratio * out["advantages"].unsqueeze(1) + trainer.beta * kl
    loss = ((per_token * where).sum(1) / where.sum(1)).mean()
    assert loss.item() == pytest.approx(found["loss"].item(), abs=1e-6)
    loss.backward()
    for name, p in trainer.model.named_parameters():
        if p.grad is not None:
            assert torch.allclose(
                p.grad, ours[name], atol=1e-5 * max(1.0, float(p.grad.abs().max()))
            ), name


@pytest.mark.parametrize("family", FAMILIES)
def test_every_medium_is_decoded_and_encoded_once(
    models: dict[str, str], tmp_path: Path, family: str
) -> None:
    clips = Clips()
    trainer = grpo(models[family], tmp_path, clips, num_generations=4, max_steps=1)
    patches: list[int] = []
    trainer._sight.model.visual.register_forward_hook(
        lambda m, a, kw, out: patches.append(len(a[0])), with_kwargs=True
    )
    trainer._generate_and_score_completions(inputs(trainer))
    unique = {path for _, media in MIXED for _, path in media}
    assert sorted(clips.calls) == sorted(unique)
    batch = trainer._batches["train"]
    assert len(batch.media) == len(unique)
    assert sum(patches) == sum(
        len(m.values) for m in batch.media
    )  # generation alone encodes with the policy; G = 4


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frozen_tower_runs_once_per_generation(
    models: dict[str, str], tmp_path: Path, family: str
) -> None:
    trainer = grpo(models[family], tmp_path, Clips(), tuning="lora", num_iterations=2, max_steps=2)
    patches: list[int] = []
    trainer._sight.model.visual.register_forward_hook(
        lambda m, a, kw, out: patches.append(len(a[0])), with_kwargs=True
    )
    trainer.train()
    assert sum(patches) == sum(len(m.values) for m in trainer._batches["train"].media)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_vision_token_is_ever_sampled(
    models: dict[str, str], tmp_path: Path, family: str
) -> None:
    from spacer_utils.training.encoder import vision_tokens

    trainer = grpo(models[family], tmp_path, Clips(), max_completion_length=24, num_generations=4)
    forbidden = vision_tokens(trainer.processing_class)
    assert len(forbidden) == 5

    def prefer(model: Any, args: Any, kwargs: Any, out: Any) -> Any:
        out.logits[..., forbidden] += 100.0
        return out

    trainer.model.register_forward_hook(prefer, with_kwargs=True)
    out = trainer._generate_and_score_completions(inputs(trainer))
    assert not torch.isin(out["completion_ids"], torch.tensor(forbidden)).any()
    trainer.generation_config.suppress_tokens = [
        trainer.model.config.image_token_id
    ]  # as TRL leaves it
    with pytest.raises(Exception, match=r"(?i)video|match|grid|stop"):
        trainer._generate_and_score_completions(inputs(trainer))


@pytest.mark.parametrize("family", FAMILIES)
def test_time_reaches_the_model(models: dict[str, str], tmp_path: Path, family: str) -> None:
    """The same frames at half the rate are another clip: as text (Qwen3-VL) or as positions
    (Qwen2.5-VL)."""
    found = []
    for fps in (2.0, 0.5):
        trainer = grpo(models[family], tmp_path, Clips(fps), num_iterations=2, rows=MIXED[:1])
        fixed(trainer)
        found.append(scored(trainer))
    for name in ("old", "reference", "policy"):
        assert (found[0][name] - found[1][name]).abs().max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_dropping_token_types_or_time_is_noticed(
    models: dict[str, str], tmp_path: Path, family: str
) -> None:
    """What a forward needs besides pixels moves the numbers, so losing it can't go unseen."""
    trainer = grpo(models[family], tmp_path, Clips(0.5), num_iterations=2, rows=MIXED[:1])
    fixed(trainer)
    out = trainer._generate_and_score_completions(inputs(trainer))
    batch = trainer._batches["train"]
    ids = torch.cat([out["prompt_ids"], out["completion_ids"]], 1)
    mask = torch.cat([out["prompt_mask"], out["completion_mask"]], 1)
    types = (ids == trainer.processing_class.video_token_id).long() * 2

    def logits(drop: str = "") -> Any:
        with trainer._sight.rows(batch, range(len(ids)), "cpu") as media, torch.no_grad():
            given = {"input_ids": ids, "attention_mask": mask, "mm_token_type_ids": types, **media}
            given.pop(drop, None)
            return trainer.model(**given).logits

    whole = logits()
    if family == "qwen2_5_vl":
        for name in ("mm_token_type_ids", "second_per_grid_ts"):
            assert (whole - logits(name)).abs().max() > 1e-3, name
    else:
        with pytest.raises(ValueError, match="mm_token_type_ids"):
            logits("mm_token_type_ids")


@pytest.mark.parametrize("tuning", TUNINGS)
def test_reference_is_the_base_after_updates(
    models: dict[str, str], tmp_path: Path, tuning: str
) -> None:
    trainer = grpo(
        models["qwen3_vl"],
        tmp_path,
        Clips(),
        tuning=tuning,
        learning_rate=1e-2,
        num_iterations=1,
        max_steps=3,
    )
    trainer.train()
    assert trainer.state.log_history[-2]["kl"] > 1e-4
    trainer.model.train()
    fresh = grpo(models["qwen3_vl"], tmp_path, Clips(), tuning="full", num_iterations=2)
    for t in (trainer, fresh):
        fixed(t)
    now = trainer._generate_and_score_completions(inputs(trainer))
    base = fresh._generate_and_score_completions(inputs(fresh))
    mask = now["completion_mask"].bool()
    assert torch.allclose(
        now["ref_per_token_logps"][mask], base["old_per_token_logps"][mask], atol=1e-5
    )


def test_advantages_belong_to_their_completions(models: dict[str, str], tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    trainer = grpo(
        models["qwen3_vl"], tmp_path, Clips(), num_generations=4, on_rollouts=rows.extend
    )
    out = trainer._generate_and_score_completions(inputs(trainer))
    texts = trainer.processing_class.batch_decode(
        [i[m.bool()] for i, m in zip(out["completion_ids"], out["completion_mask"])],
        skip_special_tokens=True,
    )
    rewards = torch.tensor([sum(t.count(v) for v in "aeiou") / 10 for t in texts])
    groups = rewards.view(-1, 4)
    expected = (groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)
    assert torch.allclose(out["advantages"], expected.flatten(), atol=1e-4)
    assert [r["completion"] for r in rows] == texts
    assert [r["reward"] for r in rows] == pytest.approx(rewards.tolist())
    assert [r["advantage"] for r in rows] == pytest.approx(expected.flatten().tolist(), abs=1e-4)


def test_every_token_is_credited_with_what_it_decides(
    models: dict[str, str], tmp_path: Path
) -> None:
    """In a group of four maps, written token by token: cells, names, answer; and the loss takes
    it."""

    def map_calibrated(completions: Any, **_: Any) -> list[float]:
        return [float(len(c[0]["content"]) % 7) for c in completions]

    rows: list[dict[str, Any]] = []
    trainer = grpo(
        models["qwen3_vl"],
        tmp_path,
        Clips(),
        rows=MIXED[:1],
        num_generations=4,
        on_rollouts=rows.extend,
        credit_by="object",
        rewards=(vowels, map_calibrated),
        reward_weights=[2.0, 3.0],
        max_completion_length=99,
    )
    words = trainer.processing_class.tokenizer
    right = (
        "<think><map>{'chair': [[",
        "1, 2",
        "]], '",
        "table': [[",
        "5, 5",
        "], [",
        "7, 1",
        "]], '",
        "lamp': [[",
        "3, 3",
        "]]}</map>",
        " a",
        "</think><answer>",
        "2",
        "</answer>",
    )  # a lamp is not on the true map
    others = [[*right], [*right], ["<think></think><answer>2</answer>"]]
    others[0][1], others[1][4], others[1][6], others[1][11] = "9, 9", "0, 0", "0, 1", " ae"
    pieces = [[*right], *others]
    ids = [[words(p, add_special_tokens=False).input_ids for p in texts] for texts in pieces]
    trainer._generate_single_turn = lambda *_, **__: (
        [[*chain(*row), words.eos_token_id] for row in ids],
        None,
    )
    out = trainer._generate_and_score_completions(inputs(trainer))
    texts = [r["completion"] for r in rows]
    assert texts == ["".join(p) for p in pieces]

    rest, maps = (
        torch.tensor(f([[{"content": t}] for t in texts])) for f in (vowels, map_calibrated)
    )
    own = credit.by_category(
        [Sample(0, "?", "video", "numerical", (), "", "", "", cognitive_map=MAP)] * 4, texts, 4
    )
    whole, head, behind = (
        group_advantages(r, 4).tolist() for r in (2 * rest + 3 * maps, 3 * maps, 2 * rest)
    )
    for row in range(3):
        chair, table = own[row]["chair"], own[row]["table"]
        credits = [
            head[row],
            chair,
            chair,
            head[row],
            *[table] * 4,
            *[head[row]] * 3,
            *[behind[row]] * 4,
        ]
        # a piece of several tokens that closes a list has the category's credit in the first, and
        # the map's behind it
        expected = [
            c if k == 0 or p not in (2, 7) else head[row]
            for p, c in enumerate(credits)
            for k in range(len(ids[row][p]))
        ]
        expected.append(behind[row])
        found = out["advantages"][row][out["completion_mask"][row].bool()]
        assert found.tolist() == pytest.approx(expected, abs=1e-4)
    assert out["advantages"][3].tolist() == pytest.approx(
        [whole[3]] * out["advantages"].size(1), abs=1e-4
    )  # no map at all
    assert own[0]["chair"] > own[1]["chair"] < 0 < own[0]["table"] > own[2]["table"]
    assert [r["advantage"] for r in rows] == pytest.approx(
        whole, abs=1e-4
    )  # the log has the completions' own

    mask, trainer.beta = out["completion_mask"], 0.0
    expected_loss = -((out["advantages"] * mask).sum(1) / mask.sum(1)).mean()  # ratios are 1
    assert trainer._compute_loss(trainer.model, out).item() == pytest.approx(
        expected_loss.item(), abs=1e-5
    )


@pytest.mark.parametrize(
    "config", [{"scale_rewards": "batch"}, {"multi_objective_aggregation": "normalize_then_sum"}]
)
@pytest.mark.parametrize("credit_by", ["parts", "object"])
def test_credit_within_completions_refuses_what_it_would_not_follow(
    models: dict[str, str], tmp_path: Path, config: dict[str, str], credit_by: str
) -> None:
    with pytest.raises(WorkbookError, match="scale_rewards to 'group' or 'none'"):
        grpo(models["qwen3_vl"], tmp_path, Clips(), credit_by=credit_by, **config)
    grpo(models["qwen3_vl"], tmp_path, Clips(), **config)


def test_credit_of_categories_is_against_the_group() -> None:
    room = Sample(
        0,
        "?",
        "video",
        "numerical",
        (),
        "",
        "",
        "",
        cognitive_map={"tv": [[8, 1]], "bed": [[1, 1], [1, 8]]},
    )
    texts = [
        f"<think><map>{m}</map></think><answer>1</answer>"
        for m in (
            "{'tv': [[8, 1]], 'bed': [[1, 1], [1, 8]]}",
            "{'tv': [[1, 8]], 'bed': [[1, 1], [1, 8]]}",
            "{'tv': [[8, 1]], 'bed': [[1, 1]]}",
            "{}",
        )
    ]
    found = credit.by_category([room] * 4, texts, 4)
    for name in ("tv", "bed"):
        assert sum(row[name] for row in found) == pytest.approx(0, abs=1e-6)
    assert found[0]["tv"] == found[2]["tv"] > 0 > found[1]["tv"]
    assert found[0]["bed"] == found[1]["bed"] > found[2]["bed"] > found[3]["bed"]
    spread = [v for row in found for v in row.values()]
    assert sum(v * v for v in spread) / len(spread) == pytest.approx(1, abs=0.01)
    assert credit.by_category([room] * 2, [texts[0]] * 2, 2) == [{"tv": 0.0, "bed": 0.0}] * 2
    unknown = Sample(0, "?", "video", "numerical", (), "", "", "")
    assert credit.by_category([unknown] * 2 + [room] * 2, texts, 2)[:2] == [{}, {}]


def test_characters_of_tokens_add_up(models: dict[str, str], tmp_path: Path) -> None:
    words = grpo(models["qwen3_vl"], tmp_path, Clips()).processing_class.tokenizer
    for text in (
        "<think>so <map>{'tv': [[1, 2]]}</map></think><answer>A</answer>",
        "ein Käfig é 椅",
        "",
    ):
        ids = [*words(text, add_special_tokens=False).input_ids, words.eos_token_id]
        until = credit.ends(words, ids)
        assert until == sorted(until)
        assert until[-1] == len(text)
        assert all(
            words.decode(ids[: k + 1], skip_special_tokens=True) == text[:n]
            for k, n in enumerate(until)
            if text.isascii()
        )


def test_tokens_after_the_end_of_turn_carry_no_loss(models: dict[str, str], tmp_path: Path) -> None:
    trainer = grpo(models["qwen3_vl"], tmp_path, Clips(), num_iterations=2)
    fixed(trainer)
    out = trainer._generate_and_score_completions(inputs(trainer))
    loss = trainer._compute_loss(trainer.model, out)
    padding = ~out["completion_mask"].bool()
    assert padding.any()
    other = {
        **out,
        "old_per_token_logps": out["old_per_token_logps"].masked_fill(padding, -9.0),
        "ref_per_token_logps": out["ref_per_token_logps"].masked_fill(padding, -9.0),
    }
    assert trainer._compute_loss(trainer.model, other).item() == pytest.approx(
        loss.item(), abs=1e-7
    )


def test_shuffled_rollouts_give_the_temporal_column(models: dict[str, str], tmp_path: Path) -> None:
    seen: list[Any] = []

    def temporal(completions: Any, shuffled_accuracy: Any, **_: Any) -> list[float | None]:
        seen.extend(shuffled_accuracy)
        return [None if a is None else 0.3 for a in shuffled_accuracy]

    clips = Clips()
    trainer = grpo(
        models["qwen3_vl"],
        tmp_path,
        clips,
        num_generations=4,
        shuffled=2,
        rewards=(vowels_reward, temporal),
    )
    trainer._generate_and_score_completions(inputs(trainer))
    assert [a is None for a in seen] == [False] * 4 + [True] * 4 + [False] * 4 + [
        True
    ] * 4  # only rows with a video
    assert len(clips.calls) == len(
        set(clips.calls)
    )  # shuffling permutes frames that are already there


def vowels_reward(completions: Any, **_: Any) -> list[float]:
    return [float(len(c[0]["content"]) % 5) for c in completions]


def test_frames_are_shuffled_and_times_kept() -> None:
    from spacer_utils.training.encoder import shuffled_order

    for count in (2, 3, 8):
        order = shuffled_order("a/b.mp4", count, 3)
        assert sorted(order) == list(range(count))
        assert list(order) != list(range(count))
        assert list(order) == list(shuffled_order("elsewhere/b.mp4", count, 3))
    assert list(shuffled_order("b.mp4", 1, 0)) == [0]


def test_trl_still_has_the_methods_that_are_overridden() -> None:
    """An upgrade that moves them fails here and not silently in training."""
    from trl import GRPOTrainer

    expected = {
        "_tokenize_prompts": ["self", "prompts"],
        "_generate_single_turn": [
            "self",
            "prompt_ids",
            "images",
            "multimodal_fields",
            "num_generations",
            "has_tool_images",
        ],
        "_generate_and_score_completions": ["self", "inputs"],
        "_compute_loss": ["self", "model", "inputs"],
        "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
        "_set_signature_columns_if_needed": ["self"],
    }
    for name, names in expected.items():
        assert list(inspect.signature(getattr(GRPOTrainer, name)).parameters) == names, name
    scoring = list(inspect.signature(GRPOTrainer._get_per_token_logps_and_entropies).parameters)
    assert scoring[:5] == ["self", "model", "input_ids", "attention_mask", "logits_to_keep"]
    assert "mm_token_type_ids" in scoring
    source = inspect.getsource(GRPOTrainer._get_per_token_logps_and_entropies)
    assert source.count("model(") == 1  # the stand-in counts rows: one call per chunk, in order
    flow = inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert (
        flow.count("self._get_per_token_logps_and_entropies(") == 3
    )  # old, reference model, reference by disabled adapter
    assert "self._tokenize_prompts(" in inspect.getsource(GRPOTrainer._generate)


# --------------------------------------------------------------------------------- rotary positions


def positions(types: list[int], grid: list[list[int]], seconds: list[float]) -> Any:
    from types import SimpleNamespace

    from spacer_utils.training.vision import rope_index

    model = SimpleNamespace(
        config=SimpleNamespace(
            vision_config=SimpleNamespace(spatial_merge_size=2, tokens_per_second=2)
        )
    )
    kinds = torch.tensor([types])
    images = [g for g, k in zip(grid, seconds) if k == 0]
    videos = [g for g, k in zip(grid, seconds) if k]
    found, offset = rope_index(
        model,
        torch.ones_like(kinds),
        kinds,
        image_grid_thw=torch.tensor(images) if images else None,
        video_grid_thw=torch.tensor(videos) if videos else None,
        second_per_grid_ts=torch.tensor([s for s in seconds if s]),
    )
    return found[:, 0].tolist(), int(offset)


def test_golden_positions() -> None:
    """Written by hand from the published algorithm: text after a medium goes on at its largest
    position plus one."""
    found, offset = positions([0, 0, 0] + [2] * 8 + [0, 0], [[2, 4, 4]], [1.0])
    assert found == [
        [0, 1, 2, 3, 3, 3, 3, 5, 5, 5, 5, 6, 7],
        [0, 1, 2, 3, 3, 4, 4, 3, 3, 4, 4, 6, 7],
        [0, 1, 2, 3, 4, 3, 4, 3, 4, 3, 4, 6, 7],
    ]
    assert offset == 8 - 13
    found, _ = positions([0] + [1] * 4 + [0] + [2] * 2 + [0], [[1, 4, 4], [2, 2, 2]], [0, 3.0])
    assert found == [
        [0, 1, 1, 1, 1, 3, 4, 10, 11],
        [0, 1, 1, 2, 2, 3, 4, 4, 11],
        [0, 1, 2, 1, 2, 3, 4, 4, 11],
    ]
    found, _ = positions(
        [0] + [2] * 64 + [0], [[16, 4, 4]], [3.75]
    )  # a minute in 16 temporal patches
    assert found[0][-1] == 1 + 112 + 1


def test_positions_are_repaired_where_they_are_wrong() -> None:
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLModel
    from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VLModel
    from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLModel

    from spacer_utils.training.vision import misplaces_text, repair_positions, rope_index

    untouched = Qwen3VLModel.get_rope_index
    repair_positions()
    assert not misplaces_text(Qwen2VLModel)
    assert not misplaces_text(Qwen2_5_VLModel)
    assert repair_positions() == []
    assert Qwen3VLModel.get_rope_index is untouched is not rope_index


def test_padding_does_not_move_positions() -> None:
    from types import SimpleNamespace

    from spacer_utils.training.vision import rope_index

    model = SimpleNamespace(
        config=SimpleNamespace(
            vision_config=SimpleNamespace(spatial_merge_size=2, tokens_per_second=2)
        )
    )
    kinds = torch.tensor([[0, 0, 0, 2, 2, 0], [0, 2, 2, 2, 2, 0]])
    mask = torch.tensor([[0, 1, 1, 1, 1, 1], [1] * 6])
    found, _ = rope_index(
        model,
        torch.ones_like(kinds),
        kinds,
        video_grid_thw=torch.tensor([[2, 2, 2], [1, 4, 4]]),
        second_per_grid_ts=torch.tensor([1.0, 1.0]),
        attention_mask=mask,
    )
    assert found[0, 0, 1:].tolist() == [0, 1, 2, 4, 5]
    assert found[0, 1].tolist() == [0, 1, 1, 1, 1, 3]


# ---------------------------------------------------------------------------------------------- SFT


def collated(model: str, clips: Clips, rows: Any = MIXED) -> tuple[Any, dict[str, Any]]:
    import json

    from transformers import AutoProcessor

    from spacer_utils.training.encoder import Encoder
    from spacer_utils.training.sft import Collator

    collate = Collator(Encoder(AutoProcessor.from_pretrained(model), FRAMES, load=clips))
    return collate, collate(
        [
            {"prompt": text, "media": json.dumps(media), "completion": answer_text(k)}
            for k, (text, media) in enumerate(rows)
        ]
    )


def answer_text(k: int) -> str:
    return f"<think></think><answer>{k}</answer>"


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_completion_is_a_label(models: dict[str, str], family: str) -> None:
    collate, batch = collated(models[family], Clips())
    words = collate.encoder.processor.tokenizer
    for k, (ids, labels, mask) in enumerate(
        zip(batch["input_ids"], batch["labels"], batch["attention_mask"])
    ):
        kept = labels[labels != -100]
        assert words.decode(kept) == answer_text(k) + "<|im_end|>"
        assert torch.equal(ids[labels != -100], kept)
        assert (labels[mask == 0] == -100).all()
        assert (batch["mm_token_type_ids"][k][labels != -100] == 0).all()


@pytest.mark.parametrize("tuning", TUNINGS)
@pytest.mark.parametrize("family", FAMILIES)
def test_supervised_loss_sees_pixels(
    models: dict[str, str],
    tmp_path: Path,
    family: str,
    tuning: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from datasets import Dataset
    from kit.training_kit import lora
    from transformers import AutoModelForImageTextToText
    from trl import SFTConfig
    from trl.trainer import utils as trl_utils

    from spacer_utils.training.sft import VideoSFTTrainer

    clips = Clips()
    collate, batch = collated(models[family], clips)
    args = SFTConfig(
        output_dir=str(tmp_path),
        max_length=None,
        dataset_kwargs={"skip_prepare_dataset": True},
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        remove_unused_columns=False,
        completion_only_loss=False,
    )
    base = AutoModelForImageTextToText.from_pretrained(models[family])
    rows = Dataset.from_list([{"prompt": "a", "media": "[]", "completion": "b"}])
    trainer = VideoSFTTrainer(
        model=base,
        args=args,
        encoder=collate.encoder,
        train_dataset=rows,
        peft_config=lora() if tuning == "lora" else None,
    )
    scored: list[int] = []
    fused = trl_utils._ChunkedLogProbFunction

    def apply(states: Any, *others: Any) -> Any:
        scored.append(len(states))
        return fused.apply(states, *others)

    monkeypatch.setattr(trl_utils, "_ChunkedLogProbFunction", SimpleNamespace(apply=apply))
    loss = trainer.compute_loss(trainer.model, dict(batch))
    assert scored == [int((batch["labels"] != -100).sum())], "no position of a prompt or of media"
    with trainer._sight.rows(batch["media"], range(len(MIXED)), "cpu") as media, torch.no_grad():
        logits = trainer.model(
            **{k: v for k, v in batch.items() if k not in ("media", "labels")}, **media
        ).logits
    expected = torch.nn.functional.cross_entropy(
        logits[:, :-1].transpose(1, 2), batch["labels"][:, 1:], ignore_index=-100
    )
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    clips.changed = {"a-x6": 3}
    collate.encoder._raw.clear()
    _, other = collated(models[family], clips)
    assert abs(trainer.compute_loss(trainer.model, dict(other)).item() - loss.item()) > 1e-4
    _, blind = collated(models[family], clips, [(text, ()) for text, _ in MIXED])
    assert abs(trainer.compute_loss(trainer.model, dict(blind)).item() - loss.item()) > 1e-3
