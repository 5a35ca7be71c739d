"""What must hold of the repository as a whole, whatever its code does."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "actors", ROOT / "http", ROOT / "config", ROOT / "alex_runtime.py"]

LOCKS = {"Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore", "Barrier"}
TRANSPORT = "http/alex_http/transport"
MAY_LOCK = {
    "actors/alex_actors/mailbox.py",
    *(f"{TRANSPORT}/{name}.py" for name in ("channels", "holds", "server", "streams")),
}
"""The dispatcher's mailbox and the HTTP transport: each use there has its reason beside it."""


def modules() -> list[Path]:
    """Return every module of the package."""
    return [path for source in SOURCES for path in sorted(source.rglob("*.py")) or [source]]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_folder_http_does_not_shadow_the_standard_library() -> None:
    assert not (ROOT / "http" / "__init__.py").exists()

    found = subprocess.run(
        [sys.executable, "-c", "import http.client; print(http.client.__file__)"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert not Path(found.stdout.strip()).is_relative_to(ROOT)


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_module_says_what_it_is_and_is_short(path: Path) -> None:
    text = path.read_text()

    assert ast.get_docstring(ast.parse(text)), "line 1 says what the module is"
    assert text.count("\n") < 400


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_locks_are_only_where_they_must_be(path: Path) -> None:
    tree = ast.parse(path.read_text())

    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | {
        alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }

    assert name_of(path) in MAY_LOCK or not used & LOCKS


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_what_is_silenced_has_its_reason_on_the_same_line(path: Path) -> None:
    silenced = re.compile(r"#\s*(?:noqa|type:\s*ignore)[^#]*$")

    found = [silenced.search(line) for line in path.read_text().splitlines()]

    assert [match[0] for match in found if match is not None and " - " not in match[0]] == []


def test_the_readme_has_the_commands_that_ci_runs() -> None:
    readme = (ROOT / "README.md").read_text()
    ci = (ROOT / ".ci" / "run").read_text()

    assert 'pip install -e ".[dev]" && pytest' in readme
    assert 'pip install --quiet -e ".[dev]"' in ci
    assert "\nrun pytest\n" in ci


def test_every_setting_is_used() -> None:
    text = "".join(path.read_text() for path in modules() if "alex_config" not in path.parts)
    defaults = (ROOT / "config" / "alex_config" / "default.toml").read_text()
    settings = re.findall(r"^([a-z_]+) = ", defaults, re.MULTILINE)

    unused = [name for name in settings if not re.search(rf"\b(?:resolved_)?{name}\b", text)]

    assert settings
    assert unused == []
