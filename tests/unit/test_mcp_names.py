"""The names of MCP servers' tools."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from alex_actors.mcp.names import tool_names


def test_a_tool_has_its_servers_name_before_its_own() -> None:
    assert tool_names("git-hub", ["create_issue", "get-me"]) == {
        "create_issue": "git-hub__create_issue",
        "get-me": "git-hub__get-me",
    }


def test_what_models_do_not_take_is_replaced() -> None:
    assert tool_names("a", ["files.read/all now"]) == {"files.read/all now": "a__files_read_all_now"}


def test_two_tools_whose_names_would_be_the_same_have_different_ones_whatever_their_order() -> None:
    names = tool_names("a", ["b.c", "b/c", "d"])

    assert len(set(names.values())) == 3
    assert names["d"] == "a__d"
    assert names == tool_names("a", ["d", "b/c", "b.c"])


def test_a_long_name_keeps_its_beginning_and_is_told_from_one_with_the_same() -> None:
    names = tool_names("a", ["x" * 80 + "1", "x" * 80 + "2"])

    assert {len(name) for name in names.values()} == {64}
    assert len(set(names.values())) == 2
    assert all(name.startswith("a__xxxxx") for name in names.values())


@given(st.lists(st.text(min_size=1, max_size=100)))
def test_whatever_a_server_calls_its_tools_each_has_a_name_of_its_own_that_models_take(tools: list[str]) -> None:
    names = tool_names("server-name", tools)

    assert set(names) == set(tools)
    assert len(set(names.values())) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) for name in names.values())
