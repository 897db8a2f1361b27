"""Five open folders: a scene source, question type, reward, training method or benchmark is one
file with one decorator.

>>> from spacer_utils.core.registry import REWARDS
>>> "format" in REWARDS.names()
True
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from .types import WorkbookError

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """One registered thing with what its decorator said about it."""

    name: str
    value: T
    description: str
    """First line of the docstring."""
    file: str
    """Path of the defining file relative to the package."""
    info: dict[str, Any] = field(default_factory=dict)


class Registry(Generic[T]):
    """Name -> entry. It imports every module of its folder on first use, so that a new file needs
    no list."""

    def __init__(self, noun: str, folder: str) -> None:
        self.noun = noun
        self.folder = folder
        self._entries: dict[str, Entry[T]] = {}
        self._loaded = False

    def register(self, name: str, **info: Any) -> Callable[[T], T]:
        """Decorator that files ``value`` under ``name``; the value's docstring is its description.

        Raises:
            WorkbookError: another file has taken the name.
        """

        def add(value: T) -> T:
            source = inspect.getsourcefile(value)  # type: ignore[arg-type]
            file = str(Path(source or "?").name)
            if name in self._entries and self._entries[name].file != f"{self.folder}/{file}":
                raise WorkbookError(
                    f"{self.noun} {name!r} is registered twice: in {self._entries[name].file} and "
                    f"{self.folder}/{file}. Rename one of them."
                )
            line = (inspect.getdoc(value) or "").strip().split("\n")[0]
            self._entries[name] = Entry(name, value, line, f"{self.folder}/{file}", info)
            return value

        return add

    def _load(self) -> None:
        if not self._loaded:
            self._loaded = True
            package = importlib.import_module(f"spacer_utils.{self.folder.replace('/', '.')}")
            for module in sorted(m.name for m in pkgutil.iter_modules(package.__path__)):
                importlib.import_module(f"{package.__name__}.{module}")

    def names(self) -> list[str]:
        """Registered names, sorted."""
        self._load()
        return sorted(self._entries)

    def entry(self, name: str) -> Entry[T]:
        """The entry called ``name``.

        Raises:
            WorkbookError: nothing of that name; the message lists what there is.
        """
        self._load()
        if name not in self._entries:
            raise WorkbookError(f"unknown {self.noun} {name!r}. Known: {', '.join(self.names())}.")
        return self._entries[name]

    def __getitem__(self, name: str) -> T:
        return self.entry(name).value

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter([self._entries[n] for n in self.names()])


SCENES: Registry[Any] = Registry("scene source", "scenes")
QUESTIONS: Registry[Any] = Registry("question type", "questions")
REWARDS: Registry[Any] = Registry("reward", "rewards")
METHODS: Registry[Any] = Registry("method", "training/methods")
BENCHMARKS: Registry[Any] = Registry("benchmark", "benchmarks")
ALL: tuple[Registry[Any], ...] = (SCENES, QUESTIONS, REWARDS, METHODS, BENCHMARKS)
