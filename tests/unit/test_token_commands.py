"""``alex token``: what it prints and where, and what it says of what it cannot do."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from alex_http.command_line import main
from alex_http.tokens import Tokens


class Terminal:
    """Runs commands in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.data = directory / "data"

    def run(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Result:
        return CliRunner().invoke(main, ["token", *arguments], env=environ)

    def token(self, *arguments: str) -> Result:
        return self.run(*arguments, "--data-dir", str(self.data))

    def listed(self) -> list[dict[str, str | None]]:
        read: list[dict[str, str | None]] = json.loads(self.token("list", "--json").stdout)
        return read


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(tmp_path)


def test_a_token_alone_is_on_standard_output(terminal: Terminal) -> None:
    made = terminal.token("create", "--name", "ci")

    text = made.stdout.removesuffix("\n")
    tokens = Tokens(terminal.data / "tokens.json", always=False, now=lambda: 0.0)
    assert made.exit_code == 0
    assert tokens.look().verified(text) is not None
    assert "not shown again" in made.stderr
    assert text not in made.stderr


def test_two_tokens_have_nothing_in_common(terminal: Terminal) -> None:
    texts = [terminal.token("create", "--name", name).stdout.strip() for name in ("a", "b")]

    ids, secrets = zip(*(text.removeprefix("alex_").split("_") for text in texts), strict=True)
    assert len(set(ids)) == len(set(secrets)) == 2


def test_the_data_directory_is_made_for_its_user_alone(terminal: Terminal) -> None:
    terminal.token("create", "--name", "ci")

    assert stat.S_IMODE(terminal.data.stat().st_mode) == 0o700


def test_scope_and_owner_are_as_asked_for(terminal: Terminal) -> None:
    terminal.token("create", "--name", "a")
    terminal.token("create", "--name", "b", "--scope", "read", "--owner", "local")

    assert [(one["owner"], one["scope"]) for one in terminal.listed()] == [("a", "write"), ("local", "read")]


def test_the_list_shows_everything_but_what_lets_somebody_in(terminal: Terminal) -> None:
    text = terminal.token("create", "--name", "ci").stdout.strip()
    terminal.token("revoke", "ci")

    table, (listed,) = terminal.token("list").stdout, terminal.listed()

    assert set(listed) == {"id", "name", "owner", "scope", "created_at", "revoked_at"}
    assert listed["revoked_at"] is not None
    assert table.splitlines()[0].split() == ["ID", "NAME", "OWNER", "SCOPE", "CREATED", "REVOKED"]
    assert table.splitlines()[1].split()[1:4] == ["ci", "ci", "write"]
    assert text.rpartition("_")[2] not in table


def test_a_token_is_revoked_by_name_or_id(terminal: Terminal) -> None:
    for name in ("a", "b"):
        terminal.token("create", "--name", name)
    token_id = terminal.listed()[1]["id"]

    by_name, by_id = terminal.token("revoke", "a"), terminal.token("revoke", str(token_id))

    assert (by_name.exit_code, by_id.exit_code) == (0, 0)
    assert all(one["revoked_at"] for one in terminal.listed())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create"], "--name"),
        (["create", "--name", ""], "letters"),
        (["create", "--name", "a b"], "letters"),
        (["create", "--name", "a\n"], "letters"),
        (["create", "--name", "x" * 65], "letters"),
        (["create", "--name", "a", "--owner", "\u00e4"], "letters"),
        (["create", "--name", "a", "--scope", "all"], "'read'"),
        (["create", "--name", "there"], "already"),
        (["revoke", "none"], "no token none"),
        (["revoke"], "NAME_OR_ID"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said_with_what_would_be_right(
    terminal: Terminal, arguments: list[str], says: str
) -> None:
    terminal.token("create", "--name", "there")

    result = terminal.token(*arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert says in result.stderr
    assert len(terminal.listed()) == 1


def test_the_data_directory_is_that_of_serve(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('[store]\ndata_dir = "from-file"\n')

    terminal.run("create", "--name", "a", "--config", "mine.toml")
    terminal.run("create", "--name", "b", environ={"ALEX_STORE__DATA_DIR": "from-environment"})

    assert (tmp_path / "from-file" / "tokens.json").is_file()
    assert (tmp_path / "from-environment" / "tokens.json").is_file()


@pytest.mark.parametrize("command", [["list"], ["revoke", "a"]])
def test_a_directory_that_is_not_there_is_not_made_to_be_looked_at(terminal: Terminal, command: list[str]) -> None:
    result = terminal.token(*command)

    assert result.exit_code == 2
    assert str(terminal.data) in result.stderr
    assert not terminal.data.exists()


def test_a_damaged_file_is_told_and_left_as_it_is(terminal: Terminal) -> None:
    terminal.data.mkdir()
    (terminal.data / "tokens.json").write_text("{")

    for command in (["list"], ["create", "--name", "a"], ["revoke", "a"]):
        result = terminal.token(*command)
        assert result.exit_code == 2
        assert "damaged" in result.stderr
    assert (terminal.data / "tokens.json").read_text() == "{"


def test_a_wrong_setting_is_told(terminal: Terminal) -> None:
    result = terminal.run("list", environ={"ALEX_SERVER__PORT": "many"})

    assert result.exit_code == 2
    assert "server.port" in result.stderr
