"""A real terminal: tmux, in which a command runs as a person has it, and what is on its screen."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alex_http.command_line import main
from alex_http.terminal.completing import InTime
from tests.live.process import SOON, environment, until

ALEX = "from alex_http.command_line import main; main(prog_name='alex')"


def alex_command(*arguments: str) -> list[str]:
    """Return a command line of ``alex`` that imports only what the installed script does."""
    return [sys.executable, "-c", ALEX, *arguments]


def run(*arguments: str, url: str, text: str | None = None, variables: Mapping[str, str] | None = None) -> Result:
    """Run a command of ``alex`` as with its inputs and outputs in pipes, in this process: that takes no start."""
    given = {"ALEX_SERVER_URL": url, "ALEX_TOKEN": None} | dict(variables or {})
    patient = InTime(SOON)
    return CliRunner().invoke(main, arguments, input=text, env=given, prog_name="alex", obj=patient)


def find_tmux() -> str:
    """Return the path of tmux. Without it a test is skipped, but in CI nothing may be missing."""
    found = shutil.which("tmux")
    if found is None and os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail("no tmux")
    return found or pytest.skip("no tmux")


class Screen:
    """One terminal. Commands are typed into its shell, whose prompt is ``$``."""

    def __init__(self, socket: Path, *, columns: int, rows: int, variables: Mapping[str, str]) -> None:
        # Before there is a terminal: a line of status that goes away later makes it a row higher under the shell.
        settings = socket.with_name("tmux.conf")
        settings.write_text("set-option -g status off\nset-option -g set-titles off\n")
        self._tmux = [find_tmux(), "-u", "-f", str(settings), "-S", str(socket)]
        alex = " ".join(map(shlex.quote, alex_command()))
        # Without a history, which the shell would write when it ends: into a directory that is being removed.
        shell = f"alex() {{ {alex} \"$@\"; }}; PS1='$ '; unset HISTFILE"
        rc = socket.with_name("rc")
        rc.write_text(shell)
        self._run(
            "new-session", "-d", "-x", str(columns), "-y", str(rows),
            "bash", "--noprofile", "--rcfile", str(rc), "-i", variables=variables,
        )  # fmt: skip
        self.wait("$")

    def _run(self, *arguments: str, variables: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], env=dict(variables or os.environ), capture_output=True, text=True,
            timeout=SOON, check=True,
        )  # fmt: skip
        return done.stdout

    def type(self, text: str) -> None:
        """Type a line, and press Enter."""
        self._run("send-keys", "-l", text)
        self._run("send-keys", "Enter")

    def press(self, *keys: str) -> None:
        """Press keys, by tmux' names: ``C-c``."""
        self._run("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        """Make it wider or narrower, as one does with a window."""
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    @property
    def visible(self) -> str:
        """What is on the screen, without the blanks at the ends of its lines."""
        return self._run("capture-pane", "-p").rstrip()

    @property
    def text(self) -> str:
        """What was written since the start: the scrollback and the screen. Rows that a line took are joined."""
        return self._run("capture-pane", "-p", "-J", "-S", "-").rstrip()

    @property
    def coloured(self) -> str:
        """The same, with the sequences of its colours."""
        return self._run("capture-pane", "-p", "-e", "-J", "-S", "-").rstrip()

    @property
    def title(self) -> str:
        """The title that a program may set."""
        return self._run("display-message", "-p", "#{pane_title}").strip()

    def wait(self, text: str) -> str:
        """Wait until a text is there; return all that is."""
        return self._until(lambda found: text in found, text)

    def wait_for_prompt(self, prompt: str) -> None:
        """Wait until a prompt is the last that is there."""
        self._until(lambda found: found.endswith(f"\n{prompt}"), f"the prompt {prompt}")

    def ended(self, text: str) -> str:
        """Run a command that is typed, and return all that is there when it has ended, its exit code last."""
        self.type(f"{text}; echo exit $?.")
        return self.wait_for_end()

    def wait_for_end(self) -> str:
        """Wait for the exit code of a command that was typed with ``; echo exit $?.``."""
        # With the prompt behind it, or what is there might end in the middle of it.
        return self._until(lambda found: re.search(r"\nexit \d+\.\n\$", found), "its end")

    def _until(self, condition: Callable[[str], object], what: str) -> str:
        """Wait until all that is there is as ``condition`` says; return it."""
        try:
            return until(lambda: found if condition(found := self.text) else None, what)
        except AssertionError as error:
            raise AssertionError(f"{error}; there is:\n{self.text}") from error

    def close(self) -> None:
        """End it, and what runs in it."""
        self._run("kill-server")


@contextmanager
def screen(
    url: str, *, columns: int = 80, rows: int = 24, variables: Mapping[str, str] | None = None
) -> Iterator[Screen]:
    """A terminal whose ``alex`` uses the server at ``url``."""
    with tempfile.TemporaryDirectory(prefix="alex") as directory:  # short: a socket's path has 107 bytes at most
        given = environment({"SERVER_URL": url}) | {"LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", "HOME": directory}
        for name in ("NO_COLOR", "TMUX", "COLUMNS", "LINES"):
            given.pop(name, None)
        terminal = Screen(
            Path(directory) / "s", columns=columns, rows=rows, variables=given | dict(variables or {})
        )
        try:
            yield terminal
        finally:
            terminal.close()
