"""Every option of the command line, once: a name means the same in all commands."""

from __future__ import annotations

import argparse
import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from .profiles import PROFILES


def at_least(low: int) -> Callable[[str], int]:
    """Type of an argument: a whole number from ``low`` on."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < low:
            raise argparse.ArgumentTypeError(f"{text} is less than {low}")
        return value

    return number


def setting(text: str) -> tuple[str, Any]:
    """Name and value of ``NAME=VALUE``; the value is a Python literal, else text."""
    name, sign, value = text.partition("=")
    if not sign:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


COUNT, NATURAL = at_least(1), at_least(0)
FOLDER: dict[str, Any] = {"type": Path, "metavar": "FOLDER"}
SWITCH: dict[str, Any] = {"action": "store_true"}
ASSIGN: dict[str, Any] = {"action": "append", "default": [], "type": setting}

OPTIONS: dict[str, dict[str, Any]] = {
    "--backend": {
        "choices": ("transformers", "vllm"),
        "default": "transformers",
        "help": "which library generates the answers",
    },
    "--brief": {**SWITCH, "help": "only say in a line or two what would run"},
    "--broken-media": {
        "choices": ("fail", "drop"),
        "default": "fail",
        "help": "a clip that can't be read ends the run, or its rows are left out and counted",
    },
    "--check": {**SWITCH, "help": "only say whether this machine is large enough"},
    "--data": {**FOLDER, "help": "folder that the command data has written"},
    "--costs": {
        **SWITCH,
        "help": "show what a step of every profile for large models takes, as reckoned",
    },
    "--disk": {**SWITCH, "help": "show how much disk every study uses"},
    "--engine": {
        "choices": ("local", "ray"),
        "default": "local",
        "help": "where clips are made: on this machine, or on a Ray cluster",
    },
    "--further": {**FOLDER, "help": "another data folder: ask about its training rooms too"},
    "--items": {"type": Path, "metavar": "FILE", "help": "write the score of every row there"},
    "--limits": {
        "type": COUNT,
        "nargs": 2,
        "metavar": ("HELDOUT", "REAL_LAYOUTS"),
        "help": "at most this many spatial questions of each split",
    },
    "--map": {**SWITCH, "help": "ask for a cognitive map"},
    "--method": {"required": True, "help": "training method, by name"},
    "--missing": {
        "choices": ("wrong", "drop"),
        "default": "wrong",
        "help": "rows without an output count as wrong, or are dropped from the means",
    },
    "--mode": {
        "choices": ("video", "blind", "shuffled"),
        "default": "video",
        "help": "show the media, none of them, or a video's frames in random order",
    },
    "--model": {"help": "folder of a checkpoint, or a hub id"},
    "--name": {"help": "folder below outputs/reference to write to"},
    "--names": {"nargs": "*", "metavar": "NAME", "help": "benchmarks, by name"},
    "--out": {**FOLDER, "help": "folder to write to"},
    "--overwrite": {**SWITCH, "help": "replace our finished results of other settings there"},
    "--parameter": {**ASSIGN, "metavar": "NAME=VALUE", "help": "set a parameter of the notebook"},
    "--profile": {"choices": tuple(PROFILES), "default": "cpu", "help": "size of the study"},
    "--profiles": {**SWITCH, "help": "show all profiles side by side"},
    "--published": {**FOLDER, "help": "files of one benchmark as its authors publish them"},
    "--questions": {
        "type": COUNT,
        "metavar": "N",
        "help": "at most this many of each benchmark, spread over its tasks",
    },
    "--real-layouts": {**FOLDER, "help": "folder of real room layouts"},
    "--release": {
        "choices": ("scannet", "scannetpp", "arkitscenes"),
        "default": "scannet",
        "help": "which dataset --scans holds",
    },
    "--rewards": {"choices": ("strict", "spacer"), "default": "strict", "help": "reward set"},
    "--rows": {"type": Path, "metavar": "FILE", "help": "published rows, such as SR-91k.jsonl"},
    "--rooms": {"type": COUNT, "metavar": "N", "help": "number of training rooms"},
    "--sampling": {"help": "named frame sampling, such as uniform32 or spacer"},
    "--scans": {**FOLDER, "help": "real scans as their dataset publishes them"},
    "--scoring": {
        "choices": ("official", "spacer"),
        "default": "official",
        "help": "whose rule reads the answers: the authors', or SpaceR-Eval's",
    },
    "--seed": {"type": NATURAL, "default": 0, "metavar": "N", "help": "seed of random choices"},
    "--set": {**ASSIGN, "metavar": "FIELD=VALUE", "help": "change a field of the profile"},
    "--size": {
        "choices": ("profile", "paper"),
        "default": "profile",
        "help": "amounts of the profile, or those of SpaceR-151k: 1,300 rooms, filmed twice",
    },
    "--split": {"default": "heldout", "help": "split to answer"},
    "--style": {
        "choices": ("official", "spacer", "spacer_default"),
        "default": "official",
        "help": "whose prompt is used",
    },
    "--subtitles": {**SWITCH, "help": "put subtitles into the prompts, where a benchmark has them"},
    "--to": {"required": True, "help": "the other trainer: ms-swift, easyr1 or verl"},
    "--trl": {**ASSIGN, "metavar": "FIELD=VALUE", "help": "change a field of TRL's configuration"},
    "--tuning": {
        "choices": ("lora", "full"),
        "default": "lora",
        "help": "train LoRA adapters, or all weights",
    },
    "--unwrap": {
        "choices": ("answer_tag", "last_answer_tag", "think", "none"),
        "default": "answer_tag",
        "help": "which part of a thinking output is scored; for native reasoning models: think",
    },
    "--vllm": {
        "choices": ("off", "colocate", "server"),
        "default": "off",
        "help": "write rollouts with transformers, vLLM in this process, or a vLLM server",
    },
    "--workers": {"type": COUNT, "metavar": "N", "help": "number of processes"},
}


class Parser(argparse.ArgumentParser):
    """A parser that takes no shortened options and reports an error in one line."""

    def __init__(self, **settings: Any) -> None:
        form = argparse.RawDescriptionHelpFormatter
        super().__init__(allow_abbrev=False, formatter_class=form, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}. See: {self.prog} --help\n")

    def take(self, flag: str, note: str = "", **changes: Any) -> None:
        """Add an option of ``OPTIONS``; ``note`` says in brackets what is special here."""
        settings = {**OPTIONS[flag], **changes}
        shown = settings.get("default") not in (None, []) and "action" not in settings
        note = note or ("default: %(default)s" if shown else "")
        settings["help"] += f" ({note})" if note else ""
        self.add_argument(flag, **settings)
