"""What each notebook depends on, as lines for Make (like gcc -MMD).

The facts come from the notebook's metadata and from the imports of its code. Only the standard
library is used: Make runs this before ``.venv`` exists.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ..core.profiles import PROFILES, PROJECT
from ..core.types import WorkbookError

PACKAGE = "spacer_utils"
NOTEBOOKS = PROJECT / "notebooks"
REGISTRIES = {
    "SCENES": "scenes",
    "QUESTIONS": "questions",
    "REWARDS": "rewards",
    "METHODS": "training/methods",
    "BENCHMARKS": "benchmarks",
}
"""Registry -> the folder of its parts. A module that uses a registry reaches all of them."""
SETTINGS = ("SEED", "REAL_LAYOUTS", "DATA", "BENCHMARKS")
"""Parameters that Make is given; a notebook that declares one runs again when it changes."""
READERS = {"DATA": "02_questions", "BENCHMARKS": "09_benchmarks"}
"""Setting that names a folder -> the notebook that reads it, and so depends on its files too."""
LOOKED_AT = ("*.jsonl", "*.json", "*.parquet", "*.tsv", "*/.", "*/*/.")
"""Files and folders of such a folder that are looked at: a new or changed one (a downloaded shard, an
archive that was unpacked) is a reason to run again."""
COMMITTED = ("spacer_utils/analysis/published.py", "outputs/reference")
"""A notebook that reaches this module shows the committed studies of this folder."""


@dataclass(frozen=True)
class Notebook:
    """One numbered notebook, for Make, the plan and the index."""

    name: str
    """``03_rewards_by_hand``"""
    title: str
    question: str
    reads: tuple[str, ...]
    """Artefacts it needs: glob patterns below ``outputs/<profile>``. Each is another notebook's
    ``writes``."""
    writes: tuple[str, ...]
    minutes: dict[str, float]
    """Profile -> expected minutes on that profile's hardware."""
    disk_mb: dict[str, float]
    hardware: str
    paper: str
    parameters: tuple[str, ...]
    modules: tuple[str, ...]
    """Files of the package that it reaches, relative to the repository."""

    @property
    def number(self) -> str:
        """``03``"""
        return self.name.split("_")[0]


def code_cells(raw: dict[str, Any]) -> list[str]:
    """Sources of the code cells."""
    return ["".join(c["source"]) for c in raw["cells"] if c["cell_type"] == "code"]


def parameter_names(raw: dict[str, Any]) -> tuple[str, ...]:
    """Names that the cell tagged ``parameters`` assigns."""
    found = [
        "".join(c["source"]) for c in raw["cells"] if "parameters" in c["metadata"].get("tags", ())
    ]
    nodes = [n for text in found for n in ast.parse(text).body if isinstance(n, ast.Assign)]
    return tuple(t.id for n in nodes for t in n.targets if isinstance(t, ast.Name))


def read(path: Path, package: Path | None = None) -> Notebook:
    """A notebook's facts.

    Raises:
        WorkbookError: the file is not a notebook, or its metadata lacks the ``spacer`` block.
    """
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        block = raw["metadata"]["spacer"]
        title = "".join(raw["cells"][0]["source"]).split("\n")[0].removeprefix("# ").strip()
        return Notebook(
            path.stem,
            title,
            block["question"],
            tuple(block["reads"]),
            tuple(block["writes"]),
            block["minutes"],
            block["disk_mb"],
            block["hardware"],
            block["paper"],
            parameter_names(raw),
            reached(code_cells(raw), package or PROJECT / PACKAGE),
        )
    except (KeyError, IndexError, ValueError) as error:
        raise WorkbookError(
            f"notebooks/{path.name} is not a notebook of this workbook ({type(error).__name__}: {error}). "
            "Its metadata needs a spacer block: see 00_start_here.ipynb."
        ) from error


def notebooks() -> list[Notebook]:
    """Every notebook in the order of its number, appendices last."""
    return [read(p) for p in sorted(NOTEBOOKS.glob("[0-9A-Z]*_*.ipynb"))]


def find(key: str) -> Notebook:
    """The notebook with this name or number (``03``).

    Raises:
        WorkbookError: there is none; the message lists those there are.
    """
    every = notebooks()
    for notebook in every:
        if key in (notebook.name, notebook.number):
            return notebook
    raise WorkbookError(f"no notebook {key!r}. There are: {', '.join(n.name for n in every)}.")


def at_a_glance(block: dict[str, Any]) -> str:
    """The *At a glance* cell of a notebook, from its metadata block."""
    reads, writes = (
        ", ".join(f"`{n}`" for n in block[key]) or "nothing" for key in ("reads", "writes")
    )
    times = (
        ", ".join(f"{p} {block['minutes'][p]:g} min" for p in PROFILES if p in block["minutes"])
        or "not measured yet"
    )
    rows = {
        "reads": reads,
        "writes": writes,
        "time": times,
        "hardware": block["hardware"],
        "paper": block["paper"],
    }
    return "\n".join(
        ["*At a glance*", "", "| | |", "|---|---|", *(f"| {k} | {v} |" for k, v in rows.items())]
    )


def writers(every: list[Notebook]) -> dict[str, Notebook]:
    """Artefact pattern -> the notebook that writes it."""
    return {pattern: n for n in every for pattern in n.writes}


def given_files(notebook: Notebook, settings: Mapping[str, str]) -> list[Path]:
    """The files behind the settings of a notebook, as Make looks at them."""
    folders = [settings.get(p, "") for p, reader in READERS.items() if reader == notebook.name]
    return [
        path
        for folder in folders
        if folder and Path(folder).exists()
        for path in (
            Path(folder),
            *(p for pattern in LOOKED_AT for p in Path(folder).glob(pattern)),
        )
    ]


def studies() -> list[Path]:
    """Files of the committed studies."""
    return sorted((PROJECT / COMMITTED[1]).glob("*/*.json"))


def upstream(notebook: Notebook, every: list[Notebook]) -> list[Notebook]:
    """Notebooks that write what this one reads."""
    by_pattern = writers(every)
    return list(
        {by_pattern[r].name: by_pattern[r] for r in notebook.reads if r in by_pattern}.values()
    )


# ------------------------------------------------------------------------------------- module reach


def _module_file(package: Path, dotted: str) -> Path | None:
    """File of the module ``a.b`` of the package; None if there is none."""
    base = package.joinpath(*dotted.split(".")) if dotted else package
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _imports(tree: ast.AST, package: Path, here: tuple[str, ...]) -> set[Path]:
    """Files of the package that a module imports, also inside functions.

    Args:
        here: folders of the module below the package, which relative imports start from.
    """
    found: set[Path] = set()
    used: set[str] = set()
    for node in ast.walk(tree):
        # Names of modules, dotted and below the package. The last part may be a function instead.
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [
                a.name.removeprefix(PACKAGE).lstrip(".")
                for a in node.names
                if a.name.split(".")[0] == PACKAGE
            ]
        elif isinstance(node, ast.ImportFrom):
            stem = node.module or ""
            if node.level:
                stem = ".".join([*here[: len(here) - node.level + 1], *filter(None, [stem])])
            elif stem.split(".")[0] == PACKAGE:
                stem = stem.removeprefix(PACKAGE).lstrip(".")
            else:
                continue
            names = [stem, *(".".join(filter(None, [stem, a.name])) for a in node.names)]
            if stem == "core.registry":
                used |= {a.name for a in node.names}
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "registry"
        ):
            used.add(node.attr)

        # Those that are files.
        found.update(p for n in names if n and (p := _module_file(package, n)))

    # All parts of the registries in use.
    for registry, folder in REGISTRIES.items():
        if registry in used or "ALL" in used:
            found.update((package / folder).glob("*.py"))
    return found


def reached(sources: list[str], package: Path) -> tuple[str, ...]:
    """Files of the package that these sources import, and those that these import, and so on."""
    found: set[Path] = set()
    todo: set[Path] = (
        set().union(*(_imports(ast.parse(s), package, ()) for s in sources)) if sources else set()
    )
    while todo:
        path = todo.pop()
        found.add(path)
        todo |= _file_imports(path, package, path.stat().st_mtime_ns) - found
    return tuple(sorted(f"{PACKAGE}/{p.relative_to(package).as_posix()}" for p in found))


@cache
def _file_imports(path: Path, package: Path, changed: int) -> frozenset[Path]:
    """Files of the package that one file imports.

    Args:
        changed: the file's time of change. It is part of the cache's key: an edited file is read
            again.
    """
    here = path.relative_to(package).parts[:-1]
    return frozenset(
        _imports(ast.parse(path.read_text(encoding="utf-8")), package, here)
        | _parents(path, package)
    )


def _parents(path: Path, package: Path) -> set[Path]:
    """The ``__init__`` files that importing a module runs."""
    parts = path.relative_to(package).parts[:-1]
    inits = (package.joinpath(*parts[:k], "__init__.py") for k in range(1, len(parts) + 1))
    return {p for p in inits if p.is_file()}


# --------------------------------------------------------------------------------------------- Make


def makefile() -> str:
    """Dependency lines of every notebook, in terms of Make's ``$(OUT)``.

    A notebook depends on its modules, on the settings that it takes, and on the notebooks that
    write what it reads. It also runs again if an artefact of its own is missing or empty.
    """
    # A line for each executed notebook.
    every = notebooks()
    lines = [f"PROFILES := {' '.join(PROFILES)}", f"NOTEBOOKS := {' '.join(n.name for n in every)}"]
    for setting in READERS:
        looked_at = " ".join(f"$({setting})/{pattern}" for pattern in LOOKED_AT)
        lines.append(f"{setting}_FILES = $(if $({setting}),$(wildcard $({setting}) {looked_at}))")
    for n in every:
        shown = [f"$(wildcard {COMMITTED[1]}/*/*.json)"] * (COMMITTED[0] in n.modules)
        settings = [f"$(OUT)/.settings/{p}" for p in SETTINGS if p in n.parameters]
        settings += [f"$({p}_FILES)" for p, reader in READERS.items() if reader == n.name]
        before = [f"$(OUT)/executed/{u.name}.ipynb" for u in upstream(n, every)]
        lost = [
            f"$(if $(shell find $(OUT)/{pattern} -maxdepth 0 -size +0 2>/dev/null),,FORCE)"
            for pattern in n.writes
        ]
        lines.append(
            f"$(OUT)/executed/{n.name}.ipynb: {' '.join([*n.modules, *shown, *settings, *before, *lost])}"
        )

    # A short name for each notebook. Only the inner make, which holds the lock, has the reports'
    # rules.
    lines += [
        "ifdef SPACER_CLAIMED",
        *(f"nb{n.number}: $(OUT)/reports/{n.name}.html" for n in every),
        "endif",
    ]

    # A rule for each module, so that a deleted one is no error.
    lines += [f"{m}:" for m in sorted({m for n in every for m in n.modules})]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(makefile(), end="")
