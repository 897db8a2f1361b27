"""The memory model against the real models: built with their published sizes, but without memory
for their weights."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spacer_utils.core import profiles
from spacer_utils.workbook import cost, forecast, memory, model_sizes
from spacer_utils.workbook.model_sizes import SHAPES, Setting

SEVEN, THREE, FOUR = SHAPES
PUBLISHED = {SEVEN: 8_292_166_656, THREE: 3_754_622_976, FOUR: 4_437_815_808}
"""Parameters of the checkpoints on the hub."""
STEP = Setting("lora", frames=16, pixels=364 * 280, prompts=8, group=8, completion=1024, rows=8)


def terms(name: str, **changes: Any) -> dict[str, float]:
    gpus = changes.pop("gpus", 1)
    return memory.terms(replace(STEP, **changes), SHAPES[name], gpus)


# -------------------------------------------------------------------------------------------- sizes


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_weights_are_those_of_the_published_models(name: str) -> None:
    from kit import fake_weights

    of = SHAPES[name]
    made = fake_weights.model(of)
    parts = {
        "weights": made,
        "tower": made.model.visual,
        "blocks": made.model.language_model.layers,
    }
    for part, module in parts.items():
        matrices = sum(p.numel() for p in module.parameters() if p.dim() > 1)
        assert getattr(of, part) == matrices, part
    count = sum(p.numel() for p in made.parameters())
    assert count == PUBLISHED[name]
    assert of.weights == pytest.approx(count, rel=1e-3)
    assert model_sizes.from_config(made.config.to_dict()) == of


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_adapters_are_those_that_peft_makes(name: str) -> None:
    from kit import fake_weights
    from peft import LoraConfig, get_peft_model

    from spacer_utils.training.loop import LORA_TARGETS

    given = LoraConfig(r=64, target_modules=LORA_TARGETS, task_type="CAUSAL_LM")
    made = get_peft_model(fake_weights.model(SHAPES[name]), given)
    trained = sum(p.numel() for p in made.parameters() if p.requires_grad)
    assert SHAPES[name].adapters(64) == trained


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_a_token_s_keys_and_values_are_those_of_the_model_s_cache(name: str) -> None:
    import torch
    from kit import fake_weights

    of = replace(SHAPES[name], layers=2, tower_layers=1)
    if not of.gated:
        of = replace(of, mergers=2)
    made = fake_weights.model(of).to(torch.bfloat16)
    ids = torch.zeros(3, 40, dtype=torch.long, device="meta")
    cache = made.model.language_model(
        inputs_embeds=made.get_input_embeddings()(ids), use_cache=True
    ).past_key_values
    held = sum(x.nbytes for layer in cache.layers for x in (layer.keys, layer.values))
    assert held == 3 * 40 * of.cached


# -------------------------------------------------------------------------------------- activations


@pytest.mark.slow
@pytest.mark.parametrize("tuning", ["lora", "full"])
@pytest.mark.parametrize("name", SHAPES)
def test_activations_are_those_of_a_packed_group(name: str, tuning: str) -> None:
    """Per token of a longer completion, with one layer and with three."""
    from kit import fake_weights

    kept, peak = {}, {}
    for layers in (1, 3):
        of = replace(SHAPES[name], layers=layers, vocab=100)
        short, long = (fake_weights.passed(of, tuning, 1400, 8, c) for c in (512, 1024))
        kept[layers], peak[layers] = ((b - a) / (8 * 512) for a, b in zip(short, long))
    of = SHAPES[name]
    assert (kept[3] - kept[1]) / 2 == 2 * of.hidden  # the hidden state in front of a layer

    wide, inner = memory.WORK[tuning]
    reckoned = wide * of.width + inner * of.inner
    assert reckoned == pytest.approx(peak[1], rel=0.05)


def test_a_pass_holds_what_was_measured_of_64_rows_and_of_8() -> None:
    """43.9 and 5.8 GiB, by fake tensors of the true 7B with 1,560 tokens before the completions."""
    gib = 2**30 / 1e9
    for rows, measured in ((64, 43.9), (8, 5.8)):
        found = terms(SEVEN, rows=rows, pixels=364 * 252)["activations"]
        assert found == pytest.approx(measured * gib, rel=0.06)


def test_what_makes_a_step_larger() -> None:
    base = terms(SEVEN)
    assert terms(SEVEN, rows=16)["activations"] == pytest.approx(2 * base["activations"])
    assert terms(SEVEN, checkpointing=False)["activations"] > 10 * base["activations"]
    assert terms(SEVEN, shared=False)["activations"] > 1.5 * base["activations"]


# ------------------------------------------------------------------------------- the rest of a step


def test_the_terms_of_lora() -> None:
    found, of = terms(SEVEN), SHAPES[SEVEN]
    adapters = of.adapters(64)
    assert found["weights"] == pytest.approx((2 * of.weights + 4 * adapters) / 1e9)
    assert found["gradients"] == pytest.approx(4 * adapters / 1e9)
    assert found["optimiser"] == pytest.approx(8 * adapters / 1e9)
    assert found["reference"] == found["bf16 copies"] == 0  # adapters off: the base


def test_the_terms_of_full_tuning() -> None:
    one, eight = (terms(SEVEN, tuning="full", gpus=n) for n in (1, 8))
    weights = SHAPES[SEVEN].weights / 1e9
    for name, each in {"weights": 4, "gradients": 4, "optimiser": 8, "reference": 4}.items():
        assert one[name] == pytest.approx(each * weights)
        assert eight[name] == pytest.approx(each * weights / 8)
    assert one["bf16 copies"] == pytest.approx(2 * weights)  # autocast's
    assert 2 < eight["bf16 copies"] < 4  # embeddings, output layer, two layers
    assert terms(SEVEN, tuning="full", gpus=8, supervised=True)["reference"] == 0


@pytest.mark.parametrize("name", SHAPES)
def test_the_rollouts_cache_holds_prompts_once_per_group(name: str) -> None:
    """Twice while they are copied, as ``rollouts.complete`` does."""
    of, prompt = SHAPES[name], model_sizes.tokens(STEP, SHAPES[name]) + STEP.text
    found = terms(name, rows=1, prompts=64)["cache of the rollouts"]
    assert found == pytest.approx((2 * 64 * prompt + 512 * 1024) * of.cached / 1e9)


# ----------------------------------------------------------------------------------------- profiles


def total(
    profile: profiles.Profile, tuning: str, chip: str, model: str, vllm: bool = False
) -> float:
    s = model_sizes.setting(replace(profile, model=model), tuning, False)
    gb = cost.CHIPS[chip].gb
    found = memory.terms(
        s, SHAPES[model], max(1, profile.min_gpus), profile.train.lora_rank, gb if vllm else 0.0
    )
    return sum(found.values())


def test_the_profile_of_one_24_gb_gpu_fits_both_models_and_no_larger_step_does() -> None:
    profile, chip = profiles.get("gpu-24gb"), "RTX 4090 24 GB"
    assert profile.model == THREE
    assert total(profile, "lora", chip, THREE) < 24
    assert total(profile, "lora", chip, FOUR) < 24
    doubled = profile.with_overrides(prompts_per_step=2 * profile.train.prompts_per_step)
    assert total(doubled, "lora", chip, FOUR) > 24
    assert total(profile, "lora", chip, SEVEN) > 24
    supervised = model_sizes.setting(replace(profile, model=FOUR), "lora", True)
    assert sum(memory.terms(supervised, SHAPES[FOUR]).values()) < 24


def test_vllm_fits_beside_gpu_lora_only_with_few_rows_a_pass() -> None:
    profile, chip = profiles.get("gpu-lora"), "H100 80 GB"
    assert profile.train.micro_batch == 8
    assert total(profile, "lora", chip, SEVEN, vllm=True) < 60
    assert total(profile.with_overrides(micro_batch=0), "lora", chip, SEVEN) < 80
    assert total(profile.with_overrides(micro_batch=0), "lora", chip, SEVEN, vllm=True) > 80
    assert cost.most_rows(profile, "lora", chip, vllm=True) < 64
    assert cost.most_rows(profile, "lora", chip) == 64
    assert cost.most_rows(profile, "full", chip) == 0


@pytest.mark.parametrize("name", ["gpu-24gb", "gpu-lora", "gpu-full"])
def test_a_profile_asks_for_the_memory_that_loading_takes(name: str) -> None:
    profile = profiles.get(name)
    needed = memory.host(profile)
    lacks = forecast.shortfalls(profile, needed, [100.0] * profile.min_gpus)
    assert lacks  # no machine passes that could not even hold the models
    assert profile.min_ram_gb > needed
    if name == "gpu-full":
        assert needed == pytest.approx(530.6, abs=0.5)


def test_steps_have_the_tokens_that_the_processor_makes() -> None:
    step = {
        n: model_sizes.setting(profiles.get(n), "lora", False) for n in ("gpu-lora", "gpu-full")
    }
    assert model_sizes.tokens(step["gpu-lora"], SHAPES[SEVEN]) == 936
    assert model_sizes.tokens(step["gpu-full"], SHAPES[SEVEN]) == 1040
