"""``make share``: the reports of a study as one folder and one zip file, to give to others.

Clips above ``CLIP_MB`` are left out, and whatever names this machine is replaced: paths, the user,
the host.
"""

from __future__ import annotations

import base64
import getpass
import io
import platform
import re
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..core.files import write_atomic
from ..core.profiles import PROJECT, Profile
from ..core.types import MissingArtifact
from . import dag, manifest, report

CLIP_MB = 2.0
PICTURES = ("image/png", "video/mp4", "bdata")
"""Keys of outputs whose text is data."""


def share(profile: Profile) -> Path:
    """Write ``outputs/<profile>/share/spacer-<profile>`` and the zip file of the same name.

    Returns:
        The folder.

    Raises:
        MissingArtifact: no notebook has run.
    """
    import nbformat

    out, every = profile.outputs, dag.notebooks()
    done = [n for n in every if (out / "executed" / f"{n.name}.ipynb").exists()]
    if not done:
        again = f"make reproduce PROFILE={profile.name}"
        raise MissingArtifact(f"outputs/{profile.name}/executed", "the notebooks", again)

    clean = cleaner(profile)
    folder = out / "share" / f"spacer-{profile.name}"
    for notebook in every:  # pages of an earlier share; other files there are not ours
        (folder / f"{notebook.name}.html").unlink(missing_ok=True)
    for notebook in done:
        raw = nbformat.read(str(out / "executed" / f"{notebook.name}.ipynb"), as_version=4)
        facts = each_text(manifest.read(out, notebook.name), clean)
        page = report.export(shared(raw, clean), facts, notebook, done)
        write_atomic(folder / f"{notebook.name}.html", page)
    cards = [{**each_text(report.card(n, out), clean), "report": True} for n in done]
    write_atomic(folder / "index.html", report.index(profile, cards))
    _zip(folder, [*(f"{n.name}.html" for n in done), "index.html"])
    return folder


def shared(raw: Any, clean: Callable[[str], str]) -> Any:
    """An executed notebook without large clips, its texts cleaned."""
    import nbformat

    for cell in raw.cells:
        for output in cell.get("outputs", ()):
            clip = output.get("data", {}).get("video/mp4", "")
            size = len(base64.b64decode(clip)) / 1e6
            if size > CLIP_MB:
                output.data = {"text/markdown": f"*A clip of {size:.1f} MB is left out here.*"}
    return nbformat.from_dict(each_text(raw, clean))


def each_text(value: Any, clean: Callable[[str], str]) -> Any:
    """A JSON value with every text in it cleaned, but for keys and data."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {k: v if k in PICTURES else each_text(v, clean) for k, v in value.items()}
    return [each_text(v, clean) for v in value] if isinstance(value, list | tuple) else value


def cleaner(profile: Profile) -> Callable[[str], str]:
    """A function that takes this machine's paths, user and host out of a text."""
    places = {
        str(profile.outputs.resolve()): "<outputs>",
        str(profile.outputs): "<outputs>",
        str(PROJECT): "<project>",
        str(Path.home()): "~",
        tempfile.gettempdir(): "<tmp>",
    }
    # the longest first: one may lie within another
    rules = [
        (re.compile(re.escape(path)), name)
        for path, name in sorted(places.items(), key=lambda item: -len(item[0]))
        if len(path) > 1
    ]
    rules.append((re.compile(r"/(?:home|Users)/[\w.-]+|/root\b|[A-Z]:\\Users\\[\w.-]+"), "~"))
    for word, name in ((getpass.getuser(), "<user>"), (platform.node(), "<host>")):
        if len(word) > 2 and word not in ("root", "localhost"):
            rules.append((re.compile(rf"(?<!\w){re.escape(word)}(?!\w)"), name))

    def clean(text: str) -> str:
        # pictures within HTML stay as they are
        parts = re.split(r"(data:[\w/+.-]+;base64,[A-Za-z0-9+/=]*)", text)
        for rule, name in rules:
            parts[::2] = [rule.sub(name, part) for part in parts[::2]]
        return "".join(parts)

    return clean


def _zip(folder: Path, pages: Sequence[str]) -> Path:
    """The folder's pages as a zip file beside it; equal pages give an equal file."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for name in sorted(pages):
            about = zipfile.ZipInfo(f"{folder.name}/{name}")
            about.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(about, (folder / name).read_bytes())
    return write_atomic(folder.parent / f"{folder.name}.zip", packed.getvalue())
