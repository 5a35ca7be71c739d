"""Trees for tests that copy and remove them: deeper than a path can be, and of a user whom permissions stop."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

NOBODY = 65534


@pytest.fixture
def cleared(tmp_path: Path) -> Iterator[None]:
    """All is removed afterwards, also if the test fails: pytest itself could not, nor go on."""
    yield
    subprocess.run(["rm", "-rf", *tmp_path.iterdir()], check=True)


@contextmanager
def few_open_files(most: int) -> Iterator[None]:
    """Let this process open at most so many files more."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.dup(0)  # the lowest number that no file has
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def make_deep(root: Path, levels: int, *, mode: int = 0o755) -> None:
    """Make so many directories one in the other, each with a file ``a.txt`` beside the next."""
    at = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        os.close(os.open("a.txt", os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=at))
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.fchmod(at, mode)
        os.close(at)
        at = below
    os.close(at)


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A directory of a user whom permissions stop, who runs the test."""
    directory = Path(tempfile.mkdtemp(prefix="alex-trees-"))  # pytest's own is closed to others
    user = os.geteuid()
    if user == 0:
        os.chown(directory, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield directory
    os.seteuid(user)
    shutil.rmtree(directory)
