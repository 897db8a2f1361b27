"""Item by item against lmms-eval 0.7.3's own scoring files, which are loaded by path; skipped
without them.

pip download --no-deps lmms-eval==0.7.3 && unzip lmms_eval-0.7.3-*.whl -d lmms
SPACER_LMMS_EVAL_DIR=lmms python -m pytest tests/test_benchmarks_parity.py
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import string
import subprocess
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT

from spacer_utils.benchmarks import revsi, spar_bench, vsi_bench, wemath
from spacer_utils.benchmarks.scoring import (
    Item,
    Question,
    extract,
    judge_row,
    vlmevalkit,
)
from spacer_utils.core import metrics
from spacer_utils.core.files import read_jsonl
from spacer_utils.core.registry import BENCHMARKS

REASONING_TAGS = [
    ["<map>", "</map>"],
    ["<think>", "<answer>"],
    ["</answer>", "</answer>"],
    ["<think>", "</think>"],
]
"""Given to lmms-eval's ``--reasoning_tags`` as JSON: the tag pairs after which it sees the bare
answer, wherever the map stands."""
TASKS = Path(os.environ.get("SPACER_LMMS_EVAL_DIR", "")) / "lmms_eval" / "tasks"
N = 1_500
pytestmark = pytest.mark.skipif(
    "SPACER_LMMS_EVAL_DIR" not in os.environ or not TASKS.is_dir(),
    reason="set SPACER_LMMS_EVAL_DIR to an unpacked lmms-eval 0.7.3 wheel",
)
OPTIONS = {"A": "teddy bear", "B": "rabbit", "C": "cat", "D": "a dog"}
PIECES = [
    "A",
    "B",
    "C",
    "D",
    "E",
    "a",
    "b",
    "A.",
    "B)",
    "(C)",
    "(D).",
    "C:",
    "**B**",
    '"D"',
    "Answer:",
    "Answer: B",
    "<Answer>",
    "</Answer>",
    "<<C>>",
    "The answer is",
    "the correct answer is",
    "My answer is D",
    "best option is",
    "I choose",
    "Option",
    "because",
    "As",
    "cat",
    "a dog",
    "rabbit",
    "teddy",
    "bear",
    "Best option:",
    "\n",
    "\n\n",
    "  ",
    ".",
    ",",
    "-",
    "3",
    "-2.5",
    "1,200",
    "10^2",
    "2-3",
    "twenty-one",
    "three hundred and five",
    "one",
    "a",
    "an",
    "yes",
    "no",
    "not",
    "Z",
    "答案是",
    "move_right:1.0",
    ",move_left:0.5",
    "rotate_up:3",
    "<think>",
    "</think>",
    "Cannot determine the answer",
]


def load(path: str) -> Any:
    """A module of the wheel by its file's path; the logger that it wants is silenced."""
    quiet = types.SimpleNamespace(
        **{
            n: (lambda *a, **k: None)
            for n in ("info", "warning", "error", "debug", "add", "remove")
        }
    )
    sys.modules.setdefault("loguru", types.SimpleNamespace(logger=quiet))  # type: ignore[arg-type]
    os.environ.setdefault("HF_HOME", "")
    spec = importlib.util.spec_from_file_location(
        path.replace("/", "_").removesuffix(".py"), TASKS / path
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lift(path: str, function: str) -> Any:
    """One self-contained function of a file that can't be imported."""
    source = (TASKS / path).read_text()
    start = source.index(f"def {function}(")
    end = source.find("\ndef ", start + 1)
    scope: dict[str, Any] = {
        **vars(__import__("typing")),
        "re": re,
        "string": string,
        "random": types.SimpleNamespace(choice=lambda choices: ""),
    }
    exec(source[start:end], scope)
    return scope[function]


def texts(seed: int) -> list[str]:
    rng = np.random.default_rng([97, seed])
    pick = lambda choices: choices[rng.integers(len(choices))]  # noqa: E731
    return [
        "".join(pick(PIECES) + pick(["", " ", " "]) for _ in range(rng.integers(0, 9)))
        for _ in range(N)
    ]


def agree(
    theirs: Callable[[str], Any],
    ours: Callable[[str], Any],
    seed: int,
    same: Callable[[Any, Any], bool] | None = None,
) -> None:
    outputs = texts(seed)
    results = [(text, theirs(text), ours(text)) for text in outputs]
    differing = [
        r for r in results if not (same(r[1], r[2]) if same else (r[1] or None) == (r[2] or None))
    ]
    assert len(outputs) >= 1_000
    assert not differing, f"{len(differing)} of {len(outputs)}: {differing[:5]}"


def test_vsi_extractors_and_error_measure() -> None:
    module = load("vsibench/utils.py")
    agree(module.fuzzy_matching, extract.ft, 1)
    agree(module.extract_number, extract.le_num, 2)
    rng = np.random.default_rng(97)
    for truth, ratio in zip(rng.integers(1, 200, N) / 10, rng.integers(0, 60, N) / 20):
        prediction = round(truth * ratio, 3)
        assert module.mean_relative_accuracy(prediction, truth, 0.5, 0.95, 0.05) == pytest.approx(
            metrics.mra(prediction, truth), abs=1e-12
        )


def test_vsi_letters_and_aggregate() -> None:
    module, rng = load("vsibench/utils.py"), np.random.default_rng(98)
    kinds = BENCHMARKS["vsi_bench"].tasks
    theirs, ours = [], []
    for text in texts(3):
        kind = kinds[rng.integers(len(kinds))]
        row = {"question_type": kind, "ground_truth": "3" if kind in vsi_bench.NUMERIC else "B"}
        theirs.append(module.vsibench_process_results({**row}, [text])["vsibench_overall"])
        item = judge_row(BENCHMARKS["vsi_bench"], {**row, "output": text}, unwrap_policy="none")
        if "accuracy" in theirs[-1]:
            assert theirs[-1]["accuracy"] == item.score, text
        score = theirs[-1].get("accuracy", theirs[-1].get("MRA:.5:.95:.05"))
        ours.append(Item(item.question, row, float(score), "x", ""))
    overall = BENCHMARKS["vsi_bench"].variants(ours)["macro_8_tasks"]
    assert overall == pytest.approx(module.vsibench_aggregate_overall(theirs), abs=1e-6)


def clip_of(module: Any, row: dict[str, Any]) -> str:
    """What ReVSI's task says of a row's clip, which isn't there."""
    with pytest.raises(FileExistsError) as absent:
        module.revsi_doc_to_visual(row)
    return str(absent.value)


def test_revsi(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("datasets", "huggingface_hub.constants", "lmms_eval.utils",
                 "lmms_eval.tasks._task_utils.default_template_yaml"):  # fmt: skip
        stand_in = types.ModuleType(name)
        stand_in.__dict__.update(
            HF_HOME="",
            Dataset=None,
            load_default_template_yaml=lambda file: {"dataset_kwargs": {"cache_dir": ""}},
            resolve_cache_dir=lambda folder, base_dir: folder,
        )
        parts = name.split(".")
        for end in range(1, len(parts)):
            parent = ".".join(parts[:end])
            monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
        monkeypatch.setitem(sys.modules, name, stand_in)
    module, rng = load("revsi/utils.py"), np.random.default_rng(99)
    kinds = BENCHMARKS["revsi_32"].tasks
    assert set(kinds) == {*module.MCQ_QUESTION_TYPES, *module.NQ_QUESTION_TYPES}
    numbers = [f"{n / 80:g}{unit}" for n in range(640) for unit in ("", ".", " m", "m")]
    ask = {
        "pre_prompt": "These are frames of a video.",
        "mcq_post_prompt": "Answer with the option's letter from the given choices directly.",
        "nq_post_prompt": "Answer the question using a single integer or decimal number.",
    }
    theirs, ours = [], []
    for text in [*texts(23), *numbers, *texts(24)]:
        kind = kinds[rng.integers(len(kinds))]
        numeric = kind in module.NQ_QUESTION_TYPES
        row = {
            "question_type": kind,
            "question": "Which?",
            "ground_truth": str(rng.choice(["1", "3", "2.5", "40"]) if numeric else rng.choice(list("ABCD"))),
            "options": None if numeric else ["A. a", "B. b", "C. c", "D. d"],
            "num_frames": "32",
            "scene_id": "scene9000_00",
        }  # fmt: skip
        theirs.append(module.revsi_process_results({**row}, [text])["overall_acc"])
        item = judge_row(BENCHMARKS["revsi_32"], {**row, "output": text}, unwrap_policy="none")
        assert item.score == pytest.approx(theirs[-1]["acc"], abs=1e-12), (text, row)
        ours.append(item)
        prompt = BENCHMARKS["revsi_32"].prompt(item.question, row, "official")
        assert prompt == module.revsi_doc_to_text(row, ask)
        assert f"{item.question.media[0]} does" in clip_of(module, row)
    assert sum(0 < i.score < 1 for i in ours if i.score is not None) > 50
    table = BENCHMARKS["revsi_32"].variants(ours)
    assert table["macro"] == pytest.approx(module.revsi_aggregate_overall(theirs), abs=1e-9)
    for task, value in table["tasks"].items():
        found = getattr(module, f"revsi_aggregate_{task}_acc")(theirs)
        assert value == pytest.approx(found, abs=1e-9), task


def test_spar() -> None:
    module = load("sparbench/utils.py")
    agree(
        lambda t: bool(t) and module.exact_match(t, "B") == 1.0,
        lambda t: bool(t) and extract.spar_mca(t, "B"),
        4,
    )

    def number(task: str, text: str) -> float | None:
        try:
            return float(module.process_na(text, task))
        except (IndexError, ValueError):
            return None

    agree(partial(number, "depth_prediction_oc"), extract.spar_num, 5)
    agree(partial(number, "depth_prediction_oc_mv"), partial(extract.spar_num, last=True), 6)
    rng, names = np.random.default_rng(99), [name for pair in spar_bench.AXES for name in pair]
    lists = [
        ",".join(
            f"{n}:{v / 10}"
            for n, v in zip(rng.choice(names, k, replace=False), rng.integers(-3, 30, k))
        )
        for k in rng.integers(1, 7, 2 * N)
    ]
    for prediction, truth in zip(lists[:N], lists[N:]):
        assert module.compute_vci_metric(prediction, truth) == pytest.approx(
            spar_bench.view_change(prediction, truth), abs=1e-12
        )


def test_spar_numbers_of_the_wheel_are_broken_until_partial_is_there() -> None:
    module = load("sparbench/utils.py")
    row = {"task": "depth_prediction_oc", "answer": "3", "img_type": "single_view"}
    found = [
        next(iter(module.sparbench_process_results({**row}, ["3"]).values())) for _ in range(1)
    ]
    module.partial = partial
    found.append(next(iter(module.sparbench_process_results({**row}, ["3"]).values())))
    assert [f["MRA:.5:.95:.05"] for f in found] == [0.0, 1.0]


def test_letters() -> None:
    view, mcq = load("viewspatial/utils.py"), load("_task_utils/mcq_extract.py")
    agree(lambda t: view.extract_option(t.split("\n")[-1]), extract.last_line_letter, 7)
    agree(load("mindcube/utils.py").extract_answer, extract.mindcube_letter, 8)
    agree(load("embspatial/utils.py")._extract_answer_letter, extract.first_letter, 9)
    agree(mcq.extract_mcq_answer, extract.le_mcq, 10)
    agree(
        partial(mcq.extract_mcq_answer, choices=list("ABCD")),
        partial(extract.le_mcq, letters="ABCD"),
        11,
    )
    parse = lift("longvideobench/utils.py", "parse_multi_choice_response")
    agree(
        lambda t: parse(t, list("ABCDE"), {}),
        partial(extract.abcd_first, letters="ABCDE", prefixes=extract.PREFIXES[:8]),
        12,
    )


def test_inference() -> None:
    bench = load("mmbench/mmbench_evals.py").MMBench_Evaluator("", "", "", "")
    agree(
        lambda t: bench.can_infer(t, dict(OPTIONS)), lambda t: vlmevalkit.mmb_infer(t, OPTIONS), 13
    )
    hr = load("hrbench/hrbench_evals.py").HRBenchEval("")
    agree(lambda t: hr.can_infer(t, dict(OPTIONS)), lambda t: vlmevalkit.hr_infer(t, OPTIONS), 14)


def test_tempcompass_rules() -> None:
    module = load("tempcompass/utils.py")
    module.get_eval_result = lambda prompt: (None, 0)
    rows = BENCHMARKS["tempcompass"].sample
    names = ("multi_choice", "yes_no", "caption_matching")
    extra = [
        ["A", "A.", "A)", "A. dunking a basketball", "B. x"],
        ["yes", "No", "Yes, he is", "not"],
        ["Option 2", "2", "Option 1.", "1"],
    ]
    for row, name, more in zip(rows, names, extra):
        rule = getattr(module, f"tempcompass_process_results_{name}")
        for text in [*texts(15), *more]:
            theirs = rule({**row}, [text.strip()])["avg_accuracy"]["rating"]
            assert (
                theirs
                == BENCHMARKS["tempcompass"].score({**row, "output": text}, unwrap_policy="none")[
                    "score"
                ]
            ), (name, text)


def test_wemath_levels() -> None:
    module, rng = load("wemath/wemath_utils.py"), np.random.default_rng(100)
    table: list[dict[str, Any]] = []
    for group in range(525):
        steps = 2 if group < 360 else 3
        keys = [*(f"{steps}steps_{n}" for n in range(1, steps + 1)), f"{steps}steps_multi"]
        table += [
            {
                "ID": f"{steps}steps_{group}",
                "key": key,
                "joker": bool(rng.integers(2)),
                "knowledge concept": "",
            }
            for key in keys
        ]
    frame = pd.DataFrame(table)
    merged = [
        module.process_steps_data(frame[frame["key"].str.contains(f"{n}steps")].copy(), n)
        for n in (2, 3)
    ]
    counts, rates = module.compute_final_scores(module.calculate_metrics(*merged), total_count=525)
    row = module.update_main_results_df(counts, rates)
    ours = wemath.WeMath.variants(
        [
            Item(Question(r["key"], "A", groups={"group": r["ID"]}), {}, float(r["joker"]), "A", "")
            for r in table
        ]
    )
    assert f"{ours['score_strict']:.2%}" == row["Score (Strict)"]
    assert f"{ours['score_loose']:.2%}" == row["Score (Loose)"]
    assert f"{ours['levels']['RM_strict']:.2%}" == rates["RoteMemorization_strict_rate"]
    assert f"{ours['levels']['CM_loose']:.2%}" == rates["CompleteMastery_loose_rate"]


DEVIATIONS = {
    "vsi_bench, numbers": "lmms-eval reads the first number anywhere (LE-NUM), the official rule one before the first space",
    "video_mme": "LE-MCQ instead of the first capital A-D",
    "longvideobench": "a random guess where no letter is found; 'Answer:' and 'Option:' are not taken off",
    "tempcompass": "the output is not stripped of blanks and end marks",
    "pope": "only the exact words yes and no count; the official rule reads the words of the first sentence",
    "mmstar": "LE-MCQ instead of the official positions",
    "blink": "rules of its own, restricted to valid letters, instead of a unique (X)",
}
"""Where lmms-eval is not the official rule, so that our profiles differ from it on purpose.
Besides, 0.7.3 scores every numeric task of SPAR-Bench 0 (see the test above)."""


@pytest.mark.parametrize("name", DEVIATIONS)
def test_known_deviations_are_still_there(name: str) -> None:
    """A change upstream that ends one of them should be noticed."""
    letter = extract.le_mcq
    temp = load("tempcompass/utils.py")
    temp.get_eval_result = lambda prompt: (None, 0)
    row = BENCHMARKS["tempcompass"].sample[0]
    pope = load("pope/utils.py").pope_process_results
    pairs: dict[str, tuple[Callable[[str], Any], Callable[[str], Any]]] = {
        "vsi_bench, numbers": (
            load("vsibench/utils.py").extract_number,
            lambda t: metrics.to_float(extract.ft(t)),
        ),
        "video_mme": (partial(letter, letters="ABCD"), extract.abcd_first),
        "longvideobench": (
            lambda t: lift("longvideobench/utils.py", "parse_multi_choice_response")(
                t, list("ABCDE"), {}
            ),
            partial(extract.abcd_first, letters="ABCDE"),
        ),
        "tempcompass": (
            lambda t: temp.tempcompass_process_results_multi_choice({**row}, [t])["avg_accuracy"][
                "rating"
            ],
            lambda t: BENCHMARKS["tempcompass"].score({**row, "output": t})["score"],
        ),
        "pope": (
            lambda t: pope({"answer": "yes", "question_id": 0}, [t])["pope_accuracy"]["score"],
            lambda t: float(extract.pope_word(t) == "yes"),
        ),
        "mmstar": (
            partial(letter, letters="ABCD"),
            lambda t: (extract.position_letter(t) or "").upper(),
        ),
        "blink": (
            partial(lift("blink/utils.py", "_extract_answer_letter"), valid_letters="ABCD"),
            lambda t: (extract.bracketed(t, 4) or "").strip("()"),
        ),
    }
    theirs, ours = pairs[name]
    differing = [t for t in [*texts(16), "A ", "A</s>", "Answer: B"] if theirs(t) != ours(t)]
    assert differing


@pytest.mark.parametrize(
    "text",
    [
        "<think>x</think><answer>A</answer>",
        "<map>{'a': [[1, 2]]}</map><think>x</think><answer>A</answer>",
        "<think>x<map>m</map></think><answer>A</answer>",
        "<think>x</think><map>m</map><answer>A</answer>",
        "<answer>A</answer>",
        "x</think><answer>A</answer>",
        "<think>x</think>A",
        "A",
    ],
)
def test_reasoning_tags_leave_the_bare_answer(text: str) -> None:
    strip = load("../api/reasoning.py").strip_reasoning_tags
    assert strip(text, REASONING_TAGS) == "A"


LMMS_EVAL = (
    "from spacer_utils.core import torchvision_operators; "
    "from lmms_eval.cli.dispatch import main; main()"
)
"""``python -m lmms_eval``, where torchvision is not built for this torch."""


def questions_of(name: str) -> list[dict[str, Any]]:
    """Three rows for each kind of question, whose truths differ."""
    letters = [f"{letter}. {word}" for letter, word in OPTIONS.items()]
    rows = []
    for n, kind in enumerate([*BENCHMARKS[name].tasks] * 3):
        number = kind in (*vsi_bench.NUMERIC, *revsi.NUMBERS)
        rows.append(
            {
                **BENCHMARKS[name].sample[0],
                "question_type": kind,
                "id": n,
                "ground_truth": "234"[n % 3] if number else "ABC"[n % 3],
                "options": None if number else letters,
            }
        )
    return rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "name", "metric", "frames"),
    [("vsibench", "vsi_bench", "vsibench_overall", 0), ("revsi", "revsi_32", "overall_acc", 32)],
)
def test_lmms_eval_runs_our_checkpoint_to_the_same_scores(
    task: str, name: str, metric: str, frames: int, tmp_path: Path
) -> None:
    """Its own command finds our model by the entry point: the same texts, and the same score for
    every item.

    It needs some of its dependencies in the wheel's folder.
    """
    from spacer_utils.analysis.bench import run_benchmark
    from spacer_utils.benchmarks.scoring.load import synthetic
    from spacer_utils.core import profiles

    smoke = profiles.get("smoke")
    model = smoke.model_path  # it answers; on babble the rules for numbers differ (above)
    data = synthetic(name, tmp_path / task)
    (file,) = data.rglob("*.parquet")
    pd.DataFrame(questions_of(name)).to_parquet(file)
    report = run_benchmark(model, name, data, tmp_path / "ours", smoke)

    # Its own task, with these rows.
    skipped = shutil.ignore_patterns(f"{task}_*.yaml", "revsi.yaml")
    shutil.copytree(TASKS / task, tmp_path / "tasks" / task, ignore=skipped)
    (tmp_path / "tasks" / task / "local.yaml").write_text(
        f"task: {task}_local\ntest_split: test\ndataset_path: parquet\ndataset_kwargs:\n"
        f"  data_files:\n    test: {file}\ninclude: _default_template_yaml\n"
    )
    options = {
        "model": "spacer_workbook",
        "model_args": f"pretrained={model},profile=smoke,num_frames={frames}",
        "tasks": f"{task}_local",
        "include_path": tmp_path / "tasks",
        "gen_kwargs": f"max_new_tokens={smoke.evaluation.max_new_tokens}",
        "reasoning_tags": json.dumps(REASONING_TAGS),
        "output_path": tmp_path / "theirs",
        "batch_size": smoke.evaluation.batch,
    }
    args = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    found = subprocess.run(
        [sys.executable, "-c", LMMS_EVAL, *args, "--log_samples"],
        env={
            **os.environ,
            "PYTHONPATH": f"{TASKS.parents[1].resolve()}:{PROJECT}",
            "HF_HOME": str(tmp_path),
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
        },
        capture_output=True,
        text=True,
        timeout=900,
    )
    if "ModuleNotFoundError" in found.stderr:
        pytest.skip(f"lmms-eval's dependencies: {found.stderr.strip().splitlines()[-1]}")
    assert found.returncode == 0, found.stderr[-3000:]

    # The same texts, then the same scores.
    (samples,) = (tmp_path / "theirs").rglob(f"*_samples_{task}_local.jsonl")
    theirs = sorted(read_jsonl(samples), key=lambda s: s["doc_id"])
    ours = read_jsonl(tmp_path / "ours" / "items.jsonl")
    predictions = read_jsonl(tmp_path / "ours" / "predictions.0.jsonl")
    said = {p["key"]: p["output"] for batch in predictions for p in batch}
    assert [_text(s["resps"]) for s in theirs] == [said[k] for k in sorted(said)]
    assert len(ours) == len(theirs) == 3 * len(BENCHMARKS[name].tasks)
    for mine, item in zip(ours, theirs):
        score = next(
            item[metric][k] for k in ("acc", "accuracy", "MRA:.5:.95:.05") if k in item[metric]
        )
        assert mine["score"] == pytest.approx(score, abs=1e-9), item["resps"]
    assert len({item["score"] for item in ours}) > 1
    (results,) = (tmp_path / "theirs").rglob("*_results.json")
    overall = json.loads(results.read_text())["results"][f"{task}_local"][f"{metric},none"]
    assert overall * 100 == pytest.approx(report["headline"], abs=1e-3)


def _text(answers: Any) -> str:
    """The one text in lmms-eval's nested lists of answers."""
    return answers if isinstance(answers, str) else _text(answers[0])
