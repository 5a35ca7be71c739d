"""Where in the code of users an exception comes from, without what is the simulation's own."""

from __future__ import annotations

import traceback
from pathlib import Path

import pykka

HERE = Path(__file__).parent
OWN = (
    HERE,
    Path(pykka.__file__).parent,
    *(
        HERE.parent / name
        for name in ("actor.py", "mailbox.py", "messages.py", "supervision.py", "pytest_plugin.py")
    ),
)
"""What stands between a run and the code that it runs."""

MOST_PLACES = 4
"""Calls that are shown, the innermost ones."""


def located(error: BaseException) -> list[str]:
    """Return the last calls that led to an exception as lines of text: file, line, function, and the code."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not _is_own(frame.filename)]
    lines = []
    for frame in (theirs or list(frames[-1:]))[-MOST_PLACES:]:
        lines.append(f"{_short(frame.filename)}:{frame.lineno}, in {frame.name}")
        lines += [f"    {line}" for line in (frame.line or "").splitlines()]
    return lines


def innermost(error: BaseException) -> tuple[str, int | None]:
    """Return the file and the line where an exception was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return (frames[-1].filename, frames[-1].lineno) if frames else ("", None)


def _is_own(file: str) -> bool:
    path = Path(file)
    return file.startswith("<frozen") or any(path == own or own in path.parents for own in OWN)


def _short(file: str) -> str:
    path, here = Path(file), Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else file
