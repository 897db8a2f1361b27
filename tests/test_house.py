"""The rooms of the package and the arrows between them (CONTRIBUTING.md draws them)."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from conftest import PROJECT

PACKAGE = PROJECT / "spacer_utils"
BELOW: dict[str, tuple[str, ...]] = {
    "core": (),
    "scenes": ("core",),
    "render": ("scenes",),
    "questions": ("render",),
    "dataset": ("questions",),
    "rewards": ("core",),
    "training": ("rewards",),
    "evaluation": ("training",),
    "benchmarks": ("core",),
    "analysis": ("dataset", "evaluation", "benchmarks"),
    "workbook": ("core",),
    "nano_base": ("dataset", "training"),
}
"""Room -> the rooms right below it; it may use these and everything below them."""
REGISTRIES = {
    "SCENES": "scenes",
    "QUESTIONS": "questions",
    "REWARDS": "rewards",
    "METHODS": "training",
    "BENCHMARKS": "benchmarks",
}
"""Who uses a registry of ``core.registry`` reaches the room that fills it."""
FILES = sorted(p for p in PACKAGE.rglob("*.py") if "assets" not in p.parts)


@cache
def allowed(room: str) -> frozenset[str]:
    """The rooms that a room may use."""
    return frozenset(BELOW[room]).union(*(allowed(r) for r in BELOW[room]))


def room_of(parts: tuple[str, ...]) -> str | None:
    """The room of a module's path inside the package; None at the top."""
    return parts[0] if parts and parts[0] in BELOW else None


def imports(path: Path, package: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path of a module inside the package, name) of all that a file imports from the package, also
    inside functions."""
    here = path.relative_to(package).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first, *rest = alias.name.split(".")
                if first == "spacer_utils" and rest:
                    yield tuple(rest[:-1]), rest[-1]
        elif isinstance(node, ast.ImportFrom):
            module = tuple(node.module.split(".")) if node.module else ()
            if node.level:
                module = here[: len(here) - node.level + 1] + module
            elif module[:1] == ("spacer_utils",):
                module = module[1:]
            else:
                continue
            for alias in node.names:
                yield module, alias.name


def taken(path: Path) -> Iterator[tuple[str, str]]:
    """(room, name) of all that a file imports from the package; a registry counts as its room."""
    for module, name in imports(path, PACKAGE):
        if room := room_of((*module, name)):
            yield room, name
        if module == ("core", "registry") and name in REGISTRIES:
            yield REGISTRIES[name], name


def circles(package: Path) -> list[list[str]]:
    """Files that import each other in a circle, directly or through others."""
    files = {p for p in package.rglob("*.py") if "assets" not in p.parts}

    def file_of(parts: tuple[str, ...]) -> Path | None:
        base = package.joinpath(*parts)
        return next(
            (p for p in (base.with_suffix(".py"), base / "__init__.py") if p in files), None
        )

    needs = {
        path: {
            file
            for module, name in imports(path, package)
            if (file := file_of((*module, name)) or file_of(module)) and file != path
        }
        for path in files
    }

    # A file that needs nothing (any more) is in no circle.
    while free := {path for path, needed in needs.items() if not needed}:
        needs = {path: needed - free for path, needed in needs.items() if path not in free}
    # Nor is one that nothing needs.
    while free := set(needs) - {file for needed in needs.values() for file in needed}:
        needs = {path: needed for path, needed in needs.items() if path not in free}

    name = {path: path.relative_to(package).as_posix() for path in needs}
    return sorted([name[path], *sorted(name[file] for file in needs[path])] for path in needs)


def test_the_package_has_these_rooms_and_nothing_else() -> None:
    folders = {p.name for p in PACKAGE.iterdir() if p.is_dir() and p.name != "__pycache__"}
    assert folders == {*BELOW, "assets"}
    assert {p.name for p in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_arrows_point_down_and_private_names_stay_in_their_room(path: Path) -> None:
    room = room_of(path.relative_to(PACKAGE).parts)
    if room is None:
        return  # the command line may use every room
    for other, name in taken(path):
        assert other == room or other in allowed(room), f"{room} may not use {other} ({name})"
        assert other == room or not re.match(r"_(?!_)", name), f"{name} is private to {other}"


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(PACKAGE) == []


@pytest.mark.parametrize("back", ["from . import one", "def late():\n    from .one import thing"])
def test_a_circle_would_be_found(tmp_path: Path, back: str) -> None:
    """Also one that closes inside a function; files beside it are in none."""
    room = tmp_path / "room"
    room.mkdir()
    (room / "__init__.py").write_text("")
    (room / "one.py").write_text("from spacer_utils.room import two\n\nthing = 1\n")
    (room / "two.py").write_text("import spacer_utils.room.three\n")
    (room / "three.py").write_text("from . import four\n")
    (room / "four.py").write_text("import json\n")
    (room / "above.py").write_text("from .one import thing\n")
    assert circles(tmp_path) == []
    (room / "three.py").write_text(f"from . import four\n\n{back}\n")
    assert circles(tmp_path) == [
        ["room/one.py", "room/two.py"],
        ["room/three.py", "room/one.py"],
        ["room/two.py", "room/three.py"],
    ]


def test_the_types_that_all_rooms_share_import_nothing_of_ours() -> None:
    assert list(imports(PACKAGE / "core" / "types.py", PACKAGE)) == []


def test_no_two_files_share_a_name() -> None:
    names = Counter(p.name for p in FILES if p.name != "__init__.py")
    assert [name for name, n in names.items() if n > 1] == []


def test_the_map_in_the_readme_is_true() -> None:
    """Every room has a line in the README's tree, and every line names a room."""
    text = (PROJECT / "README.md").read_text()
    tree = text.split("spacer_utils/\n", 1)[1].split("```", 1)[0]
    lines = re.findall(r"^  (\w+)/ +(\S.*)$", tree, re.MULTILINE)
    assert {name for name, _ in lines} == {*BELOW, "assets"}
    assert all(len(what) > 10 for _, what in lines)


def test_paths_that_the_guides_name_are_there() -> None:
    for guide in ("README.md", "CONTRIBUTING.md"):
        text = (PROJECT / guide).read_text()
        named = re.findall(r"`((?:spacer_utils|tests|notebooks)/[\w./-]+)`", text)
        assert named, guide
        missing = [name for name in named if not (PROJECT / name).exists()]
        assert missing == [], guide


def test_files_that_the_readme_gives_for_wishes_are_there() -> None:
    text = (PROJECT / "README.md").read_text()
    table = text.split("| I want to | file |\n|---|---|\n", 1)[1].split("\n\n", 1)[0]
    named = re.findall(r"`([\w./]+(?:\.py|/))`", table)
    assert len(named) > 20
    assert [name for name in named if not (PACKAGE / name).exists()] == []
