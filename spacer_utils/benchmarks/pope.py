"""POPE (RUCAIBox/POPE): is there such an object in the picture?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..core.registry import BENCHMARKS
from .scoring import extract
from .scoring.aggregate import Table, mean, micro
from .scoring.prompt_styles import spacer_text
from .scoring.record import Benchmark, Item, Question, Row, Verdict

SETTINGS = ("adversarial", "popular", "random")


def confusion(items: Sequence[Item]) -> Table:
    """Accuracy, precision, recall, F1 (positive = yes) and the share of predictions that say yes.

    An output that is missing or cut off before its answer is no prediction, and wrong in all of
    them (``judge_row``). What another output says follows from its score: the rule reads every text
    as yes or no.
    """
    said_something = [i for i in items if not i.missing and not (i.truncated and i.parsed is None)]
    yes, no = (
        [i.score or 0.0 for i in said_something if i.question.gold == gold]
        for gold in ("yes", "no")
    )
    true, said, positive = (
        sum(yes),
        sum(yes) + len(no) - sum(no),
        sum(i.question.gold == "yes" for i in items),
    )
    table: Table = {
        "accuracy": micro(items),
        "f1": 2 * true / (said + positive) if said + positive else None,
        "precision": true / said if said else None,
        "recall": true / positive if positive else None,
        "yes_ratio": said / len(items) if items else None,
    }
    return table


@BENCHMARKS.register(
    "pope",
    hub="lmms-lab/POPE",
    config="default",
    split="test",
    version="HEAD",
    licence="unverified",
    count=9000,
    size="1,500 COCO val2014 images, embedded",
    needs="the parquet files",
    files=("data/test-*.parquet", "test-*.parquet", "*.tsv", "*.json", "*.jsonl"),
)
class Pope(Benchmark):
    """9,000 yes/no questions about objects in COCO images in three settings; accuracy and F1."""

    sample = tuple(
        {
            "id": str(n),
            "question_id": str(n + 1),
            "question": f"Is there a {thing} in the image?",
            "answer": answer,
            "image_source": f"COCO_val2014_{n:012d}",
            "image": "image",
            "category": category,
        }
        for n, (thing, answer, category) in enumerate(
            (
                ("snowboard", "yes", "adversarial"),
                ("car", "no", "popular"),
                ("dog", "yes", "random"),
                ("spoon", "no", "random"),
            )
        )
    )

    @staticmethod
    def read(row: Row) -> Question:
        """Hub rows, and the repository's (``text``, ``label``), which leave the setting to the
        file's name."""
        gold = str(row["label"] if "label" in row else row["answer"]).strip().lower()
        if gold not in ("yes", "no"):
            raise ValueError(f"the answer {gold!r} is neither yes nor no")
        setting = str(row.get("category") or "unnamed")
        if not set(setting.split(",")) <= {*SETTINGS, "unnamed"}:
            raise ValueError(f"unknown task {setting!r} in category; known: {', '.join(SETTINGS)}")
        return Question(
            setting,
            gold,
            str(row.get("question") or row.get("text") or ""),
            {},
            (row.get("image"),),
            str(row.get("question_id", "")),
            chance=0.5,
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        if style == "official":
            return q.text
        return spacer_text(f"{q.text}\nOptions:\nyes\nno", style).replace(
            "the single option letter (e.g., A, B, C, D, etc.)", "yes or no"
        )

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        """The official word rule: no answer counts as yes, but is named as unparsed."""
        said = extract.pope_word(text)
        answered = re.search(r"\b(yes|no|not)\b", text, re.IGNORECASE)
        return Verdict(
            float(said == q.gold),
            said if answered else None,
            f"word rule: {said}"
            if answered
            else "word rule: neither yes nor no in the text, which counts as yes",
        )

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        """A row of several settings (VLMEvalKit joins them by commas) counts in each."""
        by = {
            s: confusion(part)
            for s in SETTINGS
            if (part := [i for i in items if s in i.question.task.split(",")])
        }
        return {
            **confusion(items),
            "accuracy_mean_of_settings": mean(t["accuracy"] for t in by.values()),
            "f1_mean_of_settings": mean(t["f1"] for t in by.values()),
            "setting": by,
        }
