"""Find the one medium that a row names, in any known field and form.

A row that names several media is refused. So is one with a medium in an unknown field.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from .printed_lists import as_python
from .types import BadRow

KINDS = {
    "path": "",
    "paths": "",
    "media": "",
    "video": "video",
    "videos": "video",
    "video_path": "video",
    "video_paths": "video",
    "image": "image",
    "images": "image",
    "image_path": "image",
    "image_paths": "image",
}
"""Field -> kind of its media; empty where only the file's name tells the kind."""
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
VIDEOS = (
    ".mp4",
    ".mkv",
    ".webm",
    ".avi",
    ".mov",
    ".m4v",
    ".mpg",
    ".mpeg",
    ".ts",
    ".flv",
    ".wmv",
    ".3gp",
    ".ogv",
)
MARKS = ("<video>", "<image>", "<audio>")
"""Where a mark stands in a question, trainers put a medium."""
TURNS = ("messages", "conversations", "prompt")
"""Fields that hold the turns of a chat."""
_OTHERS = (
    "cognitive_map_id",
    "scene_id",
    "data_source",
    "problem",
    "question",
    "solution",
    "answer",
)
"""Fields that may hold a file's name without meaning a medium."""


def medium(row: Mapping[str, Any]) -> tuple[str, str]:
    """Path (empty without a medium) and data type of a row.

    Raises:
        BadRow: there are several media, an embedded one, one that contradicts ``data_type``, or one
            in an unknown field.
    """
    # The one path, from the row's fields and from the turns of a chat.
    found = {
        (path.removeprefix("./"), kind or _kind_of(path))
        for name, kind in KINDS.items()
        for path in _paths(row.get(name), name)
    }
    found |= {(path.removeprefix("./"), kind) for kind, path in _parts(row)}
    paths = sorted({path for path, _ in found})
    if len(paths) > 1:
        raise BadRow(
            f"path: {len(paths)} media ({', '.join(paths[:3])}), and a row has one. Join them into one clip, or split "
            "the row"
        )
    if not paths:
        _refuse_unread(row)

    # Its kind: what ``data_type`` says, else what the field or the file's name says.
    kinds = {kind for _, kind in found if kind}
    named = row.get("data_type")
    if named is not None and not isinstance(named, str):
        raise BadRow(f"data_type: {named!r} is no text")
    data_type = (named or "").lower() or (min(kinds) if kinds else "video" if paths else "text")
    if data_type not in ("image", "video", "text"):
        raise BadRow(f"data_type: {named!r} is none of image, video, text")

    # Path and kind have to agree.
    if not paths and data_type != "text":
        raise BadRow("path: missing")
    if paths and (data_type == "text" or kinds - {data_type}):
        raise BadRow(
            f"data_type: {data_type}, but {paths[0]!r} is {min(kinds - {data_type}, default='a medium')}"
        )
    return (paths[0] if paths else ""), data_type


def question(problem: str, data_type: str) -> str:
    """The question without the mark of its medium. Prompts put the medium first anyway.

    Raises:
        BadRow: there is a mark of another medium, a second mark, or one inside the text.
    """
    for mark in MARKS:
        count = problem.count(mark)
        own = int(mark == f"<{data_type}>")
        if count > own:
            media = f"one {data_type}" if own else f"no {mark[1:-1]}"
            raise BadRow(
                f"problem: {mark} stands there {count} times, and the row has {media}. Give the medium in path, or "
                "take the mark out"
            )
        problem = problem.strip() if count else problem
        if count and not problem.startswith(mark) and not problem.endswith(mark):
            raise BadRow(
                f"problem: {mark} stands inside the text. Put it first: media come before the question"
            )
        problem = problem.removeprefix(mark).removesuffix(mark).strip() if count else problem
    return problem


def turns(row: Mapping[str, Any]) -> dict[str, str]:
    """Problem and solution of a chat of one question and one answer. Empty for other rows.

    Raises:
        BadRow: there are several questions or answers.
    """
    texts: dict[str, list[str]] = {"problem": [], "solution": []}
    for role, content in _turns(row):
        if role in ("user", "human"):
            texts["problem"].append(_said(content))
        elif role in ("assistant", "gpt"):
            texts["solution"].append(_said(content))
    if max(map(len, texts.values())) > 1:
        raise BadRow(
            "messages: a chat of several turns. Give one question and its answer in each row"
        )
    return {name: said[0] for name, said in texts.items() if said}


def _turns(row: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Role and content of every turn."""
    for name in TURNS:
        chat = row.get(name)
        for turn in chat if isinstance(chat, list | tuple) else ():
            if isinstance(turn, Mapping):
                yield turn.get("role") or turn.get("from"), turn.get("content") or turn.get("value")


def _said(content: Any) -> str:
    """The text of a turn."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list | tuple) else ()
    return "\n".join(
        part["text"]
        for part in parts
        if isinstance(part, Mapping) and isinstance(part.get("text"), str)
    )


def _parts(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Kind and path of the media in a chat's turns."""
    for _, content in _turns(row):
        for part in content if isinstance(content, list | tuple) else ():
            if isinstance(part, Mapping):
                for name in KINDS:
                    for path in _paths(part.get(name), name):
                        yield KINDS[name] or _kind_of(path), path


def _paths(value: Any, name: str) -> list[str]:
    """The paths in a field: a text, a list, or a dict as ``datasets`` and chat templates have it."""
    value = as_python(value)
    if value is None or value == "":
        return []
    if isinstance(value, str):
        if re.search("[\ud800-\udfff]", value):
            raise BadRow(f"path: {value!r} holds half a character (a lone surrogate)")
        if re.match(r"[a-z]+://|data:", value, re.IGNORECASE):
            raise BadRow(
                f"{name}: {value[:60]!r} is an address. Download it and give the file's path"
            )
        return [value]
    if isinstance(value, list | tuple):
        return [path for one in value for path in _paths(one, name)]
    if isinstance(value, Mapping):
        if value.get("path"):
            return _paths(value["path"], name)
        if value.get("bytes") is None:
            return [path for key in (*KINDS, "url") for path in _paths(value.get(key), name)]
    raise BadRow(
        f"path: {name} holds {type(value).__name__}, not a path. Save the medium as a file, and give its path"
    )


def _kind_of(path: str) -> str:
    """``image`` or ``video`` by the file's name; empty for others."""
    if path.lower().endswith(IMAGES):
        return "image"
    return "video" if path.lower().endswith(VIDEOS) else ""


def _refuse_unread(row: Mapping[str, Any]) -> None:
    """Refuse a row that names a file in an unknown field, for example ``clip``."""
    for name, value in row.items():
        if name not in _OTHERS and name not in TURNS and (file := _file_in(value)):
            raise BadRow(
                f"{name}: {file[:60]!r} looks like the row's medium, and {name} isn't read. Call the field path"
            )


def _file_in(value: Any) -> str:
    """The first name of a medium in a field, at any depth; empty without one."""
    if isinstance(value, bytes):
        return "embedded bytes"
    if isinstance(value, str):
        return value if _kind_of(value) and not re.search(r"\s", value) else ""
    if isinstance(value, Mapping):
        value = list(value.values())
    inner = value if isinstance(value, list | tuple) else ()
    return next((file for one in inner if (file := _file_in(one))), "")
