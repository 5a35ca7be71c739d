"""The table of commands: each is there, says the same of itself everywhere, and is imported when it is used."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import alex_config
from alex_config.sources import NOT_SETTINGS, from_environ
from alex_http.command_line import COMMANDS, main
from alex_http.terminal.connection import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    SERVER_VARIABLE,
    TOKEN_VARIABLE,
    server_url,
    token_of,
)
from alex_http.terminal.exits import Failed
from tests.live.process import environment

HEAVY = {"sqlalchemy", "falcon", "waitress", "pydantic", "alex_actors", "alex_config", "alex_runtime", "openai"}


def imported_by(*arguments: str) -> set[str]:
    """Return which modules a command of ``alex`` has imported when it has ended."""
    code = (
        "import sys\nfrom alex_http.command_line import main\n"
        f"try:\n    main({list(arguments)!r}, prog_name='alex')\n"
        "except SystemExit:\n    pass\nprint('IMPORTED', *sorted(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment({}), capture_output=True, text=True, timeout=30, check=True
    )
    return set(done.stdout.rpartition("IMPORTED")[2].split())


def test_help_and_version_import_no_command() -> None:
    for option in ("--help", "--version"):
        modules = imported_by(option)

        assert not modules & {"httpx", "rich", "asyncio"} | modules & HEAVY
        assert not any(name.startswith("alex_http.") and name != "alex_http.command_line" for name in modules)


def test_a_command_that_uses_a_server_imports_nothing_of_one() -> None:
    modules = imported_by("tasks", "--server", "http://127.0.0.1:9")

    assert "httpx" in modules
    assert not modules & (HEAVY - {"pydantic"} | {"rich.markdown", "alex_http.app", "pydantic"})


@pytest.mark.parametrize("name", list(COMMANDS))
def test_each_command_is_where_the_table_says(name: str) -> None:
    module, _, attribute = COMMANDS[name].path.partition(":")

    command = getattr(import_module(module), attribute)

    assert isinstance(command, click.Command)
    assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


def test_the_help_has_each_command_and_an_unknown_one_is_a_usage_error() -> None:
    told = CliRunner().invoke(main, ["--help"]).stdout

    assert all(f"  {name} " in told and entry.help in told for name, entry in COMMANDS.items())
    assert CliRunner().invoke(main, ["nonsense"]).exit_code == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_for_its_completion(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])

    assert done.exit_code == 0
    assert "_ALEX_COMPLETE" in done.stdout


def test_without_settings_the_server_is_where_serve_listens(tmp_path: Path) -> None:
    defaults = tomllib.loads((Path(alex_config.__file__).parent / "default.toml").read_text())["server"]

    assert (defaults["host"], defaults["port"]) == (DEFAULT_HOST, DEFAULT_PORT)
    assert server_url(None, {}, tmp_path) == "http://127.0.0.1:8080"


def test_where_the_server_is_comes_from_the_option_the_variable_or_the_settings(tmp_path: Path) -> None:
    (tmp_path / "alex.toml").write_text('[server]\nport = 9000\nhost = "::"\n')
    variable = {SERVER_VARIABLE: "https://a.example/alex/"}

    assert server_url("b.example:1", variable, tmp_path) == "http://b.example:1"
    assert server_url(None, variable, tmp_path) == "https://a.example/alex"
    assert server_url(None, {"ALEX_SERVER__PORT": "9001"}, tmp_path) == "http://[::1]:9001"
    assert server_url(None, {}, tmp_path) == "http://[::1]:9000"


def test_a_variable_that_is_misspelt_is_not_passed_over(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"ALEX_SERVR_URL.*did you mean ALEX_SERVER_URL\?"):
        server_url(None, {"ALEX_SERVR_URL": "http://a.example"}, tmp_path)


def test_settings_that_are_wrong_end_a_command_with_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"server\.port"):
        server_url(None, {"ALEX_SERVER__PORT": "x"}, tmp_path)


def test_a_token_comes_from_a_file_or_the_environment(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("alex_a_b\n")

    assert token_of(tmp_path / "token", {TOKEN_VARIABLE: "other"}) == "alex_a_b"
    assert token_of(None, {TOKEN_VARIABLE: " other\n"}) == "other"
    assert token_of(None, {}) is None
    with pytest.raises(Failed, match="No such file"):
        token_of(tmp_path / "none", {})


def test_variables_of_the_commands_do_not_stop_a_start() -> None:
    given = dict.fromkeys((SERVER_VARIABLE, TOKEN_VARIABLE), "x")

    assert set(given) == NOT_SETTINGS
    assert from_environ(given).problems == ()
    assert from_environ({"ALEX_TOKEN_": "x"}).problems
