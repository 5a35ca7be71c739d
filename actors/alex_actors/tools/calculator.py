"""The ``calculator`` tool: arithmetic by a grammar of its own, so that nothing else can be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from alex_actors.ports import Tool, ToolContext, ToolError, ToolSpec
from alex_actors.tools import arithmetic
from alex_actors.tools.arithmetic import ArithmeticRefused, Number
from alex_actors.tools.tool import FunctionTool, parameters

MAX_LENGTH = 500
"""Characters of an expression; so long a one takes about 2 ms."""

_KNOWN = (
    "It understands numbers, + - * / // % ** ^ ( ), "
    f"{', '.join(f'{name}()' for name in arithmetic.FUNCTIONS)}, {' and '.join(arithmetic.CONSTANTS)}."
)

# Powers bind to the right and tighter than a sign on their left: -2 ** 2 is -4, 2 ** -1 is 0.5, 2 ^ 3 ^ 2 is 512.
# The escapes are the typographic minus, times (cross and dot) and division signs.
_GRAMMAR = r"""
?start: sum
?sum: product
    | sum "+" product -> add
    | sum ("-" | "\u2212") product -> subtract
?product: signed
    | product ("*" | "\u00d7" | "\u00b7") signed -> multiply
    | product ("/" | "\u00f7") signed -> divide
    | product "//" signed -> divide_floor
    | product "%" signed -> modulo
?signed: power
    | ("-" | "\u2212") signed -> negate
    | "+" signed
?power: atom
    | atom ("**" | "^") signed -> power
?atom: INTEGER -> integer
    | DECIMAL -> decimal
    | NAME -> constant
    | NAME "(" sum ("," sum)* ")" -> call
    | "(" sum ")"
INTEGER.1: /[0-9](?:_?[0-9])*/
DECIMAL.2: /(?:[0-9](?:_?[0-9])*)?\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9](?:_?[0-9])*(?:\.(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)/
NAME: /[A-Za-z]+/
%ignore /\s+/
"""  # noqa: E501 - a regular expression in a grammar cannot be broken


@v_args(inline=True)
class _Evaluation(Transformer[Token, Number]):
    """Computes while the text is parsed: without a tree, deep nesting costs no stack."""

    add = staticmethod(arithmetic.add)
    subtract = staticmethod(arithmetic.subtract)
    multiply = staticmethod(arithmetic.multiply)
    divide = staticmethod(arithmetic.divide)
    divide_floor = staticmethod(arithmetic.divide_floor)
    modulo = staticmethod(arithmetic.modulo)
    power = staticmethod(arithmetic.power)

    def integer(self, token: Token) -> Number:
        return int(token)

    def decimal(self, token: Token) -> Number:
        return float(token)

    def negate(self, value: Number) -> Number:
        return -value

    def constant(self, name: Token) -> Number:
        return arithmetic.constant(name.lower())

    def call(self, name: Token, *values: Number) -> Number:
        return arithmetic.call(name.lower(), list(values))


class _Parser(Protocol):
    """Lark with a transformer built in: its ``parse`` returns what the transformer makes."""

    def parse(self, text: str) -> Number: ...


def calculator_tool() -> Tool:
    """Return the tool. Making it takes some 20 ms: the grammar is compiled."""
    calculator = _Calculator(
        parser=Lark(_GRAMMAR, parser="lalr", transformer=_Evaluation())  # type: ignore[arg-type]  # typed as if it returned a tree
    )
    return FunctionTool(
        spec=ToolSpec(
            name="calculator",
            description=f"Compute an arithmetic expression. Whole numbers are exact. {_KNOWN}",
            parameters=parameters(
                {"expression": {"type": "string", "description": "For example: 3 * (4 + 5)"}},
                required=("expression",),
            ),
            repeatable=True,
        ),
        run=calculator.run,
    )


class _Calculator:
    def __init__(self, *, parser: _Parser) -> None:
        self._parser = parser

    async def run(
        self,
        arguments: Mapping[str, Any],  # JSON, checked
        context: ToolContext,  # noqa: ARG002 - every tool is given one
    ) -> str:
        expression: str = arguments["expression"]
        if len(expression) > MAX_LENGTH:
            raise ToolError(
                f"The expression has {len(expression)} characters; the calculator takes up to {MAX_LENGTH}."
            )
        try:
            return arithmetic.written(self._parser.parse(expression))
        except UnexpectedInput as error:
            raise ToolError(f"{expression!r} is not an expression: {_place(error)}. {_KNOWN}") from error
        except ArithmeticRefused as error:
            raise ToolError(f"{expression!r} has no result: {error}.") from error
        except OverflowError as error:
            raise ToolError(f"{expression!r} has no result: a number is too large.") from error


def _place(error: UnexpectedInput) -> str:
    match error:
        case UnexpectedCharacters(char=char, column=column):
            return f"unexpected {char!r} at character {column}"
        case UnexpectedToken(token=Token(type="$END")) | UnexpectedEOF():
            return "it ends too early"
        case UnexpectedToken(token=token, column=column):
            return f"unexpected {str(token)!r} at character {column}"
        case _:
            return "it cannot be read"
