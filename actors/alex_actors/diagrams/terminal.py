"""A run as a sequence diagram in plain text, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Sequence

from alex_actors.diagrams.rows import ARROWS, Diagram, Row, cut, duration, plain
from alex_actors.diagrams.trace import Trace, describe

WIDEST_GAP = 10
"""Characters from one lifeline to the next: beyond that an arrow is only longer."""
LEAST_GAP = 4
"""The same at least: ``│──▶│``."""
STEPS = 5
"""Characters of a step's number: a run has at most tens of thousands."""
FAIR_GAP = 6
"""The same where longer labels would want it smaller."""
REPEAT_NAMES = 25
"""Rows from which on the names stand below the diagram too: a failing run is read from its end."""

HEADS = {"message": "▶◀", "arrival": "▶◀", "answer": "▶◀", "waiting": "▷◁", "elsewhere": "▷◁"}
MARKS = {"sent": "●", "arrival": "○", "crashed": "✖", "restarted": "◆", "stopped": "■", "logged": "◇"}
LINE_AFTER = {"crashed": "┆", "restarted": "│", "stopped": " "}


def diagram_lines(trace: Trace, *, shown: Collection[int] | None = None, width: int = 110) -> str:
    """Return the run as a sequence diagram in plain text, in lines of at most ``width`` characters.

    Shows the entries of the indices ``shown``, or all. With more participants than fit it is a list instead.
    """
    diagram = Diagram(trace, shown)
    times = max((len(duration(row.at)) for row in diagram.rows), default=0)
    margin = STEPS + 1 + max(len("time"), times) + 3
    gap = _gap_that_fits(diagram, width - margin)
    if gap >= LEAST_GAP:
        lines = _Lifelines(diagram, margin=margin, gap=gap, width=width).lines()
    else:
        lines = _list(diagram, margin=margin, width=width)
    lines += _failures(diagram, width)
    summary = textwrap.wrap(diagram.summary(), width)
    return "\n".join(line.rstrip() for line in (*summary, *lines))


def _gap_that_fits(diagram: Diagram, room: int) -> int:
    """Return how far apart lifelines are: as far as the longest label allows, within reason.

    Where labels may take several lines: as far as it can be without more of them.
    """
    count = max(1, len(diagram.participants))
    if diagram.real_time:
        gaps = [gap for gap in range(WIDEST_GAP, LEAST_GAP - 1, -1) if room - gap * count >= diagram.least_label]
        return min(gaps, key=lambda gap: _height(diagram, room - gap * count), default=0)
    longest = max((len(row.label(room)) for row in diagram.rows), default=0)
    return min(WIDEST_GAP, max((room - longest) // count, min(FAIR_GAP, (room - diagram.least_label) // count)))


def _height(diagram: Diagram, room: int) -> int:
    return sum(len(diagram.lines_of(row, room)) for row in diagram.rows)


class _Lifelines:
    """The drawing: step and time, a lifeline for each participant, and right of them what the arrow carries."""

    def __init__(self, diagram: Diagram, *, margin: int, gap: int, width: int) -> None:
        self._diagram = diagram
        self._margin = margin
        self._gap = gap
        self._width = width
        self._column = {name: index * gap for index, name in enumerate(diagram.participants)}
        self._line = dict.fromkeys(diagram.participants, "│")
        self._room = width - margin - gap * len(diagram.participants)

    def lines(self) -> list[str]:
        rows = self._diagram.rows
        names = list(self._names())
        body: list[str] = []
        for margin, row in zip(_margins(rows, self._margin), rows, strict=True):
            first, *more = self._diagram.lines_of(row, self._room)
            body.append(f"{margin}{self._picture(row)}{first}")
            body += [f"{' ' * self._margin}{self._between(row)}{line}" for line in more]
        heading = [*names[:-1], _margin("step", "time", self._margin) + names[-1][self._margin :]] if names else []
        return heading + body + (names[::-1] if len(rows) >= REPEAT_NAMES else [])

    def _names(self) -> Iterator[str]:
        """Each name in full above its lifeline, in a row of its own."""
        for name, column in self._column.items():
            before = "".join(f"{'│':<{self._gap}}" for _ in range(column // self._gap))
            yield " " * self._margin + before + cut(plain(name), self._width - self._margin - column)

    def _between(self, row: Row) -> str:
        """Return the lifelines alone."""
        picture = "".join(f"{line:<{self._gap}}" for line in self._line.values())
        return picture.replace("│", "⋮") if row.shape == "left out" else picture

    def _picture(self, row: Row) -> str:
        if row.shape == "left out":
            return self._between(row)
        cells = list(self._between(row))
        if row.shape in ARROWS:
            self._draw_arrow(cells, row)
        else:
            cells[self._column[row.source]] = MARKS[row.shape]
        self._line[row.source] = LINE_AFTER.get(row.shape, self._line[row.source])
        return "".join(cells)

    def _draw_arrow(self, cells: list[str], row: Row) -> None:
        start, end = self._column[row.source], self._column[row.target or row.source]
        if start == end:
            cells[start] = "↻"
            return
        line = "╌" if row.shape in ("answer", "gave up") else "─"
        for place in range(min(start, end) + 1, max(start, end)):
            cells[place] = line if cells[place] == " " else "┼"
        cells[end + (1 if end < start else -1)] = HEADS.get(row.shape, "✗✗")[end < start]
        cells[start] = MARKS.get(row.shape, cells[start])


def _list(diagram: Diagram, *, margin: int, width: int) -> list[str]:
    """Return a line for each row, its parties by name."""
    parties = [parties_of(row) for row in diagram.rows]
    column = min(max(map(len, parties), default=0), max(0, width - margin - diagram.least_label))
    lines = []
    below = " " * (margin + column + 2)
    for front, who, row in zip(_margins(diagram.rows, margin), parties, diagram.rows, strict=True):
        start = f"{front}{who:<{column}}  "
        labels = diagram.lines_of(row, max(1, width - len(below if diagram.real_time else start)))
        if diagram.real_time and len(start) + len(labels[0]) > width:  # beside a long name there is little room
            lines.append(cut(front + who, width))
        else:
            lines.append(cut(start + labels.pop(0), width))
        lines += [f"{below}{line}" for line in labels]
    return lines


def parties_of(row: Row) -> str:
    """Return who sends to whom, or who it is about, as text with an arrow."""
    source, target = plain(row.source), plain(row.target)
    if row.shape not in ARROWS:
        return f"{source} {MARKS[row.shape]}" if row.shape in MARKS else ""
    if source == target:
        return f"{source} ↻"
    line = "╌╌" if row.shape in ("answer", "gave up") else "──"
    return f"{source} {line}{HEADS.get(row.shape, '✗')[0]} {target}"


def _margins(rows: Sequence[Row], width: int) -> Iterator[str]:
    """Step and virtual time of each row, where they change."""
    step, at = -1, ""
    for row in rows:
        number = "" if row.step == step or row.shape == "left out" else str(row.step)
        time = "" if duration(row.at) == at or row.shape == "left out" else duration(row.at)
        if row.shape != "left out":
            step, at = row.step, duration(row.at)
        yield _margin(number, time, width)


def _margin(step: str, time: str, width: int) -> str:
    return f"{step:>{STEPS}} {time:>{width - STEPS - 4}}".ljust(width)


def _failures(diagram: Diagram, width: int) -> list[str]:
    lines = []
    for row in diagram.failures:
        by = f", by {row.source}" if row.source in diagram.participants else ""
        lines += ["", cut(f"✖ FAILED in step {row.step}, at {duration(row.at)}{by}", width)]
        for line in describe(row.what).splitlines():
            lines += textwrap.wrap(plain(line), width, initial_indent="  ", subsequent_indent="  ")
    return lines
