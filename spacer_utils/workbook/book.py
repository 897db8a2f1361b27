"""What a notebook calls: its start line, figures, computed readings, checks and findings.
``runner`` executes notebooks.

Everything shown is deterministic: no times, no paths. Values that come from a model or a dataset
are escaped before they reach Markdown or HTML.
"""

from __future__ import annotations

import base64
import html
import inspect
import io
import json
import math
import os
import random
import re
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core import given, profiles
from ..core.progress import Progress
from ..core.types import MissingArtifact, WorkbookError

METRICS = "application/vnd.spacer.metrics+json"
"""Output type of the recorded figures: ``[[name, value], ...]``, since notebook files sort the keys
of objects."""
CARD = "application/vnd.spacer.card+json"
"""Output type of what the index shows: ``[[label, text, whether it matters], ...]``."""
LONGEST = 12
"""Most rows of a table that is not folded."""


@dataclass(frozen=True)
class Picture:
    """A small figure as a cell of a table."""

    figure: Any
    alt: str

    def html(self) -> str:
        source = f"data:image/png;base64,{base64.b64encode(_png(self.figure)).decode()}"
        return f'<img alt="{html.escape(self.alt)}" src="{source}">'


@dataclass
class Book:
    """The running notebook: where it reads and writes, and what it has recorded."""

    name: str
    profile: profiles.Profile
    seed: int
    metrics: dict[str, Any] = field(default_factory=dict)
    figures: int = 0
    data: str = ""
    """Folder or hub id of the published rows that ``DATA`` asks for; empty without one."""
    benchmarks: str = ""
    """Folder of published benchmarks that ``BENCHMARKS`` names, or ``hub``; empty without one."""

    @property
    def out(self) -> Path:
        """``outputs/<profile>``."""
        return self.profile.outputs

    def need(self, *relative: str) -> Path:
        """Path of the first artefact, once all of them are found below ``outputs/<profile>``.

        Raises:
            MissingArtifact: one is not there, or empty; the message names the notebook that writes
                it.
            WorkbookError: the data are not those that ``DATA`` asks for.
        """
        for name in relative:
            if name.startswith("data/"):
                given.check_written(self.out / "data", self.data, self.profile.name)
            if not present(self.out, name):
                raise missing(name, self.profile.name)
        return self.out / relative[0]

    def record(self, **metrics: float | int | str | bool | None) -> None:
        """Keep key figures for the manifest, the index and ``found``."""
        self.metrics.update({k: _plain(v) for k, v in metrics.items()})

    def say(self, *sentences: str, **values: Any) -> None:
        """Show sentences whose ``{names}`` are filled from ``values`` and the recorded metrics."""
        _display(
            {"text/markdown": " ".join(fill(s, {**self.metrics, **values}) for s in sentences)}
        )

    def found(
        self, *sentences: str, card: Mapping[str, str] | None = None, matters: Sequence[str] = ()
    ) -> None:
        """The notebook's findings as a list, every number from the recorded metrics; hands the
        metrics to the runner. The first sentence answers the question, and opens the report.

        Args:
            card: what the index shows of the notebook: label -> text with ``{names}``.
            matters: labels among them that stand at the top of the index.
        """
        text = "\n".join(f"* {fill(s, self.metrics)}" for s in sentences)
        told = [[k, shown(t, self.metrics), k in matters] for k, t in (card or {}).items()]
        metrics = list(map(list, self.metrics.items()))
        _display({"text/markdown": text, METRICS: metrics, CARD: told})

    def figure(
        self,
        figure: Any,
        caption: str,
        alt: str,
        *,
        interactive: Any = None,
        table: Iterable[Mapping[str, Any]] = (),
        first: bool = False,
    ) -> None:
        """Show a matplotlib figure with a numbered caption and alternative text.

        Args:
            interactive: plotly twin; the report shows it on screen and the static figure on paper.
            table: rows of the data behind the figure, folded beneath it.
            first: the report opens with it, and the index shows it; else the first figure.

        Raises:
            WorkbookError: caption or alternative text is empty.
        """
        if not caption.strip() or not alt.strip():
            raise WorkbookError(
                f"figure {self.figures + 1} of {self.name} has no caption or no alt text. Give both."
            )
        self.figures += 1
        png = _png(figure)
        label = f"Figure {self.name.split('_')[0]}.{self.figures}. {caption}"
        twin = json.loads(interactive.to_json()) if interactive is not None else None
        meta = {"alt": alt, "caption": label, "number": self.figures, "twin": twin is not None}
        meta |= {"first": True} if first else {}
        if twin is not None:
            _display({"application/vnd.plotly.v1+json": twin}, {"spacer": meta})
        _display(
            {"image/png": png, "text/plain": alt},
            {"spacer": meta, "image/png": {"alt": alt}},
        )
        _display({"text/markdown": f"*{label}*"}, {"spacer": {"part": "caption"}})
        if rows := list(table):
            _display(
                {
                    "text/html": f"<details><summary>Data of figure {self.figures}</summary>{html_table(rows)}</details>"
                }
            )

    def table(self, rows: Iterable[Mapping[str, Any]], caption: str) -> None:
        """Show rows as a captioned table, folded where it has more than ``LONGEST``; every cell is
        escaped."""
        listed = list(rows)
        if len(listed) <= LONGEST:
            _display({"text/html": html_table(listed, caption)})
            return
        title = f"<summary>{html.escape(caption)} ({len(listed)} rows)</summary>"
        _display({"text/html": f"<details>{title}{html_table(listed)}</details>"})

    def gallery(
        self, rows: Iterable[Mapping[str, Any]], caption: str, filters: Sequence[str]
    ) -> None:
        """Show rows for reading: the report offers a choice for every column in ``filters``; every
        cell is escaped."""
        _display({"text/html": html_table(list(rows), caption, "gallery", filters)})

    def video(self, path: Path, caption: str, alt: str) -> None:
        """Show an MP4 inside the page."""
        data = base64.b64encode(Path(path).read_bytes()).decode()
        self.figures += 1
        label = f"Figure {self.name.split('_')[0]}.{self.figures}. {caption}"
        source = f"data:video/mp4;base64,{data}"
        page = f'<video controls muted loop width="448" src="{source}" aria-label="{html.escape(alt)}"></video>'
        _display(
            {"video/mp4": data, "text/html": page, "text/plain": alt},
            {"spacer": {"alt": alt, "caption": label}},
        )
        _display({"text/markdown": f"*{label}*"}, {"spacer": {"part": "caption"}})

    def source(self, thing: Any) -> None:
        """Show the package's own code of a function or class."""
        _display({"text/markdown": f"````python\n{inspect.getsource(thing)}````"})

    def checks(self, claims: Mapping[str, bool]) -> None:
        """Show claims as a tick table.

        Raises:
            WorkbookError: some claim does not hold; the table is shown first.
        """
        rows = [{"holds": "✓" if holds else "✗", "check": claim} for claim, holds in claims.items()]
        _display({"text/html": html_table(rows, kind="checks")})
        failed = [claim for claim, holds in claims.items() if not holds]
        if failed:
            raise WorkbookError(
                f"{len(failed)} of {len(claims)} checks of {self.name} do not hold: {'; '.join(failed)}. "
                "The tables and figures above show the values."
            )

    def progress(self, label: str) -> Progress:
        """Callback ``(done, total)``: a bar in JupyterLab, one line every few seconds headless."""
        return Progress(f"{self.name.split('_')[0]} {label}")


def start(
    name: str,
    profile: str,
    seed: int,
    *,
    data: str | None = None,
    benchmarks: str | None = None,
    **overrides: Any,
) -> Book:
    """Begin a notebook: seeds, offline switch for local models, and one provenance line.

    Args:
        data: folder or hub id of published rows; None: ``SPACER_DATA`` of the environment.
        benchmarks: folder of published benchmarks, or ``hub``; None: ``SPACER_BENCHMARKS``.
        overrides: profile fields to replace where the value is not None, e.g. ``train_rooms=20``.

    Raises:
        WorkbookError: the seed is no whole number from 0 on, or an override has no such field.
    """
    check_seed(seed)
    chosen = profiles.get(profile).with_overrides(**overrides)
    source, published = given.data(data), given.benchmarks(benchmarks)
    if Path(chosen.model_path).is_dir() and not given.needs_hub(source, published):
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    random.seed(seed)
    changed = "".join(f", {k}={v}" for k, v in overrides.items() if v is not None)
    changed += f" | data {Path(source).name}" if source else ""
    print(f"{name} | profile {chosen.name}{changed} | seed {seed} | spacer_utils {_version()}")
    if chosen.caution:
        print(chosen.caution)
    return Book(name, chosen, seed, data=source, benchmarks=published)


def check_seed(seed: Any) -> None:
    """Check a notebook's seed.

    Raises:
        WorkbookError: not a whole number from 0 on.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise WorkbookError(f"SEED must be a whole number from 0 on, not {seed!r}.")


def _version() -> str:
    from .. import __version__

    return __version__


def present(out: Path, pattern: str) -> bool:
    """Whether an artefact of that name is there. An empty file does not count: no notebook writes
    one, but a crashed machine may leave one."""
    return any(p.stat().st_size for p in out.glob(pattern))


def missing(pattern: str, profile: str) -> MissingArtifact:
    """The error for an artefact that is not there, naming the notebook that writes it."""
    from . import dag

    writer = next(
        (n for n in dag.notebooks() for w in n.writes if w == pattern or Path(pattern).match(w)),
        None,
    )
    by, number = (writer.name, writer.number) if writer else ("an earlier notebook", "02")
    return MissingArtifact(f"outputs/{profile}/{pattern}", by, f"make nb{number} PROFILE={profile}")


def real_layouts(value: str | None) -> Path | None:
    """Folder of real layouts: the parameter, else the environment variable ``REAL_LAYOUTS``; None
    when neither is set.

    Raises:
        WorkbookError: the folder does not exist.
    """
    text = value or os.environ.get("REAL_LAYOUTS") or ""
    if text and not Path(text).is_dir():
        raise WorkbookError(
            "REAL_LAYOUTS names a folder that does not exist. Give the folder that holds the meta_info JSON "
            "files (data/meta_info of vision-x-nyu/thinking-in-space), or leave it out."
        )
    return Path(text) if text else None


# --------------------------------------------------------------------------------------------- text


class _Plain(string.Formatter):
    """Formats values; what is not known is ``n/a``."""

    def format_field(self, value: Any, spec: str) -> str:
        return "n/a" if value is None else str(format(value, spec))


class _Escaping(string.Formatter):
    """Formats values and escapes those that are text, so that no value becomes markup."""

    def format_field(self, value: Any, spec: str) -> str:
        if value is None:
            return "n/a"
        return escape_markdown(value) if isinstance(value, str) else str(format(value, spec))


def escape_markdown(text: str) -> str:
    """Text that Markdown and HTML show as it is."""
    return re.sub(
        r"([\\`*_{}\[\]()#+!|~$>-])", r"\\\1", html.escape(text, quote=False).replace("\n", " ")
    )


def fill(template: str, values: Mapping[str, Any]) -> str:
    """``template`` with ``{name:spec}`` replaced.

    Raises:
        WorkbookError: a name was never recorded.

    >>> fill("{n} rooms of {area:.1f} m²", {"n": 2, "area": 13.25})
    '2 rooms of 13.2 m²'
    """
    return _filled(_Escaping(), template, values)


def shown(template: str, values: Mapping[str, Any]) -> str:
    """As ``fill``, for text that is no Markdown; an unknown interval is said in words.

    >>> shown("{x:+.1f} ({low:.1f} to {high:.1f})", {"x": 2.0, "low": None, "high": None})
    '+2.0 (no interval)'
    """
    return _filled(_Plain(), template, values).replace("(n/a to n/a)", "(no interval)")


def _filled(form: string.Formatter, template: str, values: Mapping[str, Any]) -> str:
    try:
        return form.vformat(template, (), values)
    except (KeyError, IndexError) as error:
        raise WorkbookError(
            f"the sentence {template!r} names {error}, which was never recorded. "
            f"Known: {', '.join(values)}."
        ) from error


def _plain(value: Any) -> Any:
    """A value as JSON knows it (numpy scalars too)."""
    return value.item() if hasattr(value, "item") else value


def _column(values: Sequence[Any]) -> list[str]:
    """One column's cells as escaped text.

    All numbers of a column have the same decimals: so many that the largest shows two or three
    digits. A small number that would read as zero shows two digits of its own, unless it is a
    rounding error.
    """
    plain = [_plain(v) for v in values]
    numbers = [abs(v) for v in plain if isinstance(v, float) and math.isfinite(v)]
    largest = max(numbers, default=0.0)
    form = (
        ",.0f"
        if largest >= 1000
        else ",.1f"
        if largest >= 20
        else ".2f"
        if largest >= 0.1
        else ".3f"
        if largest >= 0.01
        else ".2g"
    )

    def cell(value: Any) -> str:
        if isinstance(value, Picture):
            return value.html()
        if value is None or value != value:
            return "–"
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int):
            return f"{value:,}" if abs(value) >= 10_000 else str(value)
        if isinstance(value, float):
            vanishes = 1e-12 * largest < abs(value) and not any(
                digit in "123456789" for digit in format(value, form)
            )
            return format(value, ".2g" if vanishes else form)
        return html.escape(str(value)).replace("\n", "<br>")

    return [cell(v) for v in plain]


def html_table(
    rows: Sequence[Mapping[str, Any]],
    caption: str = "",
    kind: str = "data",
    filters: Sequence[str] = (),
) -> str:
    """An HTML table with every cell escaped; numbers right-aligned, columns in order of first
    appearance."""
    names = list(dict.fromkeys(k for r in rows for k in r))
    numeric = {
        n for n in names if all(isinstance(_plain(r.get(n)), int | float | None) for r in rows)
    }
    columns = [_column([r.get(n) for r in rows]) for n in names]

    def cell(tag: str, name: str, content: str) -> str:
        return (
            f'<{tag} class="number">{content}</{tag}>'
            if name in numeric
            else f"<{tag}>{content}</{tag}>"
        )

    head = "".join(cell("th", n, html.escape(str(n)).replace("_", " ")) for n in names)
    body = "".join(
        "<tr>" + "".join(cell("td", n, text) for n, text in zip(names, line)) + "</tr>"
        for line in zip(*columns)
    )
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    choices = f' data-filters="{html.escape("|".join(filters))}"' if filters else ""
    return f'<table class="{kind}"{choices}>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _png(figure: Any) -> bytes:
    """A matplotlib figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def _display(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
    """Show one mime bundle; as plain text where no notebook is running."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython is not None and get_ipython() is not None:
        display(data, raw=True, metadata=metadata or {})
    else:
        print(data.get("text/markdown") or data.get("text/plain") or data.get("text/html") or "")
