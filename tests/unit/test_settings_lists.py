"""Settings that are lists: hosts and origins, from a file and from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from alex_config import SettingsError, load
from alex_config.models import ServerSettings


def server(directory: Path, text: str = "", environ: Mapping[str, str] | None = None) -> ServerSettings:
    (directory / "alex.toml").write_text(f"[server]\n{text}\n", "utf-8")
    return load(config_file=None, environ=environ or {}, overrides={}, cwd=directory).server


def test_by_default_no_other_host_and_no_other_origin_may(tmp_path: Path) -> None:
    settings = server(tmp_path)

    assert (settings.allowed_hosts, settings.cors_origins) == ((), ())


def test_a_list_is_one_in_a_file_and_has_commas_in_the_environment(tmp_path: Path) -> None:
    from_file = server(tmp_path, 'allowed_hosts = ["a.example", "B.example"]')
    from_environ = server(tmp_path, environ={"ALEX_SERVER__ALLOWED_HOSTS": "a.example, b.example,"})
    emptied = server(tmp_path, 'allowed_hosts = ["a.example"]', {"ALEX_SERVER__ALLOWED_HOSTS": ""})

    assert from_file.allowed_hosts == from_environ.allowed_hosts == ("a.example", "b.example")
    assert emptied.allowed_hosts == ()


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "http://localhost:3000",
        "http://[::1]:3000",
        "https://app.example.com:8443",
        "chrome-extension://abcdefghijklmnop",
    ],
)
def test_an_origin_is_taken_as_a_browser_sends_it(tmp_path: Path, origin: str) -> None:
    assert server(tmp_path, f'cors_origins = ["{origin}"]').cors_origins == (origin,)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("cors_origins", f'["{origin}"]')
            for origin in (
                "*",
                "null",
                "app.example.com",
                "https://",
                "https://app.example.com/",
                "https://app.example.com/path",
                "https://*.example.com",
                "https://app.example.com:443",
                "http://app.example.com:80",
                "https://user@app.example.com",
                "https://app.example.com https://evil.example",
            )
        ),
        *(
            ("allowed_hosts", f'["{host}"]')
            for host in (
                "*",
                "*.example.com",
                "alex.example.com:8080",
                "https://alex.example.com",
                "",
                "a b",
                "::1",
            )
        ),
        ("allowed_hosts", '"alex.example.com"'),
        ("allowed_hosts", "[1]"),
        ("cors_origins", "true"),
    ],
)
def test_what_would_never_match_or_match_too_much_stops_the_start(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(SettingsError) as caught:
        server(tmp_path, f"{key} = {value}")

    (problem,) = caught.value.problems
    assert problem.startswith(f"server.{key} = ")
    assert "must be a list" in problem
