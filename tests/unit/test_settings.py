"""Settings: where they come from, which wins, and what is said when one is wrong."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from itertools import pairwise
from pathlib import Path

import platformdirs
import pytest
from pydantic import ValidationError

from alex_config import Settings, SettingsError, load
from alex_config.models import SECTIONS


class Sources:
    """All that settings are loaded from, in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environ: dict[str, str] = {}
        self.overrides: dict[str, dict[str, object]] = {}
        self.config_file: Path | None = None

    def write(self, text: str, name: str = "alex.toml") -> Path:
        path = self.directory / name
        path.write_text(text, "utf-8")
        return path

    def load(self) -> Settings:
        return load(
            config_file=self.config_file,
            environ=self.environ,
            overrides=self.overrides,
            cwd=self.directory,
        )

    def problems(self) -> tuple[str, ...]:
        with pytest.raises(SettingsError) as caught:
            self.load()
        assert str(caught.value) == "\n".join(caught.value.problems)
        return caught.value.problems


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


def default_toml() -> str:
    return resources.files("alex_config").joinpath("default.toml").read_text("utf-8")


def test_default_toml_has_exactly_the_keys_of_the_models_which_have_no_defaults_of_their_own() -> None:
    shipped: Mapping[str, Mapping[str, object]] = tomllib.loads(default_toml())

    keys = {section: set(model.model_fields) for section, model in SECTIONS.items()}

    assert {section: set(values) for section, values in shipped.items()} == keys
    assert all(field.is_required() for model in SECTIONS.values() for field in model.model_fields.values())
    assert {*Settings.model_fields} == {*SECTIONS, "defined"}


def test_each_key_of_default_toml_has_a_comment() -> None:
    lines = default_toml().splitlines()

    bare = [line for before, line in pairwise(lines) if is_key(line) and before[:1] != "#"]

    assert bare == []


def is_key(line: str) -> bool:
    return re.match(r"[a-z_]+ = ", line) is not None


def test_ranges_in_the_comments_of_default_toml_are_those_of_the_models() -> None:
    comments = re.findall(r"((?:#.*\n)+)([a-z_]+) = ", default_toml())
    schemas = {
        key: schema
        for model in SECTIONS.values()
        for key, schema in model.model_json_schema()["properties"].items()
        if "minimum" in schema
    }

    said = {key: re.search(r"([\d.]+) to ([\d.]+)", comment) for comment, key in comments if key in schemas}

    for key, schema in schemas.items():
        match = said[key]
        assert match, key
        assert [float(bound.rstrip(".")) for bound in match.groups()] == [schema["minimum"], schema["maximum"]]


def test_the_shipped_defaults_are_those_that_the_documents_promise(sources: Sources) -> None:
    settings = sources.load()

    assert (settings.server.host, settings.server.port, settings.server.threads) == ("127.0.0.1", 8080, 16)
    assert settings.server.max_body_bytes == 2 * 1024 * 1024
    assert (settings.limits.max_unfinished_tasks, settings.limits.max_running_tasks) == (20_000, 10_000)
    assert (settings.agents.max_iterations, settings.agents.cancel_grace_seconds) == (50, 5.0)
    assert (settings.store.synchronous, settings.tools.preset, settings.log.level) == ("FULL", "safe", "info")
    assert settings.store.keep_ended_days == 0
    assert (settings.log.max_file_bytes, settings.log.keep_files) == (100 * 1024 * 1024, 9)


def test_the_file_beats_the_default_the_environment_the_file_and_the_command_line_all(sources: Sources) -> None:
    sources.write("[server]\nhost = 'file'\nport = 1\nthreads = 1\n")
    sources.environ = {"ALEX_SERVER__PORT": "2", "ALEX_SERVER__THREADS": "2"}
    sources.overrides = {"server": {"threads": 3}}

    server = sources.load().server

    assert (server.host, server.port, server.threads, server.max_connections) == ("file", 2, 3, 8000)


def test_a_named_file_is_read_in_place_of_alex_toml(sources: Sources) -> None:
    sources.write("[server]\nport = 1\n")
    sources.write("[server]\nthreads = 2\n", name="other.toml")
    sources.config_file = Path("other.toml")

    server = sources.load().server

    assert (server.port, server.threads) == (8080, 2)


def test_an_option_that_was_not_given_overrides_nothing(sources: Sources) -> None:
    sources.environ = {"ALEX_SERVER__PORT": "2"}
    sources.overrides = {"server": {"port": None}}

    settings = sources.load()

    assert settings.server.port == 2


def test_whole_numbers_are_taken_where_numbers_are_expected(sources: Sources) -> None:
    sources.write("[timeouts]\nask_seconds = 2\n")
    sources.environ = {"ALEX_TIMEOUTS__SHUTDOWN_SECONDS": "3"}

    timeouts = sources.load().timeouts

    assert (timeouts.ask_seconds, timeouts.shutdown_seconds) == (2.0, 3.0)


def test_variables_of_other_programs_are_left_alone(sources: Sources) -> None:
    sources.environ = {"PATH": "/bin", "ALEXANDRIA": "x", "alex_server": "y"}

    settings = sources.load()

    assert settings.server.port == 8080


def test_trusted_proxies_are_addresses_and_networks(sources: Sources) -> None:
    sources.environ = {"ALEX_SERVER__TRUSTED_PROXIES": "192.0.2.7, 10.0.0.0/8,2001:DB8::1"}

    settings = sources.load()

    assert settings.server.trusted_proxies == ("192.0.2.7/32", "10.0.0.0/8", "2001:db8::1/128")


@pytest.mark.parametrize("wrong", ["proxy.example.com", "10.0.0.1/8", "192.0.2.7:80", "*"])
def test_what_is_no_trusted_proxy_is_told_with_what_would_be_right(sources: Sources, wrong: str) -> None:
    sources.write(f"[server]\ntrusted_proxies = ['{wrong}']\n")

    with pytest.raises(SettingsError, match="a list of addresses and networks, such as"):
        sources.load()


def test_settings_cannot_be_changed(sources: Sources) -> None:
    settings = sources.load()

    with pytest.raises(ValidationError, match="frozen"):
        settings.server.port = 1
    with pytest.raises(TypeError):
        settings.presets.agents["default"] = "x"  # type: ignore[index] # the point of the test


# The data directory.


def test_an_empty_data_directory_is_the_platforms(sources: Sources) -> None:
    directory = sources.load().store.resolved_data_dir()

    assert directory == platformdirs.user_data_path("alex-runtime", appauthor=False)
    assert directory.is_absolute()


def test_a_tilde_in_the_data_directory_is_the_home(sources: Sources) -> None:
    sources.environ = {"ALEX_STORE__DATA_DIR": "~/alex"}

    directory = sources.load().store.resolved_data_dir()

    assert directory == Path.home() / "alex"


def test_a_relative_data_directory_starts_where_the_server_was_started(sources: Sources) -> None:
    sources.overrides = {"store": {"data_dir": "data"}}

    directory = sources.load().store.resolved_data_dir()

    assert directory == Path.cwd() / "data"


@pytest.mark.parametrize("path", ["a\0b", "~nobody-of-that-name/x"])
def test_a_data_directory_that_cannot_be_a_path_is_refused(sources: Sources, path: str) -> None:
    sources.overrides = {"store": {"data_dir": path}}

    (problem,) = sources.problems()

    assert problem.startswith(f"store.data_dir = {path!r}, on the command line: must be a path ")


# What is said.


def test_a_wrong_value_in_a_file_is_told_with_the_file_and_what_would_be_right(sources: Sources) -> None:
    path = sources.write("[server]\nport = 99999\n")

    problems = sources.problems()

    assert problems == (f"server.port = 99999, in {path}: must be a whole number from 0 to 65535",)


@pytest.mark.parametrize(
    ("variable", "value", "problem"),
    [
        ("ALEX_SERVER__PORT", "http", "server.port = 'http', {}: must be a whole number from 0 to 65535"),
        ("ALEX_SERVER__PORT", "", "server.port = '', {}: must be a whole number from 0 to 65535"),
        ("ALEX_SERVER__PORT", "80.5", "server.port = '80.5', {}: must be a whole number from 0 to 65535"),
        ("ALEX_SERVER__HOST", " ", "server.host = ' ', {}: must be a text that is not empty"),
        ("ALEX_SERVER__ONE_CORE", "no", "server.one_core = 'no', {}: must be true or false"),
        ("ALEX_LOG__LEVEL", "INFO", "log.level = 'INFO', {}: must be one of 'debug', 'info', 'warning', 'error'"),
        (
            "ALEX_TOOLS__SANDBOX",
            "docker",
            "tools.sandbox = 'docker', {}: must be one of 'auto', 'bubblewrap', 'off'",
        ),
        (
            "ALEX_TOOLS__MAX_FILE_BYTES",
            "2000000",
            "tools.max_file_bytes = 2000000, {}: must be a whole number from 1024 to 1048576",
        ),
        (
            "ALEX_TOOLS__SHELL_MAX_PROCESSES",
            "1",
            "tools.shell_max_processes = 1, {}: must be a whole number from 8 to 100000",
        ),
        ("ALEX_TIMEOUTS__ASK_SECONDS", "nan", "timeouts.ask_seconds = nan, {}: must be a number from 0.1 to 60"),
        ("ALEX_TIMEOUTS__ASK_SECONDS", "inf", "timeouts.ask_seconds = inf, {}: must be a number from 0.1 to 60"),
    ],
)
def test_a_wrong_value_in_the_environment_is_told_with_its_variable(
    sources: Sources, variable: str, value: str, problem: str
) -> None:
    sources.environ = {variable: value}

    problems = sources.problems()

    assert problems == (problem.format(f"in environment variable {variable}"),)


@pytest.mark.parametrize(("text", "one_core"), [("true", True), ("false", False), ("False", False)])
def test_the_environment_says_true_or_false(sources: Sources, text: str, *, one_core: bool) -> None:
    sources.environ = {"ALEX_SERVER__ONE_CORE": text}

    settings = sources.load()

    assert settings.server.one_core is one_core


@pytest.mark.parametrize("value", [True, "8080", 80.0, [80], {"number": 80}])
def test_a_value_of_another_type_is_never_taken_for_a_number(sources: Sources, value: object) -> None:
    sources.overrides = {"server": {"port": value}}

    problems = sources.problems()

    assert problems == (f"server.port = {value!r}, on the command line: must be a whole number from 0 to 65535",)


def test_everything_that_is_wrong_is_told_at_once(sources: Sources) -> None:
    sources.write("[server]\nport = -1\nthreads = 0\n[nonsense]\n")
    sources.environ = {"ALEX_LOG__LEVEL": "loud", "ALEX_POTR": "1"}
    sources.overrides = {"tools": {"preset": "saef"}}

    problems = sources.problems()

    assert {problem.partition(",")[0].partition(" ")[0] for problem in problems} == {
        "server.port", "server.threads", "nonsense", "log.level", "ALEX_POTR", "tools.preset",
    }  # fmt: skip


def test_a_wrong_value_that_a_stronger_source_replaces_does_no_harm(sources: Sources) -> None:
    sources.write("[server]\nport = -1\n")
    sources.environ = {"ALEX_SERVER__PORT": "1"}

    settings = sources.load()

    assert settings.server.port == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[server]\nprot = 1", "server.prot, {}: there is no such setting; did you mean server.port?"),
        ("[limits]\nport = 1", "limits.port, {}: there is no such setting; did you mean server.port?"),
        ("[sever]\nport = 1", "sever, {}: there is no such section; did you mean server?"),
        ("server = 5", "server = 5, {}: must be a section: [server] on its own line"),
        ("[presets]\nagents = 5", "presets.agents = 5, {}: must be a section: [presets.agents.NAME]"),
        ("[presets.tool.x]", "presets.tool, {}: there is no such section; did you mean presets.tools?"),
    ],
)
def test_an_unknown_name_in_a_file_is_told_with_the_closest_known_one(
    sources: Sources, text: str, problem: str
) -> None:
    path = sources.write(text)

    problems = sources.problems()

    assert problems == (problem.format(f"in {path}"),)


def test_a_name_like_no_other_is_told_with_all_that_there_are(sources: Sources) -> None:
    sources.write("[xyz]")

    (problem,) = sources.problems()

    sections = "server, store, limits, model, agents, tools, log, timeouts, presets, models, prices, mcp"
    assert problem.endswith(f"there are {sections}")


@pytest.mark.parametrize(
    ("variable", "closest"),
    [
        ("ALEX_SERVER_PORT", "ALEX_SERVER__PORT"),
        ("ALEX_server__port", "ALEX_SERVER__PORT"),
        ("ALEX_LIMITS__MAX_RUNING_TASKS", "ALEX_LIMITS__MAX_RUNNING_TASKS"),
    ],
)
def test_an_unknown_variable_is_told_with_the_closest_known_one(
    sources: Sources, variable: str, closest: str
) -> None:
    sources.environ = {variable: "1"}

    problems = sources.problems()

    assert problems == (f"{variable}, in the environment: there is no such setting; did you mean {closest}?",)


def test_secrets_are_not_shown(sources: Sources) -> None:
    sources.environ = {"ALEX_MODEL__API_KY": "abcdefghijklmnop"}
    sources.overrides = {"server": {"port": "sk-abcdefghijklmnopqrstuvwxyz", "host": {"password": "hunter2"}}}

    problems = "\n".join(sources.problems())

    assert "did you mean ALEX_MODEL__API_KEY?" in problems
    assert not any(secret in problems for secret in ("abcdefgh", "hunter2"))


def test_each_problem_is_one_printable_line_in_which_a_long_value_is_cut(sources: Sources) -> None:
    sources.environ = {"ALEX_SERVER__PORT": "1\n2\x1b[2J" + "9" * 5000, "ALEX_\nX\x1b": "1"}

    problems = sources.problems()

    assert len(problems) == 2
    assert all(problem.isprintable() for problem in problems)
    assert "9" * 50 in problems[1]
    assert "9" * 100 not in problems[1]


# Files that cannot be used.


def test_a_named_file_that_is_not_there_is_told(sources: Sources) -> None:
    sources.config_file = Path("gone.toml")

    (problem,) = sources.problems()

    assert problem.startswith(f"{sources.directory / 'gone.toml'}: there is no such file; --config takes ")


def test_a_directory_is_no_file(sources: Sources) -> None:
    sources.config_file = sources.directory

    (problem,) = sources.problems()

    assert problem == f"{sources.directory}: cannot be read (Is a directory); must be a readable TOML file"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_told(sources: Sources) -> None:
    path = sources.write("")
    path.chmod(0)

    (problem,) = sources.problems()

    assert problem == f"{path}: cannot be read (Permission denied); must be a readable TOML file"


def test_a_file_that_is_no_toml_is_told_with_the_line(sources: Sources) -> None:
    path = sources.write("[server]\nport = \n")

    (problem,) = sources.problems()

    assert problem.startswith(f"{path}: not TOML: ")
    assert "line 2" in problem


def test_a_file_that_is_no_utf_8_is_told_with_the_place(sources: Sources) -> None:
    path = sources.directory / "alex.toml"
    path.write_bytes(b"# \xff")

    (problem,) = sources.problems()

    assert problem == f"{path}: byte 2 is not UTF-8; must be a TOML file in UTF-8"
