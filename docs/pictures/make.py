"""Makes the pictures of the README from the real thing: ``python -m docs.pictures.make [FOLDER]``.

A server is started in a directory of its own. ``terminal.svg`` is what ``alex`` wrote in a terminal (tmux), as it
came; ``page.png`` and ``page-dark.png`` are the page as Chromium shows it. It needs what the tests need: the
development installation, tmux and Chromium.
"""

from __future__ import annotations

import argparse
import io
import itertools
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import expect, sync_playwright
from rich.console import Console
from rich.text import Text

from tests.browser.conftest import BROWSERS, RestartedServer
from tests.browser.tabs import Scheme, Tabs
from tests.browser.task_page import TaskPage
from tests.live.process import GLANCE, SOON
from tests.terminal.screen import Screen, screen

HERE = Path(__file__).parent

COLUMNS, ROWS = 92, 30
"""Of the terminal: about as wide as a README shows without making it smaller."""

TASK = "What is 17 * 23? Then create a file called a.md with content: 391"
SETTINGS = {"TOOLS__APPROVE": "file_write"}
"""So that there is a question to be seen."""
QUESTION = "? Run file_write? y: yes, n: no"

PAUSE = 1.5
"""Seconds in which a person reads."""
HOLD = 5.0
"""Seconds that the last frame stays, before it begins again."""
SHORTEST = 0.2
"""Seconds between two frames: five a second are enough to follow, and keep the file small."""

OTHERS = ("What is 12 * 12?", "Echo Good morning", "List files in current directory", "Calculate 3 * (4 + 5)")
PLOTTED = 30.0
"""Seconds of other tasks that the page's plots show."""

WIDTH = 1400
SCHEMES: tuple[tuple[Scheme, str], ...] = (("light", "page.png"), ("dark", "page-dark.png"))

Frame = tuple[float, str]
"""When it was seen, in seconds; and the screen with the sequences of its colours."""

CLIPPED = re.compile(r' clip-path="[^"]*"')
"""What rich cuts each line with: all of them fit."""

PARTS = "\0".join(("{styles}", "{lines}", "{backgrounds}", "{matrix}"))
PAGE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{label}">
<style>
text {{ font: 20px/24.4px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre }}
.frame {{ visibility: hidden }}
.frame:last-of-type {{ visibility: visible }}
{styles}
@media (prefers-reduced-motion: no-preference) {{
{motion}
}}
</style>
<rect width="100%" height="100%" rx="10" fill="#292929" stroke="#777777"/>
<g fill="#c5c8c6" transform="translate(14 12)">
{frames}
</g>
</svg>
"""


# The terminal.


def record(terminal: Screen) -> list[Frame]:
    """Type what a person would, and return what was on the screen, each time that it was something else."""
    frames: list[Frame] = []
    began = time.monotonic()

    def watch(done: Callable[[str], bool], *, least: float = 0.0) -> None:
        """Keep what is seen, until that is done, and for some seconds at least."""
        since = time.monotonic()
        while (now := time.monotonic()) < since + least or not done(terminal.text):
            seen = terminal.coloured
            if not frames or (frames[-1][1] != seen and now - began - frames[-1][0] >= SHORTEST):
                frames.append((now - began, seen))
            if now > since + SOON:
                raise AssertionError(f"it does not go on; there is:\n{terminal.text}")
            time.sleep(GLANCE)  # a terminal tells nobody when it changes

    terminal.type(f'alex submit --watch "{TASK}"')
    watch(lambda text: QUESTION in text)
    watch(lambda _text: True, least=PAUSE)
    terminal.press("y")
    watch(lambda text: text.endswith("\n$"))
    watch(lambda _text: True, least=PAUSE)
    terminal.type("alex tasks")
    watch(lambda text: text.endswith("\n$") and text.count("\n$ ") == 1)
    return [*frames, (time.monotonic() - began, terminal.coloured)]


def drawn(frames: Sequence[Frame], *, label: str) -> str:
    """Return an SVG picture that shows one frame after the other, for as long as they were there."""
    rows = max(frame.rstrip("$ \n").count("\n") for _, frame in frames) + 2
    parts = [export(frame, rows=rows, name=f"f{number}") for number, (_, frame) in enumerate(frames)]
    whole = frames[-1][0] + HOLD
    starts = [seconds / whole * 100 for seconds, _ in frames] + [100.0]
    motion = "\n".join(
        f".f{number} {{ animation: f{number} {whole:.1f}s step-end infinite }} @keyframes f{number} "
        f"{{ 0% {{ visibility: {'hidden' if number else 'visible'} }} {start:.2f}% {{ visibility: visible }} "
        f"{end:.2f}% {{ visibility: {'visible' if number == len(frames) - 1 else 'hidden'} }} }}"
        for number, (start, end) in enumerate(pairwise(starts))
    )
    return PAGE.format(
        width=COLUMNS * 12.2 + 28,
        height=rows * 24.4 + 24,
        label=label,
        styles="\n".join(styles for styles, _ in parts),
        motion=motion,
        frames="\n".join(f'<g class="frame f{number}">{drawing}</g>' for number, (_, drawing) in enumerate(parts)),
    )


def export(frame: str, *, rows: int, name: str) -> tuple[str, str]:
    """Return a frame's styles and its drawing, as rich draws a terminal, less what comes from other hosts."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    lines = frame.splitlines()
    if lines and lines[-1].strip() == "$":
        lines.pop()
    for line in [*lines, *[""] * (rows - len(lines))][:rows]:
        console.print(Text.from_ansi(line), no_wrap=True, overflow="ignore", crop=False)
    styles, _, backgrounds, matrix = console.export_svg(code_format=PARTS, unique_id=name).split("\0")
    return styles, backgrounds + CLIPPED.sub("", matrix)


# The page.


def photograph(server: RestartedServer, folder: Path) -> None:
    """Take the pictures of the page: a task waits for a person's word, another one runs, and many come and go."""
    server.client.submit("Simulate 1000 steps of 100 ms", session_id="research", max_iterations=1000)
    shown = server.client.submit(TASK, session_id="arithmetic")
    with (
        sync_playwright() as playwright,
        closing(playwright.chromium.launch(executable_path=chromium())) as browser,
    ):
        for scheme, name in SCHEMES:
            with Tabs(browser, server.url) as tabs:
                page = tabs.open(f"/#/tasks/{shown['task_id']}", width=WIDTH, scheme=scheme)
                at = TaskPage(page)
                expect(at.questions.get_by_role("article")).to_be_visible()
                until = time.monotonic() + PLOTTED
                for text in itertools.cycle(OTHERS):
                    server.client.answered(text, session_id="talk")
                    if time.monotonic() > until:
                        break
                page.screenshot(path=folder / name)


def chromium() -> str | None:
    """Return where the browser is; None leaves it to Playwright."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Make all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=HERE, help="where they go; here by default")
    folder: Path = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        server = RestartedServer(Path(directory), settings=SETTINGS)
        try:
            for number in range(1, 4):
                server.client.answered(f"Calculate {number} * (4 + 5)", session_id="arithmetic")
            with screen(server.url, columns=COLUMNS, rows=ROWS) as terminal:
                frames = record(terminal)
            label = "A task is submitted and watched in a terminal, and listed with what it cost."
            (folder / "terminal.svg").write_text(drawn(frames, label=label), encoding="utf-8")
            photograph(server, folder)
        finally:
            server.end()


if __name__ == "__main__":
    main()
