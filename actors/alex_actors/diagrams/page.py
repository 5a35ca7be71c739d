"""A run as a page of its own: one HTML file with the diagram as SVG, and as a list where a screen is narrow.

No script, no font and no picture from elsewhere: its content security policy forbids them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from html import escape

from alex_actors.diagrams.rows import ARROWS, Diagram, Row, cut, duration, plain
from alex_actors.diagrams.style import STYLE
from alex_actors.diagrams.terminal import parties_of
from alex_actors.diagrams.trace import Trace, describe

LEFT = 180
"""Pixels to the first lifeline: room for steps and times, and for half a name."""
WHEN = 100
"""Pixels that a step and a usual time take: a label to the left of its mark keeps clear of them."""
GAP = 170
"""Pixels from one lifeline to the next."""
RIGHT = 240
"""Pixels beyond the last lifeline, at least, for the words at its marks."""
ROW = 36
"""Pixels from one row to the next: a line of text, and its arrow below."""
HEADER = 44
"""Pixels that the names take."""
LETTER = 7.3
"""Pixels of a letter, at most, in the font of the labels."""
ROOM = 80
"""Characters of a label; all of the message shows where the mouse rests on it."""
NAME = 22
"""Characters of a name: it stands between its neighbours."""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{notes}
<div class="picture" tabindex="0">
{names}
{picture}
</div>
<ol class="list">
{items}
</ol>
{failures}
</body>
</html>
"""


def html(trace: Trace, *, shown: Collection[int] | None = None, title: str, notes: Sequence[str]) -> str:
    """Return the run as a page: the entries of the indices ``shown``, or all.

    ``notes`` stand above the diagram, each a paragraph: the seed, the command that replays it.
    """
    diagram = Diagram(trace, shown)
    picture = _Picture(diagram)
    return PAGE.format(
        title=escape(title),
        style=STYLE,
        notes="\n".join(f"<p>{escape(note)}</p>" for note in (*notes, diagram.summary()) if note),
        names=picture.names(),
        picture=picture.svg(),
        items="\n".join(map(_item, diagram.rows)),
        failures="\n".join(map(_failure, diagram.failures)),
    )


class _Picture:
    """The diagram as SVG, in two parts: the names stay in sight while the rest scrolls."""

    def __init__(self, diagram: Diagram) -> None:
        self._rows = diagram.rows
        self._x = {name: LEFT + index * GAP for index, name in enumerate(diagram.participants)}
        self._width = LEFT + GAP * max(0, len(self._x) - 1) + RIGHT
        self._width = max((self._width, *(self._place(row)[1] for row in self._rows)))
        self._height = ROW * (len(self._rows) + 1)

    def names(self) -> str:
        boxes = (
            f'<g><title>{escape(plain(name))}</title><rect x="{x - 80}" y="8" width="160" height="28" rx="6"/>'
            f'<text x="{x}" y="27" text-anchor="middle">{escape(cut(plain(name), NAME))}</text></g>'
            for name, x in self._x.items()
        )
        return self._drawing("names", HEADER, boxes)

    def svg(self) -> str:
        return self._drawing("rows", self._height, (*self._bands(), *self._lifelines(), *self._body()))

    def _drawing(self, name: str, height: int, parts: Sequence[str] | Iterator[str]) -> str:
        size = f'width="{self._width}" height="{height}" viewBox="0 0 {self._width} {height}"'
        return "\n".join((f'<svg class="{name}" {size} aria-hidden="true">', *parts, "</svg>"))

    def _bands(self) -> Iterator[str]:
        """A stripe behind every other step: what happened in one step stands together."""
        odd = False
        for number, row in enumerate(self._rows):
            odd ^= number > 0 and row.step != self._rows[number - 1].step
            if odd:
                yield f'<rect class="band" x="0" y="{number * ROW + 8}" width="{self._width}" height="{ROW}"/>'

    def _lifelines(self) -> Iterator[str]:
        for name, x in self._x.items():
            top, kind = 0, "line"
            for number, row in enumerate(self._rows):
                if row.source == name and row.shape in ("crashed", "restarted", "stopped"):
                    yield _lifeline(x, top, _y(number), kind)
                    top, kind = _y(number), {"crashed": "line down", "restarted": "line"}.get(row.shape, "")
            yield _lifeline(x, top, self._height, kind)

    def _body(self) -> Iterator[str]:
        step, at = -1, ""
        for number, row in enumerate(self._rows):
            y = _y(number)
            if row.shape != "left out":
                when = [f"step {row.step}"] * (row.step != step) + [duration(row.at)] * (duration(row.at) != at)
                step, at = row.step, duration(row.at)
                yield f'<text class="when" x="10" y="{y + 4}">{" · ".join(when)}</text>'
            yield f'<g class="{row.shape.replace(" ", "-")}"><title>{escape(row.title())}</title>'
            yield from self._arrow(row, y) if row.shape in ARROWS else self._mark(row, y)
            yield "</g>"

    def _arrow(self, row: Row, y: int) -> Iterator[str]:
        start, end = self._x[row.source], self._x[row.target or row.source]
        if start == end:
            yield f'<path class="arrow" d="M{start} {y - 6}h22v12h-16"/>{_head(row, start, y + 6, -1)}'
            yield self._label(row, y + 4)
            return
        way = 1 if end > start else -1
        yield f'<path class="touch" d="M{start} {y}H{end}"/><path class="arrow" d="M{start} {y}H{end - 3 * way}"/>'
        yield _head(row, end, y, way)
        if row.shape == "arrival":
            yield f'<circle class="hollow" cx="{start}" cy="{y}" r="5"/>'
        yield self._label(row, y - 8)

    def _mark(self, row: Row, y: int) -> Iterator[str]:
        if row.shape == "left out":
            yield self._label(row, y + 4)
            return
        x = self._x[row.source]
        yield {
            "sent": f'<circle cx="{x}" cy="{y}" r="5"/>',
            "stopped": f'<rect x="{x - 6}" y="{y - 6}" width="12" height="12"/>',
            "crashed": f'<path class="cross" d="M{x - 7} {y - 7}l14 14m0 -14l-14 14"/>',
        }.get(row.shape, f'<path d="M{x} {y - 7}l7 7l-7 7l-7 -7z"/>')
        yield self._label(row, y + 4)

    def _label(self, row: Row, y: int) -> str:
        start, _, anchor = self._place(row)
        return f'<text x="{start}" y="{y}" text-anchor="{anchor}">{escape(row.label(ROOM))}</text>'

    def _place(self, row: Row) -> tuple[int, int, str]:
        """Return where the label of a row is anchored, where it ends, and by which side it is anchored.

        It begins right of its mark, or above the left of its arrow; or ends left of it where the picture ends.
        """
        length = round(LETTER * len(row.label(ROOM))) + 8
        if row.shape == "left out":
            return LEFT, LEFT + length, "start"
        source = self._x[row.source]
        target = self._x[row.target] if row.target and row.shape in ARROWS else source
        first, last = min(source, target) + 16, max(source, target) - 16
        if source == target and row.shape in ARROWS:
            first += 14
        if first + length > self._width and last > length + WHEN:
            return last, last, "end"
        return first, first + length, "start"


def _y(number: int) -> int:
    return number * ROW + ROW - 8


def _lifeline(x: int, top: int, bottom: int, kind: str) -> str:
    return f'<path class="{kind}" d="M{x} {top}V{bottom}"/>' if kind else ""


def _head(row: Row, x: int, y: int, way: int) -> str:
    if row.shape in ("lost", "gave up"):
        return f'<path class="cross" d="M{x - 14 * way} {y - 6}l{12 * way} 12m0 -12l{-12 * way} 12"/>'
    kind = "hollow" if row.shape in ("waiting", "elsewhere") else "head"
    return f'<path class="{kind}" d="M{x - 2 * way} {y}l{-10 * way} -5v10z"/>'


def _item(row: Row) -> str:
    who = escape(parties_of(row))
    when = "" if row.shape == "left out" else f"step {row.step}, {duration(row.at)}"
    text = escape(row.label(10 * ROOM))
    kind = row.shape.replace(" ", "-")
    return f'<li class="{kind}"><span class="when">{when}</span> <b>{who}</b> <span>{text}</span></li>'


def _failure(row: Row) -> str:
    where = f"Failed in step {row.step}, at {duration(row.at)}"
    words = "\n".join(escape(plain(line)) for line in describe(row.what).splitlines())
    return f'<section class="failed"><h2>{where}</h2><p>{words}</p></section>'
