"""Reports: hostile text stays text, nothing runs and nothing is fetched; pages hold what they
promise."""

from __future__ import annotations

import base64
import http.server
import io
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from PIL import Image

from spacer_utils.__main__ import main
from spacer_utils.analysis import figures, interactive
from spacer_utils.core import profiles
from spacer_utils.core.types import MissingArtifact, WorkbookError
from spacer_utils.nano_base.stages import Recipe
from spacer_utils.workbook import book, dag, manifest, report

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\"></textarea></pre></td></table>"
    "<svg onload=\"document.title='owned'\"><iframe src=\"javascript:parent.document.title='owned'\"></iframe>"
    "[link](javascript:document.title='owned') ![](http://HOST/pixel.png) <a href=\"javascript:alert(1)\">x</a> {{7*7}} ${7*7}"
)


def picture() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (640, 480), "#0072B2").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def show(data: dict[str, Any], **metadata: Any) -> Any:
    return nbformat.v4.new_output("display_data", data, metadata=metadata)


def executed(hostile: str = "", failed: bool = False) -> Any:
    """An executed notebook with one output of every kind."""
    note = {
        "alt": f"a blue square {hostile}",
        "caption": f"Figure 03.1. A square. {hostile}",
        "twin": True,
    }
    plot = json.loads(
        interactive.curves(
            {f"run {hostile}": [{"step": 1, "reward": 0.1}, {"step": 2, "reward": 0.4}]},
            "reward",
            "r",
        ).to_json()
    )
    outputs = [
        nbformat.v4.new_output("stream", text=f"plain {hostile}\n"),
        show(
            {
                "text/html": book.html_table(
                    [{"question": hostile, "model": "base"}, {"question": "b", "model": "sft"}],
                    "answers",
                    "gallery",
                    ("model",),
                )
            }
        ),
        show({"text/html": f"<p>raw {hostile}</p>"}),
        show({"text/plain": hostile}),
        show({"application/javascript": "document.title='owned'"}),
        show({"text/markdown": book.fill("It said {x}.", {"x": hostile})}),
        show({"text/markdown": f"raw {hostile}"}),
        show({report.PLOTLY: plot}, spacer=note),
        show({"image/png": picture(), "text/plain": ""}, spacer=note),
        show({"text/markdown": "*Figure*"}, spacer={"part": "caption"}),
        show({"image/svg+xml": f"<svg>{hostile}</svg>"}),
    ]
    if failed:
        outputs.append(
            nbformat.v4.new_output(
                "error",
                ename="ValueError",
                evalue=f"bad {hostile}",
                traceback=[f"\x1b[31mTrace\x1b[0m {hostile}"],
            )
        )
    cells = [
        nbformat.v4.new_markdown_cell(
            "# 03 Rewards by hand\n\nEuler: $e^{i\\pi} = -1$\n\n$$\\frac{a}{b}$$\n\n## Section\n\n[next](04_sft_baseline.ipynb)"
        ),
        nbformat.v4.new_code_cell(f"x = 1  # {hostile}".replace("\n", " "), outputs=outputs),
    ]
    return nbformat.v4.new_notebook(cells=cells)


def page_of(raw: Any, **facts: Any) -> str:
    every = dag.notebooks()
    about = {
        "state": "done",
        "profile": "smoke",
        "seed": 0,
        "seconds": 75.0,
        "peak_memory_mb": 512,
        "started": "2026-01-01T00:00:00",
        "git": {"commit": "0123456789abcdef", "dirty": True},
        **facts,
    }
    return report.export(raw, about, dag.find("03"), every)


def test_a_page_holds_run_bar_equations_figures_and_neighbours() -> None:
    page = page_of(executed())
    for part in (
        "done",
        "012345678 + changes",
        "1:15",
        "seed 0",
        "02_questions.html",
        "04_sft_baseline.html",
        "index.html",
    ):
        assert part in page, part
    assert page.count("<math") == 2
    assert "$e^" not in page
    assert 'alt="a blue square ' in page
    assert "<figcaption>Figure 03.1. A square." in page
    assert page.count("Figure 03.1") == page.count("<figcaption>") == 2, (
        "on top and in its place; the caption for JupyterLab is not repeated"
    )
    assert '<a href="#Section">Section</a>' in page
    assert "document.title='owned'" not in page, "scripts in outputs are dropped"


def test_plotly_comes_once_and_only_where_it_is_used() -> None:
    page = page_of(executed())
    assert page.count('id="plotly"') == 1
    assert 1_500_000 < len(page) < 3_000_000
    plain = executed()
    plain.cells[1].outputs = plain.cells[1].outputs[:1]
    assert len(page_of(plain)) < 100_000


def test_a_page_loads_nothing_from_anywhere() -> None:
    page = page_of(executed())
    body = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", body)
    assert "default-src 'none'" in page
    assert "unsafe-eval" not in page
    assert re.search(r"script-src 'sha256-", page)


def test_hostile_text_is_shown_as_text() -> None:
    page = page_of(executed(HOSTILE, failed=True), state="failed", error=f"bad {HOSTILE}")
    tree = BeautifulSoup(
        re.sub(r"<script[^>]*>.*?</script>", "", page, flags=re.DOTALL), "html.parser"
    )
    assert not tree.find_all(["script", "svg", "iframe", "object", "form", "base"])
    for tag in tree.find_all(True):
        assert not [name for name in tag.attrs if name.startswith("on")], tag.name
        for name in ("href", "src"):
            assert not re.match(r"\s*(javascript|https?):", str(tag.get(name, ""))), tag
    assert page.count("&lt;script&gt;") >= 8


def test_json_cannot_leave_its_script_element() -> None:
    assert "</script>" not in report.script_json({"a": "</script><script>x", "b": "\u2028"})
    assert json.loads(report.script_json({"a": "</script>"})) == {"a": "</script>"}


def test_a_failed_notebook_gets_a_red_card_at_the_cell() -> None:
    page = page_of(executed(failed=True), state="failed", error="cell 2: ValueError: bad")
    assert 'class="card-failed"' in page
    assert 'id="failed"' in page
    assert 'href="#failed"' in page
    assert "\x1b" not in page
    assert '<details class="code" open="">' in page


def test_clean_keeps_tables_and_data_pictures_only() -> None:
    kept = '<table class="data"><tbody><tr><td>1</td></tr></tbody></table><img src="data:image/png;base64,AA==" alt="x">'
    assert report.clean(kept) == kept
    assert "http" not in report.clean('<img src="http://example.org/x.png">')
    assert "onclick" not in report.clean('<b onclick="x()">a</b>')


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPACER_OUTPUTS", str(tmp_path))
    out = tmp_path / "smoke"
    (out / "executed").mkdir(parents=True)
    return out


def write(out: Path, raw: Any, name: str = "03_rewards_by_hand", **facts: Any) -> None:
    (
        out / "executed" / f"{name}{'.failed' if facts.get('state') == 'failed' else ''}.ipynb"
    ).write_text(nbformat.writes(raw))
    manifest.write(
        out,
        name,
        {
            "state": "done",
            "profile": "smoke",
            "seconds": 3.0,
            "metrics": {"centre": 0.74, "rooms": 12345},
            "hardware": {"cores": 2, "memory_gb": 8.0, "gpus": []},
            "git": {"commit": "0123456789"},
            **facts,
        },
    )


def test_a_page_opens_with_its_question_the_first_finding_and_the_marked_figure() -> None:
    raw = executed()
    raw.cells[0].source = "# 03 Rewards by hand\n\n**What does it pay for?**"
    raw.cells.insert(
        1, nbformat.v4.new_markdown_cell("*At a glance*\n\n| | |\n|---|---|\n| a | b |")
    )
    marked = {"alt": "the answer", "caption": "Figure 03.2. It.", "first": True}
    found = {"text/markdown": "* It is 0.7 (0.6 to 0.8).\n* More.", book.METRICS: []}
    raw.cells[2].outputs += [show({"image/png": picture()}, spacer=marked), show(found)]
    tree = BeautifulSoup(page_of(raw), "html.parser")
    (main,) = tree.select("main")
    question, answer, glance = [tag for tag in main.children if getattr(tag, "name", None)][:3]
    assert "What does it pay for?" in question.get_text()
    assert answer["class"] == ["answer"]
    assert answer.select_one(".lead").get_text(strip=True) == "It is 0.7 (0.6 to 0.8)."
    assert answer.img["alt"] == "the answer"
    assert glance.name == "details"
    assert not glance.has_attr("open")
    assert len(tree.select('img[alt="the answer"]')) == 1
    link = next(a for a in tree.select("a") if a.get_text() == "Figure 03.2 opens this page.")
    assert tree.select_one(link["href"])["class"] == ["answer"], "where it is made stands a link"


def test_the_index_says_what_was_found_in_words_that_fit(outputs: Path) -> None:
    long = "a finding of so many words that nobody would want to read it all on a small card"
    write(
        outputs,
        executed(),
        card=[["training adds", "-1.2 points (-5.1 to 2.9)", True], ["runs", "3", False]],
    )
    write(outputs, executed(), "05_sg_rlvr_lora", metrics={"said": long})
    report.write("03", profiles.get("smoke"))
    text = (outputs / "reports" / "index.html").read_text()
    tree = BeautifulSoup(text, "html.parser")
    (top,) = tree.select(".numbers > div")
    assert top.dt.get_text() == "training adds"
    assert top.b.get_text() == "-1.2 points"
    assert "(-5.1 to 2.9)" in top.get_text()
    assert top.a["href"] == "03_rewards_by_hand.html"
    shown = tree.find("dt", string="said").find_next_sibling("dd").get_text()
    assert len(shown) <= 40
    assert shown.removesuffix(" …") in long
    assert long[len(shown) - 2] == " ", "cut between words"


def test_long_tables_are_folded(capsys: pytest.CaptureFixture[str]) -> None:
    made = book.Book("03_x", profiles.get("smoke"), 0)
    made.table([{"a": k} for k in range(12)], "twelve")
    assert "<details" not in capsys.readouterr().out
    made.table([{"a": k} for k in range(13)], "thirteen <b>")
    said = capsys.readouterr().out
    assert said.startswith("<details><summary>thirteen &lt;b&gt; (13 rows)</summary>")


def test_a_table_holds_small_figures_with_alternative_text() -> None:
    figure = figures.lines({"a": ([0, 1], [0, 1])}, xlabel="x", ylabel="y")
    table = book.html_table([{"claim": "c", "here": book.Picture(figure, 'up "1"')}])
    cell = BeautifulSoup(report.clean(table), "html.parser").img
    assert cell["alt"] == 'up "1"'
    assert cell["src"].startswith("data:image/png;base64,")


def test_the_index_has_a_card_for_every_notebook(outputs: Path) -> None:
    write(outputs, executed())
    write(
        outputs,
        executed(failed=True),
        "05_sg_rlvr_lora",
        state="failed",
        error=f"cell 2: {HOSTILE}",
    )
    for key in ("03", "05"):
        report.write(key, profiles.get("smoke"))
    text = (outputs / "reports" / "index.html").read_text()
    assert text.count("<article") == len(dag.notebooks())
    for part in (
        "0.74",
        "12,345",
        f"1 of {len(dag.notebooks())} done",
        "2 cores, 8 GB",
        "data:image/webp;base64,",
        'alt="a blue square ',
    ):
        assert part in text, part
    assert "<script>document" not in text
    assert len(text) < 1_000_000
    assert report.hero(outputs / "executed" / "missing.ipynb") is None


def test_what_has_not_run_or_is_damaged_is_said(
    outputs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(MissingArtifact, match="make nb03 PROFILE=smoke"):
        report.write("03", profiles.get("smoke"))
    (outputs / "executed" / "03_rewards_by_hand.ipynb").write_text("")
    with pytest.raises(
        WorkbookError,
        match=r"03_rewards_by_hand.ipynb is damaged .* Delete it and run: make nb03 PROFILE=smoke",
    ):
        report.write("03", profiles.get("smoke"))
    assert main(["report", "03", "--profile", "smoke"]) == 2
    assert "is damaged" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ browser


@pytest.fixture
def requests() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine and the list of what was asked of it."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}", asked
    server.shutdown()


def browse(path: Path, profile: Path, *more: str) -> str:
    """The page's document after its scripts ran, in Chromium."""
    chromium = (
        shutil.which("chromium")
        or shutil.which("chromium-browser")
        or shutil.which("google-chrome")
    )
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--virtual-time-budget=8000",
        f"--user-data-dir={profile}",
        "--dump-dom",
        *more,
    ]
    return subprocess.run(
        [chromium, *flags, path.as_uri()], capture_output=True, text=True, timeout=180, check=True
    ).stdout


@pytest.mark.slow
def test_in_a_browser_no_foreign_script_runs_and_no_request_leaves(
    tmp_path: Path, requests: tuple[str, list[str]]
) -> None:
    host, asked = requests
    hostile = HOSTILE.replace("HOST", host)
    bait = tmp_path / "bait.html"
    bait.write_text(f"<title>bait</title>{hostile}<img src='http://{host}/control.png'>")
    assert "<title>owned</title>" in browse(bait, tmp_path / "one"), (
        "the text is hostile where nothing guards the page"
    )
    assert asked, "and the server would notice"
    asked.clear()
    page = tmp_path / "page.html"
    page.write_text(page_of(executed(hostile, failed=True), state="failed", error=hostile))
    document = browse(page, tmp_path / "two")
    assert "<title>03 Rewards by hand</title>" in document
    assert not asked
    assert "main-svg" in document, "the interactive figure is drawn under the page's policy"
    assert "2 of 2" in document, "the gallery's filter counts its rows"
    assert 'data-theme="light"' in document


def test_stages_of_the_base_have_colours_of_their_own() -> None:
    stages = [
        name.removesuffix("_steps")
        for name in Recipe.__dataclass_fields__
        if name.endswith("_steps")
    ]
    stages.remove("save")
    assert len({figures.colour(s) for s in stages}) == len(stages) == 4


def test_the_interactive_curve_averages_as_told() -> None:
    steps = [{"step": k, "reward": float(k == 5)} for k in range(1, 10)]
    for window in (1, 3):
        (line,) = interactive.curves({"a": steps}, "reward", "reward", window).data
        assert max(line.y) == pytest.approx(1 / window)


def test_long_answer_names_stand_upright() -> None:
    counts = {
        "a": {"turn left, then turn back": 1, "turn back, then left": 2},
        "b": {"A": 1, "B": 2},
    }
    long, short = figures.answer_balance(counts).axes[:2]
    assert [axis.get_xticklabels()[0].get_rotation() for axis in (long, short)] == [90, 0]


def axe() -> str:
    """The source of axe-core, which finds what people with a screen reader or a keyboard cannot
    use."""
    path = os.environ.get("AXE_CORE")
    if path is None:
        pytest.skip(
            "needs axe-core: npm install --prefix FOLDER axe-core; AXE_CORE=FOLDER/node_modules/axe-core/axe.min.js"
        )
    return Path(path).read_text(encoding="utf-8")


AUDIT = """
<script>%s</script>
<script>
document.documentElement.dataset.theme = "%s";
document.querySelectorAll("details").forEach((d) => { d.open = true; });
setTimeout(() => axe.run(document, { resultTypes: ["violations"] }).then((found) => {
  const lines = found.violations.filter((v) => v.impact === "serious" || v.impact === "critical")
    .flatMap((v) => v.nodes.map((n) => v.id + ": " + n.html.slice(0, 120)));
  const { clientWidth, scrollWidth } = document.documentElement;
  document.body.textContent = JSON.stringify({ lines, excess: scrollWidth - clientWidth });
}), 500);
</script>
"""


def audited(page: str, folder: Path, theme: str, width: int) -> tuple[list[str], int]:
    """Serious findings of axe on a page, and by how many pixels it is wider than the window."""
    path = folder / f"{theme}-{width}.html"
    free = re.sub(
        r"<meta[^>]*Content-Security-Policy[^>]*>", "", page
    )  # axe is no script of the report's own
    body, _, end = free.rpartition("</body>")
    path.write_text(body + AUDIT % (axe(), theme) + "</body>" + end)
    document = BeautifulSoup(
        browse(path, folder / f"profile-{theme}-{width}", f"--window-size={width},900"),
        "html.parser",
    )
    found = json.loads(str(document.body.get_text()))
    return found["lines"], found["excess"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("theme", "width"), [("light", 1280), ("dark", 1280), ("light", 500), ("dark", 500)]
)
def test_pages_are_accessible_and_never_scroll_sideways(
    outputs: Path, tmp_path: Path, theme: str, width: int
) -> None:
    wide = book.html_table([{f"column {k}": 0.5 for k in range(30)}], "a wide table")
    code = "x = 1  # a comment\n@decorated\ndef f(a: int) -> str:\n    return f'{a}' if a > 1.5 else None"
    raw = executed(failed=True)
    raw.cells[1].source = code + "  # and a line that is far too long for any screen" * 5
    raw.cells[1].outputs.insert(0, show({"text/html": wide}))
    write(outputs, raw, "05_sg_rlvr_lora", state="failed", error="cell 2: ValueError: bad")
    report.write("05", profiles.get("smoke"))
    for name in ("05_sg_rlvr_lora", "index"):
        page = (outputs / "reports" / f"{name}.html").read_text()
        lines, excess = audited(page, tmp_path, theme, width)
        assert lines == [], name
        assert excess <= 0, name
