"""Predictions in the forms that VLMEvalKit and lmms-eval score again, as a cross-check of our
rules."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...core.files import write_atomic
from ...core.registry import BENCHMARKS
from .extract import UNWRAPPING, unwrap
from .record import Row, read


def vlmevalkit(
    name: str,
    rows: Sequence[Row],
    folder: Path,
    model: str,
    dataset: str,
    unwrap_policy: str = UNWRAPPING[0],
) -> Path:
    """``<folder>/<model>/<model>_<dataset>.tsv``, for ``run.py --mode eval --reuse --judge
    extract_matching`` of VLMEvalKit.

    The columns are the record's own, those of the toolkit's TSV files (index, question, answer,
    candidates, A, B, ...) and ``prediction``: the unwrapped output, since most of its scorers don't
    know answer tags (``raw_output`` keeps all, ``unwrap`` names the policy).
    """
    table = [_columns(name, number, row, unwrap_policy) for number, row in enumerate(rows)]
    text = io.StringIO()
    writer = csv.DictWriter(
        text, list(dict.fromkeys(key for row in table for key in row)), delimiter="\t"
    )
    writer.writeheader()
    writer.writerows(table)
    return write_atomic(folder / model / f"{model}_{dataset}.tsv", text.getvalue())


def _columns(name: str, number: int, row: Row, policy: str) -> dict[str, Any]:
    question, output = read(BENCHMARKS[name], row), row.get("output") or ""
    kept = {
        key: value
        for key, value in row.items()
        if isinstance(value, str | int | float) and key != "output"
    }
    return {
        "index": number,
        **kept,
        "question": question.text,
        "answer": question.gold,
        **question.options,
        "candidates": str([f"{letter}. {option}" for letter, option in question.options.items()]),
        "prediction": unwrap(output, policy),
        "raw_output": output,
        "unwrap": policy,
    }


def lmms_eval_log(rows: Sequence[Row], path: Path, task: str, model: str) -> Path:
    """A log that lmms-eval's ``--model from_log --model_args logs=<folder>`` replays: one raw
    output per document, in order.

    Score it with ``--reasoning_tags`` as in ``REASONING_TAGS``, or an answer in tags counts as
    wrong.
    """
    log = {
        "args": {"model": model, "model_args": "", "limit": None},
        "model_configs": {"task": task},
        "logs": [
            {"doc_id": number, "resps": [[row.get("output") or ""]]}
            for number, row in enumerate(rows)
        ],
    }
    return write_atomic(path, json.dumps(log) + "\n")


REASONING_TAGS = json.dumps(
    [
        ["<map>", "</map>"],
        ["<think>", "<answer>"],
        ["</answer>", "</answer>"],
        ["<think>", "</think>"],
    ]
)
"""Tag pairs after which lmms-eval sees the bare answer of a thinking output, wherever its map
stands."""
