"""Self-contained HTML reports that work offline, and an index with a card per notebook.

``python -m spacer_utils.workbook.report 03 --profile smoke`` writes ``reports/03_x.html`` and
renews ``reports/index.html``.

Text of models and datasets is untrusted. It is escaped where it is shown (``run``), whatever HTML
an output holds is cleaned here to a few harmless tags, and the page's policy runs no script but the
report's own and lets no request leave.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import io
import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from ..core import machine as machine_
from ..core import profiles
from ..core.files import write_atomic
from ..core.progress import clock
from ..core.types import MissingArtifact, WorkbookError
from . import dag, manifest
from .book import METRICS

ASSETS = Path(__file__).parents[1] / "assets"
TAGS = {
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "details",
    "summary",
    "p",
    "div",
    "span",
    "b",
    "strong",
    "i",
    "em",
    "code",
    "pre",
    "br",
    "ul",
    "ol",
    "li",
    "h1",
    "h2",
    "h3",
    "h4",
    "blockquote",
    "img",
    "sub",
    "sup",
}
ATTRIBUTES = {
    "*": ["class", "data-filters", "data-label", "scope"],
    "img": ["src", "alt", "width", "height"],
}
PLOTLY = "application/vnd.plotly.v1+json"


# ------------------------------------------------------------------------------------- text to HTML


def markdown(text: str) -> str:
    """HTML of the workbook's own Markdown, equations as MathML."""
    from latex2mathml.converter import convert
    from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

    class Renderer(IPythonRenderer):
        def block_math(self, body: str) -> str:
            return str(convert(body, display="block"))

        def inline_math(self, body: str) -> str:
            return str(convert(body))

    page = MarkdownWithMath(renderer=Renderer(escape=False, anchor_link_text="")).render(text)
    page = re.sub(r'href="([0-9A][0-9][a-z0-9_]*)\.ipynb', r'href="\1.html', page).replace(
        "<table>", '<table class="data">'
    )
    return re.sub(
        r"<thead>\s*<tr>(\s*<th></th>)+\s*</tr>\s*</thead>", "", page
    )  # Markdown has no table without a head


def clean(text: str) -> str:
    """An output as safe HTML: tags and attributes outside a short list are shown as text or dropped,
    and pictures come only as data."""
    import bleach

    return str(
        bleach.clean(
            text,
            tags=TAGS,
            attributes=ATTRIBUTES,
            protocols={"data"},
            strip=False,
            strip_comments=True,
        )
    )


def highlight(code: str) -> str:
    """Highlighted Python."""
    from pygments import highlight as paint
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return str(paint(code, PythonLexer(), HtmlFormatter(cssclass="highlight", wrapcode=True)))


def _ansi(text: str) -> str:
    from nbconvert.filters import strip_ansi

    return html.escape(strip_ansi(text))


def script_json(value: Any) -> str:
    """JSON that can't end the script element it stands in."""
    return (
        json.dumps(value)
        .replace("<", "\\u003c")
        .replace("\u2028", "\\u2028")
        .replace("\u2029", "\\u2029")
    )


# ------------------------------------------------------------------------------------ cells to HTML


class Page:
    """The cells of one executed notebook as HTML, with what was met on the way."""

    def __init__(self, raw: Any) -> None:
        self.plots = 0
        self.headings: list[tuple[str, str]] = []
        self.failed = ""
        self.opening = first_figure(_outputs(raw))
        parts = [self._cell(cell, number) for number, cell in enumerate(raw.cells)]
        self.body = "\n".join([*parts[:1], self._answer(raw), *parts[1:]])

    def _answer(self, raw: Any) -> str:
        """What the page opens with, right below the question: the first finding and the figure."""
        said = next((o["data"]["text/markdown"] for o in _outputs(raw) if METRICS in o["data"]), "")
        first = said.split("\n")[0].removeprefix("* ")
        lead = f'<div class="lead">{clean(markdown(first))}</div>' if first else ""
        figure = self.opening
        drawn = self._shown(figure["data"], figure["metadata"], "") if figure else ""
        return (
            f'<section class="answer" id="answer">{lead}{drawn}</section>' if lead or drawn else ""
        )

    def _cell(self, cell: Any, number: int) -> str:
        if cell.cell_type == "markdown":
            page = markdown(cell.source)
            if cell.source.startswith("*At a glance*"):
                table = page.replace("<p><em>At a glance</em></p>", "")
                return f'<details class="glance"><summary>at a glance</summary>{table}</details>'
            self.headings += re.findall(r'<h2 id="([^"]+)">(.*?)(?:<a|</h2>)', page)
            return f'<section class="prose">{page}</section>'
        if cell.cell_type != "code":
            return ""
        outputs = self._outputs(cell.get("outputs", ()))
        lines = cell.source.count("\n") + 1
        tags = cell.metadata.get("tags", ())
        what = (
            "parameters"
            if "parameters" in tags
            else "parameters of this run"
            if "injected-parameters" in tags
            else "code"
        )
        failed = any(o.output_type == "error" for o in cell.get("outputs", ()))
        code = (
            f'<details class="code"{" open" if failed else ""}><summary>{what} · {lines} line{"s" * (lines > 1)}</summary>'
            f"{highlight(cell.source)}</details>"
        )
        anchor = ' id="failed"' if failed else ""
        return f'<section class="cell"{anchor} data-cell="{number}">{code}{outputs}</section>'

    def _outputs(self, outputs: Any) -> str:
        parts: list[str] = []
        pending = ""
        for output in outputs:
            if output.output_type == "stream":
                parts.append(f'<pre class="stream">{_ansi(output.text)}</pre>')
            elif output.output_type == "error":
                parts.append(self._error(output))
            elif PLOTLY in output.get("data", {}):
                pending = self._plot(output.data[PLOTLY])
            elif self._opens(output) and not pending:
                facts = output.metadata.get("spacer", {})
                number = facts.get("caption", "").split(". ")[0] or "This figure"
                parts.append(
                    f'<p class="reading"><a href="#answer">{html.escape(number)} opens this page.</a></p>'
                )
            else:
                parts.append(
                    self._shown(output.get("data", {}), output.get("metadata", {}), pending)
                )
                pending = "" if "image/png" in output.get("data", {}) else pending
        return "".join(parts) + pending

    def _opens(self, output: Any) -> bool:
        """Whether the page opens with this very figure."""
        return bool(self.opening) and output.get("data") is self.opening["data"]

    def _shown(self, data: Any, meta: Any, interactive: str) -> str:
        facts = meta.get("spacer", {})
        if facts.get("part") == "caption":
            return ""
        alt, caption = (html.escape(facts.get(k, "")) for k in ("alt", "caption"))
        if "video/mp4" in data:
            source = re.sub(r"[^A-Za-z0-9+/=]", "", data["video/mp4"])
            return (
                f'<figure><video controls muted loop playsinline src="data:video/mp4;base64,{source}" '
                f'aria-label="{alt}"></video><figcaption>{caption}</figcaption></figure>'
            )
        if "image/png" in data:
            return (
                f'<figure class="{"twin" if interactive else "static"}">{interactive}<img alt="{alt}" '
                f'src="{picture(data["image/png"])}"><figcaption>{caption}</figcaption></figure>'
            )
        if "text/html" in data:
            return f'<div class="scroll">{clean(data["text/html"])}</div>'
        if "text/markdown" in data:
            kind = "found" if METRICS in data else "reading"
            return f'<div class="{kind}">{clean(markdown(data["text/markdown"]))}</div>'
        return (
            f'<pre class="stream">{_ansi(data.get("text/plain", ""))}</pre>'
            if "text/plain" in data
            else ""
        )

    def _plot(self, figure: Any) -> str:
        self.plots += 1
        spec = {
            "data": figure.get("data", []),
            "layout": figure.get("layout", {}),
            "frames": figure.get("frames", []),
        }
        return (
            f'<div class="plot" id="plot-{self.plots}"></div>'
            f'<script type="application/json" id="plot-{self.plots}-data">{script_json(spec)}</script>'
        )

    def _error(self, output: Any) -> str:
        self.failed = f"{output.ename}: {output.evalue}"
        trace = _ansi("\n".join(output.traceback))
        return (
            f'<div class="card-failed" role="alert"><h3>This cell failed</h3><p>{_ansi(self.failed)}</p>'
            f"<details><summary>traceback</summary><pre>{trace}</pre></details></div>"
        )


# --------------------------------------------------------------------------------------------- page


@cache
def _plotly() -> tuple[str, str]:
    """plotly.js as the policy knows it (its hash), and packed for the page: gzip in base64, a third
    of its size. ``report.js`` unpacks it."""
    from plotly.offline import get_plotlyjs

    text = get_plotlyjs().encode()
    return _hash(text), base64.b64encode(gzip.compress(text, 9, mtime=0)).decode()


def _hash(script: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"


def _scripts(plots: int) -> tuple[str, str, str]:
    """The page's script, plotly packed (empty without plots), and the policy that allows these and
    nothing else."""
    script = (ASSETS / "report" / "report.js").read_text(encoding="utf-8")
    allowed, packed = _plotly() if plots else ("", "")
    hashes = f"{_hash(script.encode())} {allowed}".strip()
    return (
        script,
        packed,
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; media-src data:; "
        "font-src data:; base-uri 'none'; form-action 'none'",
    )


def style() -> str:
    """The pages' style sheet with the colours of highlighted code for light and dark."""
    from pygments.formatters import HtmlFormatter

    light = HtmlFormatter(style="xcode").get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs("[data-theme=dark] .highlight")
    return f"{light}\n@media screen {{ {dark} }}\n{(ASSETS / 'report' / 'report.css').read_text(encoding='utf-8')}"


def export(
    raw: Any, facts: dict[str, Any], notebook: dag.Notebook, every: list[dag.Notebook]
) -> str:
    """One notebook as a page.

    Args:
        raw: executed notebook (nbformat 4).
        facts: its manifest.
    """
    from nbconvert import HTMLExporter

    page, known = Page(raw), profiles.PROFILES.get(facts.get("profile", ""))
    script, packed, policy = _scripts(page.plots)
    place = [n.name for n in every].index(notebook.name)
    exporter = HTMLExporter(template_name="report", extra_template_basedirs=[str(ASSETS)])
    text, _ = exporter.from_notebook_node(
        raw,
        resources={
            "page": {
                "title": notebook.title,
                "body": page.body,
                "headings": page.headings,
                "failed": page.failed or facts.get("error", ""),
                "caution": known.caution if known else "",
                "style": style(),
                "script": script,
                "plotly": packed,
                "policy": policy,
                "run": run_bar(facts),
                "before": every[place - 1] if place else None,
                "after": every[place + 1] if place + 1 < len(every) else None,
            }
        },
    )
    return str(text)


def run_bar(facts: dict[str, Any]) -> dict[str, str]:
    """Facts of a run for the bar on top of its page."""
    commit = facts.get("git", {}).get("commit", "unknown")[:9]
    return {
        "state": facts.get("state", "not run"),
        "profile": str(facts.get("profile", "")),
        "seed": str(facts.get("seed", "")),
        "commit": commit + (" + changes" if facts.get("git", {}).get("dirty") else ""),
        "duration": clock(facts["seconds"]) if "seconds" in facts else "",
        "date": str(facts.get("started", ""))[:10],
        "memory": f"{facts['peak_memory_mb'] / 1000:.1f} GB" if "peak_memory_mb" in facts else "",
    }


def write(key: str, profile: profiles.Profile) -> Path:
    """Export the last run of a notebook, failed or not, and renew the index.

    Raises:
        MissingArtifact: the notebook has not run.
        WorkbookError: its file is damaged.
    """
    import nbformat

    notebook, every, out = dag.find(key), dag.notebooks(), profile.outputs
    failed, done = (out / "executed" / f"{notebook.name}{end}.ipynb" for end in (".failed", ""))
    path = failed if failed.exists() else done
    again = f"make nb{notebook.number} PROFILE={profile.name}"
    if not path.exists():
        write_index(profile)
        raise MissingArtifact(f"outputs/{profile.name}/executed/{done.name}", notebook.name, again)
    try:
        raw = nbformat.read(str(path), as_version=4)
    except Exception as error:
        raise WorkbookError(
            f"{path.name} is damaged ({type(error).__name__}). Delete it and run: {again}"
        ) from error
    page = export(raw, manifest.read(out, notebook.name), notebook, every)
    target = write_atomic(out / "reports" / f"{notebook.name}.html", page)
    write_index(profile)
    return target


# -------------------------------------------------------------------------------------------- index


def write_index(profile: profiles.Profile) -> Path:
    """``reports/index.html``: what was found, and a card per notebook with state, question, first
    figure and key numbers."""
    cards = [card(n, profile.outputs) for n in dag.notebooks()]
    return write_atomic(profile.outputs / "reports" / "index.html", index(profile, cards))


def index(profile: profiles.Profile, cards: list[dict[str, Any]]) -> str:
    """The page of all notebooks; ``cards`` as ``card`` makes them."""
    from jinja2 import Environment, FileSystemLoader

    script, _, policy = _scripts(0)
    template = Environment(
        loader=FileSystemLoader(ASSETS / "report"), autoescape=True
    ).get_template("cards.html.j2")
    code = machine_.code()
    return template.render(
        cards=cards,
        found=[{**line, "name": c["name"]} for c in cards for line in c["matters"]],
        profile=profile,
        style=style(),
        script=script,
        policy=policy,
        commit=code["commit"][:9] + (" + changes" if code["dirty"] else ""),
        hardware=next((c["hardware"] for c in cards if c["hardware"]), ""),
        done=sum(c["state"] == "done" for c in cards),
        total=clock(sum(c["seconds"] for c in cards)),
    )


def card(notebook: dag.Notebook, out: Path) -> dict[str, Any]:
    """What the index shows of one notebook."""
    facts = manifest.read(out, notebook.name)
    machine = facts.get("hardware", {})
    hardware = (
        [f"{machine['cores']} cores, {machine['memory_gb']:.0f} GB", *machine["gpus"]]
        if machine
        else []
    )
    lines = facts.get("card") or [
        [k.replace("_", " "), _short(v), False] for k, v in facts.get("metrics", {}).items()
    ]
    # a number, and in brackets how sure it is
    told = [
        {"label": label, **dict(zip(("value", "sure"), str(text).partition(" (")[::2])), "top": top}
        for label, text, top in lines
    ]
    return {
        "name": notebook.name,
        "title": notebook.title,
        "question": notebook.question,
        "state": facts.get("state", "not run"),
        "error": facts.get("error", ""),
        "seconds": facts.get("seconds", 0.0),
        "duration": run_bar(facts)["duration"],
        "numbers": told[:4],
        "matters": [line for line in told if line["top"]] if facts.get("state") == "done" else [],
        "report": (out / "reports" / f"{notebook.name}.html").exists(),
        "hardware": ", ".join(hardware),
        "hero": hero(out / "executed" / f"{notebook.name}.ipynb"),
    }


def found(profile: profiles.Profile) -> list[str]:
    """Where to look after ``make reproduce``, and what was found: a line each."""
    cards = [card(n, profile.outputs) for n in dag.notebooks()]
    lines = [line for c in cards for line in c["matters"]]
    page = manifest.brief(profile.outputs / "reports" / "index.html")
    return [
        f"open {page}",
        *(f"  {r['label']}: {r['value']}" + (f" ({r['sure']}" * bool(r["sure"])) for r in lines),
    ]


def picture(png: str, width: int | None = None) -> str:
    """A base64 PNG as the address of a WebP picture, at most ``width`` pixels wide: a tenth of the
    bytes for rendered rooms."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    if width:
        image.thumbnail((width, width))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _short(value: Any) -> str:
    """A value in at most 40 letters, cut between words."""
    if isinstance(value, float):
        return f"{value:.3g}"
    if type(value) is int:
        return f"{value:,}"
    return textwrap.shorten(str(value), 40, placeholder=" …")


def _outputs(raw: Any) -> Iterator[Any]:
    """Outputs of all cells that have data."""
    return (o for c in raw["cells"] for o in c.get("outputs", ()) if "data" in o)


def first_figure(outputs: Iterable[Any]) -> Any:
    """The figure that a page opens with: the one marked so (``Book.figure``), else the first; None
    without any."""
    figures = [o for o in outputs if "image/png" in o["data"]]
    marked = (o for o in figures if o["metadata"].get("spacer", {}).get("first"))
    return next(marked, figures[0] if figures else None)


def hero(path: Path, width: int = 480) -> dict[str, str] | None:
    """``first_figure`` of an executed notebook, made small: ``{"alt", "source"}``; None without
    one."""
    try:
        figure = first_figure(_outputs(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, KeyError):
        return None
    if figure is None:
        return None
    alt = figure["metadata"].get("spacer", {}).get("alt", "")
    return {"alt": alt, "source": picture(figure["data"]["image/png"], width)}
