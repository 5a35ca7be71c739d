"""A run as a Mermaid sequence diagram, for a page or a comment that renders it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterator

from alex_actors.diagrams.rows import ARROWS, Diagram, Row, duration, plain
from alex_actors.diagrams.trace import Trace, describe

ROOM = 72
"""Characters of a label: Mermaid widens the picture for its longest one."""

WIDTH = 100
"""Characters of a line of the failure's words."""

LINES = {
    "message": "->>",
    "arrival": "->>",
    "answer": "-->>",
    "waiting": "-)",
    "elsewhere": "-)",
    "lost": "-x",
    "gave up": "--x",
}


def mermaid(trace: Trace, *, shown: Collection[int] | None = None) -> str:
    """Return the run as a ``sequenceDiagram``: the entries of the indices ``shown``, or all."""
    diagram = Diagram(trace, shown)
    names = {name: f"p{number}" for number, name in enumerate(diagram.participants)}
    lines = ["sequenceDiagram"]
    lines += [f"    participant {alias} as {escaped(name)}" for name, alias in names.items()]
    if not names:
        names = {"": "p0"}
        lines.append("    participant p0 as run")
    across = ",".join(dict.fromkeys((*names.values(),)[:: max(1, len(names) - 1)]))
    if diagram.left_out:
        lines.append(f"    Note over {across}: {escaped(diagram.summary())}")
    lines += _rows(diagram, names, across)
    for row in diagram.failures:
        by = f" by {row.source}" if row.source in names else ""
        text = [f"✖ FAILED in step {row.step}, at {duration(row.at)}{by}"]
        text += textwrap.wrap(describe(row.what), WIDTH)
        lines.append(f"    Note over {across}: {'<br/>'.join(map(escaped, text))}")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return text that Mermaid takes as text, whatever is in it: in one line, all that may be syntax as codes."""
    coded = re.sub(r"[^\w .,()='/?!…✖-]", lambda match: f"#{ord(match[0])};", plain(text))
    return re.sub(r"\bend\b", "#101;nd", coded, flags=re.IGNORECASE)  # the keyword, also in the midst of a text


def _rows(diagram: Diagram, names: dict[str, str], across: str) -> Iterator[str]:
    at = duration(0)
    for row in diagram.rows:
        if duration(row.at) != at and not diagram.real_time:
            at = duration(row.at)
            yield f"    Note over {across}: {escaped(f'at {at}')}"
        time = f"{duration(row.at)} " if diagram.real_time else ""
        yield f"    {_statement(row, names, across, time)}"


def _statement(row: Row, names: dict[str, str], across: str, time: str) -> str:
    if row.shape == "left out":
        return f"Note over {across}: {escaped(row.label(ROOM))}"
    text = escaped(f"{row.step}. {time}{row.label(ROOM)}")
    if row.shape in ARROWS:
        return f"{names[row.source]}{LINES[row.shape]}{names[row.target or row.source]}: {text}"
    return f"Note over {names[row.source]}: {text}"
