"""Presets: those that ship, those of a user's file, and what is said when one is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from alex_config import Settings, SettingsError, load
from alex_config.definitions import PRESET_NAME

TOOL = "the name of a tool, or a pattern of names such as 'github__*'"


def load_from(directory: Path, text: str = "") -> Settings:
    (directory / "alex.toml").write_text(text, "utf-8")
    return load(config_file=None, environ={}, overrides={}, cwd=directory)


def problems_of(directory: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_from(directory, text)
    return caught.value.problems


def test_the_shipped_tool_presets_are_the_table_of_the_contract(tmp_path: Path) -> None:
    thinking = ("calculator", "think")
    looking = ("list_files", "file_read", "search")
    writing = ("file_write", "file_edit")

    tools = load_from(tmp_path).presets.tools

    assert tools == {
        "full": (*thinking, *looking, *writing, "web_fetch", "shell"),
        "safe": (*thinking, *looking, *writing, "web_fetch"),
        "code-only": (*thinking, *looking, *writing),
        "read-only": (*thinking, *looking, "web_fetch"),
        "web-only": (*thinking, "web_fetch"),
    }


def test_the_shipped_agent_presets_are_those_of_the_contract_each_in_words_of_its_own(tmp_path: Path) -> None:
    agents = load_from(tmp_path).presets.agents

    assert set(agents) == {"default", "code-expert", "researcher", "devops", "security-analyst"}
    assert len(set(agents.values())) == len(agents)
    for prompt in agents.values():
        assert 3 <= prompt.count(". ") + 1 <= 8
        assert "\n" not in prompt
        assert "  " not in prompt


def test_a_users_presets_are_added_to_the_shipped_ones(tmp_path: Path) -> None:
    text = """
        [presets.agents.poet]
        system_prompt = " You answer in verse. "
        [presets.tools.look-only]
        tools = ["list_files", "file_read", "list_files"]
        [tools]
        preset = "look-only"
    """

    settings = load_from(tmp_path, text)

    assert settings.presets.agents["poet"] == "You answer in verse."
    assert settings.presets.tools["look-only"] == ("list_files", "file_read")
    assert settings.tools.preset == "look-only"
    assert {"default", "safe"} < {*settings.presets.agents, *settings.presets.tools}


def test_a_users_preset_replaces_a_shipped_one_of_its_name(tmp_path: Path) -> None:
    presets = load_from(tmp_path, "[presets.tools.safe]\ntools = []").presets

    assert presets.tools["safe"] == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            '[presets.tools.x]\ntools = ["calculator", "tele port"]',
            "presets.tools.x.tools[1] = 'tele port', {}: must be " + TOOL,
        ),
        (
            '[presets.tools.x]\ntools = "shell"',
            "presets.tools.x.tools = 'shell', {}: must be a list, and each item " + TOOL,
        ),
        ("[presets.agents.x]", "presets.agents.x, {}: system_prompt is missing; must be a text that is not empty"),
        (
            '[presets.agents.x]\nsystem_prompt = " "',
            "presets.agents.x.system_prompt = ' ', {}: must be a text that is not empty",
        ),
        (
            '[presets.agents.x]\nsystem_prompt = "y"\nsystem_promt = "z"',
            (
                "presets.agents.x.system_promt, {}: there is no such setting; "
                "did you mean presets.agents.x.system_prompt?"
            ),
        ),
        (
            "[presets.agents]\nx = 5",
            "presets.agents.x = 5, {}: must be a section: [presets.agents.x] with system_prompt",
        ),
        (
            '[presets.agents.Poet]\nsystem_prompt = "x"',
            (
                "presets.agents = 'Poet', {}: must be named with 1 to 64 small letters, digits and hyphens, "
                "and not begin with a hyphen"
            ),
        ),
        (
            '[tools]\npreset = "saef"',
            (
                "tools.preset = 'saef', {}: must be the name of a tool preset (full, safe, code-only, read-only, "
                "web-only); did you mean safe?"
            ),
        ),
        ('[tools]\npreset = ""', "tools.preset = '', {}: must be a text that is not empty"),
    ],
)
def test_a_wrong_preset_is_told_with_what_would_be_right(tmp_path: Path, text: str, problem: str) -> None:
    problems = problems_of(tmp_path, text)

    assert problems == (problem.format(f"in {tmp_path / 'alex.toml'}"),)


@pytest.mark.parametrize("name", ["", "-a", "A", "a_b", "a\n", "a" * 65, "ä"])
def test_a_name_that_breaks_the_pattern_is_none(name: str) -> None:
    assert not PRESET_NAME.fullmatch(name)
