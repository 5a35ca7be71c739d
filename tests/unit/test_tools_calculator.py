"""The calculator: what it computes, exactly, and what it refuses before it costs anything."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from alex_actors.ports import Tool, ToolContext, ToolError
from alex_actors.tools.calculator import MAX_LENGTH, calculator_tool
from alex_actors.values import TaskId

CONTEXT = ToolContext(TaskId("task-1"), Path("nowhere"))


@pytest.fixture(scope="module")
def calculator() -> Tool:
    return calculator_tool()


def result(calculator: Tool, expression: str) -> str:
    return asyncio.run(calculator({"expression": expression}, CONTEXT))


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 2", "4"),
        ("3 * (4 + 5)", "27"),
        ("8/2", "4"),
        ("7/2", "3.5"),
        ("0.1 + 0.2", "0.3"),
        ("4.0 * 1", "4"),
        ("-2 ** 2", "-4"),
        ("2 ** -1", "0.5"),
        ("2 ^ 3 ^ 2", "512"),
        ("--3", "3"),
        ("+3", "3"),
        ("10 // 3", "3"),
        ("-7 % 3", "2"),
        ("2 * -3", "-6"),
        ("9 - 3 - 2", "4"),
        ("sqrt(16)", "4"),
        ("sqrt(2)", "1.4142135623731"),
        ("abs(-3)", "3"),
        ("round(2.567, 2)", "2.57"),
        ("round(2.4)", "2"),
        ("min(3, 1, 2)", "1"),
        ("max(4)", "4"),
        ("pi", "3.14159265358979"),
        ("PI * 0", "0"),
        ("1e3 + .5", "1000.5"),
        ("1_000 + 1", "1001"),
        ("2 ** 100", str(2**100)),
        ("6 \u00d7 7 \u00f7 2 \u2212 1", "20"),
        ("-0.0", "0"),
        ("(-8) ** 3", "-512"),
    ],
)
def test_it_computes(calculator: Tool, expression: str, value: str) -> None:
    assert result(calculator, expression) == value


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("", "it ends too early"),
        ("(1 + 2", "it ends too early"),
        ("2 +* 3", "unexpected '*' at character 4"),
        ("__import__('os')", "unexpected '_' at character 1"),
        ("1 2", "unexpected '2' at character 3"),
        ("f(1)", "there is no function 'f'"),
        ("x + 1", "there is no constant 'x'"),
        ("abs(1, 2)", "takes 1 argument"),
        ("1 / 0", "division by zero"),
        ("1 // 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("sqrt(-1)", "no real square root"),
        ("(-8) ** 0.5", "no real fractional power"),
        ("9 ** 9 ** 9", "too large"),
        ("3 ** 10000", "too large"),
        ("3 ** 7000", "more than 10000 bits"),
        ("(-3) ** 9999", "too large"),
        ("2 ** 10000 * 2 ** 10000", "too large"),
        ("1e308 * 10", "too large"),
        ("10 ** 2000 / 3", "too large"),
        ("1e308 * 10 - 1e308 * 10", "too large"),
        ("round(1e999)", "too large"),
        ("round(1e308 * 10 - 1e308 * 10)", "too large"),
        ("round(5, 10 ** 9)", "up to 30"),
        ("2.5 ** 9999", "too large"),
        ("9" * (MAX_LENGTH + 1), f"up to {MAX_LENGTH}"),
    ],
)
def test_it_refuses_and_says_why(calculator: Tool, expression: str, reason: str) -> None:
    with pytest.raises(ToolError) as raised:
        result(calculator, expression)

    assert reason in str(raised.value)


@pytest.mark.parametrize("expression", ["(" * 249 + "1" + ")" * 249, "-" * 499 + "1", "1" + "+1" * 249])
def test_deep_nesting_costs_no_stack(calculator: Tool, expression: str) -> None:
    assert result(calculator, expression) in ("1", "-1", "250")


def test_a_number_that_python_is_told_not_to_print_is_refused(calculator: Tool) -> None:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)

    try:
        with pytest.raises(ToolError, match="too large"):
            result(calculator, "2 ** 9999")
    finally:
        sys.set_int_max_str_digits(limit)
