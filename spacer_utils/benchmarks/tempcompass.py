"""TempCompass (llyx97/TempCompass): the same videos asked in four formats, one of which needs a
judge model."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.files import UNREADABLE
from ..core.registry import BENCHMARKS
from ..core.types import WorkbookError
from .scoring.aggregate import Table, by_group, macro, micro, task_means
from .scoring.prompt_styles import lettered, lines, spacer_text
from .scoring.record import (
    Benchmark,
    Item,
    Question,
    Row,
    Verdict,
    inline_options,
    is_absent,
    letter_of,
    options_of,
)

FORMATS = ("multi-choice", "yes_no", "caption_matching", "captioning")
DIMENSIONS = ("action", "direction", "speed", "order", "attribute_change")
ASK = {
    "multi-choice": "\nPlease directly give the best option:",
    "caption_matching": "\nPlease directly give the best option:",
    "yes_no": "\nPlease answer yes or no:",
    "captioning": "",
}
FAILED = "invalid_request_error"
"""What the authors' script writes where a judge refused the request."""


def aspect_of(row: Row, about: Mapping[str, Any]) -> str | None:
    """The fine-grained aspect (one of eleven) of a row's video and dimension in ``meta_info.json``;
    order has no finer ones."""
    dim = str(row.get("dim"))
    found = (about.get(str(row.get("video_id"))) or {}).get("eval_dim", {}).get(dim)
    return str(found.get("type", dim)) if found else None


def of_video_r1(row: Row) -> bool:
    """Whether the row is of Video-R1's file, which SpaceR-Eval reads."""
    return not is_absent(row.get("problem"))


def format_of(row: Row) -> str:
    """A row's format, told from its answer and question. No field names it: the hub has a
    configuration for each format."""
    if of_video_r1(row):
        return "multi-choice"
    answer, first = str(row["answer"]), str(row["answer"]).split(" ")[0]
    if not is_absent(row.get("mc_answer")) or str(row["question"]).rstrip().endswith("Caption:"):
        return "captioning"
    if answer.strip().lower() in ("yes", "no"):
        return "yes_no"
    return (
        "caption_matching"
        if first in ("Option", "Caption", "Sentence") and ": " in answer
        else "multi-choice"
    )


def match_choice(text: str, answer: str) -> bool | None:
    """Whether ``text`` is the answer's full line, its letter, or starts with ``X.`` or ``X)``;
    None: a judge would decide."""
    if text == answer:
        return True
    if text in tuple("ABCD") or (text[:1] in tuple("ABCD") and text[1:2] in (".", ")")):
        return text[0] == answer[:1]
    return None


def match_caption(text: str, question: str, answer: str) -> bool | None:
    """The same for a caption: its full line, its sentence (also behind ``)``), or its index with or
    without its noun.

    A sentence ends at its first ``: ``, in the text as well as in the options: the authors split
    there.
    """
    said = None
    behind = text.split(") ")[1] if ") " in text else None
    for line in question.split("\n")[1:]:
        index, *sentences = line.split(": ")
        if not sentences:
            continue
        indices = (index, *index.split()[-1:])
        if (
            text in (line, sentences[0], *indices)
            or text.replace(".", "") in indices
            or behind == sentences[0]
        ):
            said = line
    return None if said is None else said == answer


def judged_correct(reply: str) -> bool:
    """The verdict of a judge that was asked for Correct or Incorrect: its first word decides, else
    any "Incorrect"."""
    reply = reply.strip()
    if reply.startswith(("Correct", "Incorrect")):
        return reply.startswith("Correct")
    return "Correct" in reply and "Incorrect" not in reply


def match_caption_judge(reply: str, mc_answer: str) -> bool:
    """Whether the judge's reply to the hidden question starts with the right option and names no
    letter but this one, once.

    Its answer is the last line that has the word "Answer", else the whole reply. Every ``A.`` to
    ``D.`` in it counts.
    """
    lines = [line.strip() for line in reply.strip().split("\n")]
    answers = [line.replace("Answer:", "").strip() for line in lines if "Answer" in line]
    said = answers[-1] if answers else reply.strip()
    named = sum(said.count(f"{letter}.") for letter in "ABCD")
    return said.split(". ")[0] == mc_answer.split(". ")[0] and named == 1


@BENCHMARKS.register(
    "tempcompass",
    hub="lmms-lab/TempCompass",
    config=FORMATS,
    split="test",
    version="HEAD",
    licence="unverified",
    count=7540,
    size="410 short videos",
    needs="tempcompass_videos.zip unpacked to videos/; for aspects the repository's meta_info.json; "
    "captioning needs a judge's replies in judge_output",
    files=(
        "|".join(f"{name}/*.parquet" for name in FORMATS),
        "eval_tempcompass.json",
        "|".join(f"questions/{name}.json" for name in FORMATS),
        "*.jsonl",
    ),
)
class TempCompass(Benchmark):
    """7,540 questions on 410 videos in four formats; official average over all, SpaceR on multiple
    choice alone."""

    tasks = FORMATS
    spacer_headline = "multi-choice"
    sample = (
        {
            "video_id": "1",
            "dim": "action",
            "question": "What is the man doing in the video?\nA. dunking a basketball\nB. "
            "dribbling a basketball\nC. passing a basketball",
            "answer": "A. dunking a basketball",
        },
        {"video_id": "1", "dim": "speed", "question": "Is the man dunking?", "answer": "yes"},
        {
            "video_id": "2",
            "dim": "order",
            "question": "Which description is a more suitable match for the video?\nOption 1: The "
            "man is dribbling a basketball.\nOption 2: A man is dunking a basketball.",
            "answer": "Option 2: A man is dunking a basketball.",
        },
        {
            "video_id": "2",
            "dim": "direction",
            "question": "Describe the video: A. dunking B. passing.\nGenerated Caption:",
            "answer": "A. dunking",
            "mc_question": "What is the man doing?\nA. dunking\nB. passing",
            "mc_answer": "A. dunking",
        },
    )

    @staticmethod
    def expand(row: Row) -> Iterator[Row]:
        """The repository's files nest video -> dim -> questions."""
        if "question" in row or "problem" in row:
            yield row
        else:
            yield from (
                {"video_id": video, "dim": dim, **q}
                for video, dims in row.items()
                for dim, qs in dims.items()
                for q in qs
            )

    @staticmethod
    def complete(rows: Sequence[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
        """Rows with their ``aspect``, where the repository's ``meta_info.json`` lies in the
        folder."""
        path = folder / "meta_info.json"
        try:
            about = json.loads(path.read_bytes()) if path.exists() else {}
            return [
                {**row, "aspect": aspect} if (aspect := aspect_of(row, about)) else row
                for row in rows
            ]
        except (*UNREADABLE, AttributeError) as error:
            raise WorkbookError(
                f"{path} is not the repository's file ({error}). Download it again, or remove it."
            ) from error

    @staticmethod
    def read(row: Row) -> Question:
        task, media = format_of(row), (f"videos/{row.get('video_id')}.mp4",)

        # Video-R1's file has fields of its own.
        if of_video_r1(row):
            gold = str(row["solution"]).replace("<answer>", "").replace("</answer>", "")
            return Question(
                task,
                letter_of(gold),
                row["problem"],
                options_of(row.get("options")),
                (row.get("path") or media[0],),
            )

        # The answer and the options, by format.
        dim = row.get("dim")
        if not is_absent(dim) and dim not in DIMENSIONS:
            raise ValueError(f"unknown dim {dim!r}")
        answer, question = str(row["answer"]), str(row["question"])
        gold = {
            "multi-choice": answer[:1],
            "yes_no": answer.strip().lower(),
            "caption_matching": answer.split(":")[0],
            "captioning": answer,
        }[task]
        options: dict[str, str] = {}
        if task == "multi-choice":
            options = inline_options(question)
        elif task == "caption_matching":
            options = {line.split(": ")[0]: line for line in question.split("\n")[1:]}

        groups = {
            name: str(row[name]) for name in ("dim", "aspect") if not is_absent(row.get(name))
        }
        return Question(
            task,
            gold,
            question,
            options,
            media,
            str(row.get("video_id", "")),
            groups,
            0.5 if task == "yes_no" else None,
        )

    @staticmethod
    def prompt(q: Question, row: Row, style: str) -> str:
        if style == "official":
            return q.text + ASK[q.task]
        options = lines("Options:", *lettered(q.options), "") if of_video_r1(row) else ""
        if style == "spacer":
            return spacer_text(q.text + options, style, before_ask=" ")
        return f"Question: {q.text}{options}\n Please provide only the single option letter (e.g., A, B, C, D, etc.)."

    @staticmethod
    def rule(q: Question, row: Row, text: str, scoring: str) -> Verdict:
        if scoring == "official":
            text = text.replace("</s>", "").strip()
        judge = None if is_absent(row.get("judge_output")) else row["judge_output"]
        if q.task == "captioning":
            if judge in (None, FAILED):
                return Verdict(None, None, "not scored: captions need a judge")
            return Verdict(
                float(match_caption_judge(judge, row["mc_answer"])),
                judge,
                "judge's reply to the hidden question",
            )
        answer = q.gold if of_video_r1(row) else str(row["answer"])
        if q.task == "yes_no":
            said = next((word for word in ("yes", "no") if text.lower().startswith(word)), None)
            right = None if said is None else said == q.gold
        else:
            right = (
                match_choice(text, answer)
                if q.task == "multi-choice"
                else match_caption(text, q.text, answer)
            )
        if right is not None:
            return Verdict(float(right), text, f"{q.task} rule: {'right' if right else 'wrong'}")
        if judge is not None:
            return Verdict(float(judged_correct(judge)), text, "judge")
        return Verdict(0.0, None, f"{q.task} rule finds no answer; the authors would ask a judge")

    @staticmethod
    def variants(items: Sequence[Item]) -> Table:
        """``avg_all`` is the leaderboard's; it stays out where captions had no judge."""
        unjudged = any(i.score is None and i.question.gold for i in items)
        without = micro(i for i in items if i.question.task != "captioning")
        read = [float(i.parsed is not None) for i in items if i.score is not None]
        first = {"avg_without_captioning": without} if unjudged else {"avg_all": micro(items)}
        return {
            **first,
            **dict.fromkeys(FORMATS),
            **task_means(items),
            "avg_without_captioning": without,
            "macro_formats": macro(items),
            "match_success": sum(read) / len(read) if read else None,
            "dim": by_group(items, "dim"),
            "aspect": by_group(items, "aspect"),
        }
