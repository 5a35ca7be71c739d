"""What is configured of an MCP server, before it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alex_actors.mcp import McpError, McpServerSpec

SECRET = "s3cr3t-of-the-test"


@pytest.mark.parametrize("name", ["", "with_underscore", "-first", "a b", "a" * 33, "ä"])
def test_a_server_has_a_name_that_can_begin_those_of_its_tools(name: str) -> None:
    with pytest.raises(McpError, match="1 to 32 letters, digits and hyphens"):
        McpServerSpec(name=name, command="true")


def test_a_server_has_a_command_or_a_url_and_not_both() -> None:
    with pytest.raises(McpError, match="'one' has neither a command nor a url"):
        McpServerSpec(name="one")
    with pytest.raises(McpError, match="'one' has a command and a url"):
        McpServerSpec(name="one", command="true", url="http://127.0.0.1/mcp")


def test_no_secret_is_in_what_is_printed_of_a_server() -> None:
    stdio = McpServerSpec(name="one", command="true", args=("--key", SECRET), env={"API_KEY": SECRET})
    http = McpServerSpec(name="two", url=f"http://host/mcp?key={SECRET}", headers={"X-Api-Key": SECRET})

    assert SECRET not in f"{stdio!r} {http!r}"


def test_secrets_are_found_by_their_values_but_ordinary_variables_are_not() -> None:
    stdio = McpServerSpec(name="one", command="true", env={"API_KEY": SECRET, "DATA_PLACE": "/srv/documents"})
    http = McpServerSpec(name="two", url="http://host/mcp", headers={"Authorization": f"Bearer {SECRET}"})

    assert stdio.redactor().text(f"{SECRET} in /srv/documents") == "[redacted] in /srv/documents"
    assert http.redactor().text(f"The token {SECRET} is bad.") == "The token [redacted] is bad."


@pytest.mark.parametrize(
    ("url", "exposed"),
    [
        ("http://tickets.example.com/mcp", True),
        ("https://tickets.example.com/mcp", False),
        ("http://127.0.0.1:8000/mcp", False),
        ("http://[::1]/mcp", False),
        ("http://localhost/mcp", False),
    ],
)
def test_headers_that_go_elsewhere_unencrypted_are_noticed(url: str, exposed: bool) -> None:
    assert McpServerSpec(name="one", url=url, headers={"X-Api-Key": SECRET}).exposed is exposed
    assert McpServerSpec(name="one", url=url).exposed is False


def test_a_command_gets_its_own_variables_and_of_the_servers_only_harmless_ones() -> None:
    spec = McpServerSpec(name="one", command="true", env={"API_KEY": SECRET, "HOME": "/elsewhere"})

    environment = spec.environment({"PATH": "/bin", "HOME": "/home/me", "ALEX_MODEL__API_KEY": "sk-other"})

    assert environment == {"PATH": "/bin", "HOME": "/elsewhere", "API_KEY": SECRET}


def test_a_program_is_looked_up_as_a_shell_does(tmp_path: Path) -> None:
    program = tmp_path / "serve"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    by_path = McpServerSpec(name="one", command="serve", env={"PATH": str(tmp_path)})
    where_it_runs = McpServerSpec(name="two", command="./serve", cwd=str(tmp_path))

    assert by_path.program({"PATH": "/nowhere"}) == str(program)
    assert where_it_runs.program({}) == str(program)


def test_a_program_that_does_not_exist_is_an_error_that_says_what_to_do() -> None:
    spec = McpServerSpec(name="one", command="no-such-program", args=(SECRET,))

    with pytest.raises(McpError) as raised:
        spec.program({"PATH": "/bin"})

    assert str(raised.value) == (
        "The MCP server 'one' cannot be started: there is no program 'no-such-program'. "
        "Install it, or give its whole path."
    )


def test_a_directory_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    spec = McpServerSpec(name="one", command="true", cwd=str(tmp_path / "gone"))

    with pytest.raises(McpError, match="which is no directory"):
        spec.program({"PATH": "/bin"})


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"command": "true", "args": ("a\0b",)}, "cannot have the character NUL"),
        ({"command": "true", "env": {"A": "\0"}}, "cannot have the character NUL"),
        ({"command": "true", "env": {"A=B": "x"}}, "'A=B' cannot be the name of a variable"),
        ({"command": "true", "env": {"": "x"}}, "'' cannot be the name of a variable"),
        ({"url": "http://host/", "headers": {"A b": "x"}}, "'A b' cannot be the name of a header"),
        ({"url": "http://host/", "headers": {"X-Api-Key": f"{SECRET}\n"}}, "header 'X-Api-Key' has a line break"),
        ({"url": "http://host/", "headers": {"X-Api-Key": f" {SECRET}"}}, "a space at an end"),
        ({"url": "http://host/", "headers": {"X-Api-Key": f"{SECRET}\u00e4"}}, "no printable ASCII"),
        ({"url": "ftp://host/"}, "begins with http:// or https://"),
        ({"url": "http://:80/"}, "begins with http:// or https://"),
        ({"url": "http://host:port/"}, "perhaps a port"),
        ({"url": "http://ho st/"}, "begins with http:// or https://"),
    ],
)
def test_what_can_never_work_is_an_error_without_a_secret_in_it(
    given: dict[str, Any], fault: str
) -> None:  # Any: fields
    with pytest.raises(McpError) as raised:
        McpServerSpec(name="one", **given)

    assert fault in str(raised.value)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize("value", ["", "x", "Bearer a.b-c=", "a\tb"])
def test_a_header_may_have_any_value_that_http_has(value: str) -> None:
    McpServerSpec(name="one", url="https://[::1]:8000/mcp?a=b", headers={"X-Api_Key!": value})
