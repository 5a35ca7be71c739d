"""Named tables of a file: models, prices, MCP servers, agents of one's own; and what is said when one is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from alex_config import Settings, SettingsError, load

NAMED = """
[models."qwen/qwen3:8b"]
base_url = "http://127.0.0.1:11434/v1"
api_key_variable = "QWEN_KEY"
attempts = 2
[prices.gpt-x]
input = 1
output = 2.5
[mcp.files]
command = "files-server"
args = ["--root", "."]
env = { LEVEL = "1" }
pass_env = ["QWEN_KEY"]
[mcp.web]
url = "http://127.0.0.1:9/mcp"
headers = { Authorization = "Bearer x" }
[agents]
max_iterations = 7
poet = "my.verses:Poet"
[presets.agents.thinker]
system_prompt = "Think."
model = "qwen/qwen3:8b"
[presets.tools.careful]
tools = ["shell", "files__*"]
approve = ["shell"]
"""


def load_from(directory: Path, text: str = "", environ: Mapping[str, str] | None = None) -> Settings:
    (directory / "alex.toml").write_text(text, "utf-8")
    return load(config_file=None, environ=environ or {}, overrides={}, cwd=directory)


def test_nothing_is_defined_and_the_model_is_the_offline_one_unless_somebody_says_so(tmp_path: Path) -> None:
    settings = load_from(tmp_path)

    defined = settings.defined
    assert (dict(defined.models), dict(defined.prices), dict(defined.mcp), dict(defined.own_agents)) == ({},) * 4
    assert (settings.model.name, settings.model.api_key, settings.model.choices) == ("offline", "", ())


def test_the_model_comes_from_three_variables(tmp_path: Path) -> None:
    environ = {
        "ALEX_MODEL__NAME": "gpt-x",
        "ALEX_MODEL__BASE_URL": "http://127.0.0.1:1/v1",
        "ALEX_MODEL__API_KEY": "k-12345678",
    }

    model = load_from(tmp_path, environ=environ).model

    assert (model.name, model.base_url, model.api_key) == ("gpt-x", "http://127.0.0.1:1/v1", "k-12345678")
    assert "k-12345678" not in repr(model)


def test_more_models_prices_servers_and_agents_are_named_in_a_file(tmp_path: Path) -> None:
    settings = load_from(tmp_path, NAMED, {"QWEN_KEY": "secret-1234"})

    defined = settings.defined
    qwen = defined.models["qwen/qwen3:8b"]
    assert (qwen.base_url, qwen.api_key, qwen.attempts, qwen.name) == (
        "http://127.0.0.1:11434/v1",
        "secret-1234",
        2,
        "",
    )
    assert "secret-1234" not in repr(settings)
    assert (defined.prices["gpt-x"].input, defined.prices["gpt-x"].output) == (1.0, 2.5)
    assert (defined.mcp["files"].args, dict(defined.mcp["files"].env)) == (("--root", "."), {"LEVEL": "1"})
    assert defined.mcp["web"].headers["Authorization"] == "Bearer x"
    assert dict(defined.own_agents) == {"poet": "my.verses:Poet"}
    assert settings.agents.max_iterations == 7
    assert settings.presets.models == {"thinker": "qwen/qwen3:8b"}
    assert settings.presets.tools["careful"] == ("shell", "files__*")
    assert settings.presets.approve == {"careful": ("shell",)}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[models.x]\nattempts = 21", "models.x.attempts = 21, {}: must be a whole number from 0 to 20"),
        (
            '[models.x]\nprovider = "opnai"',
            "models.x.provider = 'opnai', {}: must be one of 'openai', 'azure', 'anthropic', 'gemini'",
        ),
        (
            '[models."x y"]',
            "models = 'x y', {}: must be named with 1 to 128 letters, digits and ",
        ),
        (
            '[models.x]\napi_key_variable = "NOT_THERE"',
            "models.x, {}: api_key_variable must be the name of an environment variable that there is",
        ),
        (
            '[models.x]\napi_key = "a"\napi_key_variable = "HOME"',
            "models.x, {}: api_key and api_key_variable are both there; give one of them",
        ),
        (
            "[models.x]\napi_key = 5",
            "models.x.api_key = '[redacted]', {}: must be a text",
        ),
        ("[prices.x]\ninput = 1", "prices.x, {}: output is missing; must be a number from 0 to 1000000"),
        (
            "[mcp.x]",
            "mcp.x, {}: needs a command, which is started, or the url of a server that runs; one of them",
        ),
        (
            '[mcp.x]\ncommand = "a"\nurl = "b"',
            "mcp.x, {}: needs a command, which is started, or the url of a server that runs; one of them",
        ),
        ('[mcp.x]\nurl = "a/mcp"', "mcp.x, {}: the url must begin with http:// or https:// and a host"),
        (
            '[mcp.x]\nurl = "http://a"\nheader_variables = { B = "NOT_THERE" }',
            "mcp.x, {}: header_variables has 'NOT_THERE', and there is no such environment variable",
        ),
        (
            '[agents]\nxyzzy = "my.verses.Poet"',
            "agents.xyzzy, {}: there is no such setting; there are ",
        ),
        ('[mcp.x]\nurl = "http://a"\nargs = ["b"]', "mcp.x, {}: args goes with a command"),
        ('[mcp.x]\ncommand = "a"\nheaders = { B = "c" }', "mcp.x, {}: headers goes with a url"),
        (
            '[mcp.x]\ncommand = "a"\npass_env = ["NOT_THERE"]',
            "mcp.x, {}: pass_env has 'NOT_THERE', and there is no such environment variable",
        ),
        ('[mcp.x]\ncommand = "a"\nenv = { B = 1 }', "mcp.x.env.B = 1, {}: must be a text"),
        ('[mcp.x]\ncommand = "a"\nenv = 1', "mcp.x.env = 1, {}: must be a table of texts"),
        (
            '[agents]\npoet = "my.verses"',
            "agents.poet, {}: there is no such setting; ",
        ),
        (
            '[agents]\nPoet = "my.verses:Poet"',
            "agents = 'Poet', {}: must be named with 1 to 64 small letters, digits and hyphens, ",
        ),
        (
            '[presets.tools.x]\ntools = []\napprove = ["a b"]',
            "presets.tools.x.approve[0] = 'a b', {}: must be the name of a tool, or a pattern of names ",
        ),
    ],
)
def test_what_is_wrong_in_a_table_is_told_with_what_would_be_right(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_from(tmp_path, text, {"HOME": "x"})

    (told,) = caught.value.problems
    assert told.startswith(problem.format(f"in {tmp_path / 'alex.toml'}"))
    assert ("package.module:Agent" in told) is told.startswith("agents.")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[model]\nbase_url = "http://127.0.0.1:1/v1"',
            "model.base_url is set, and model.name is 'offline': name the model that is to be used",
        ),
        (
            '[model]\napi_key = "x"',
            "model.api_key is set, and model.name is 'offline': name the model that is to be used",
        ),
        (
            '[model]\nname = "local"\n[models.local]',
            "models.local: model.name or model.choices has a model of that name too; choose another one",
        ),
        ("[models.offline]", "models.offline: that is the name of the built-in rules; choose another one"),
        (
            '[presets.agents.x]\nsystem_prompt = "y"\nmodel = "ofline"',
            "presets.agents.x.model: there is no model 'ofline'; did you mean offline?",
        ),
    ],
)
def test_what_does_not_go_together_stops_the_start(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_from(tmp_path, text)

    assert caught.value.problems == (problem,)
