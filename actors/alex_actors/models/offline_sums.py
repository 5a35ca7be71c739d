"""The offline model's rule for arithmetic: finds the expression in "What is 6 times 7?"."""

from __future__ import annotations

import re

from alex_actors.models.offline_intents import Calculate
from alex_actors.models.offline_parts import unquoted

_ASKING = re.compile(
    r"(?:what(?:'s|\u2019s|s|\s++is|\s++are|\s++does)?|how\s++much\s++(?:is|are)|tell\s++me|give\s++me)\b\s*+:?\s*+",
    re.IGNORECASE,
)
_TELLING = re.compile(r"(?:calculate|compute|evaluate|solve|calc|work\s++out)\b\s*+:?\s*+", re.IGNORECASE)
_OBJECT = re.compile(
    r"(?:the\s++)?(?:(?P<name>result|value|answer|sum|product)\s++(?:of|to)\s++|(?=square\s++root))",
    re.IGNORECASE,
)
_AND = re.compile(r"\s++and\s++", re.IGNORECASE)
_JOINED_BY = {"sum": " + ", "product": " * "}
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
_PI = re.compile(r"\bpi\b", re.IGNORECASE)
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), symbol)
    for pattern, symbol in (
        (r"\b(?:the\s++)?square\s++root\s++of\s++([0-9.]++)", r"sqrt(\1)"),
        (r"\b(?:raised\s++)?to\s++the\s++power\s++(?:of\s++)?", "** "),
        (r"\bsquared\b", "** 2"),
        (r"\bcubed\b", "** 3"),
        (r"\bplus\b", "+"),
        (r"\bminus\b", "-"),
        (r"\b(?:times|multiplied\s++by)\b", "*"),
        (r"\b(?:divided\s++by|over)\b", "/"),
        (r"\bmod(?:ulo)?\b", "%"),
        (r"(?<=[0-9)\s])x(?=[\s(0-9])", "*"),
    )
)
_EXPRESSION = re.compile(
    r"(?:[0-9][eE]|[0-9_\s.,+*/%^()\u2212\u00d7\u00f7\u00b7-]|\b(?:sqrt|abs|round|min|max|pi|e)\b)++",
    re.IGNORECASE,
)
_OPERATION = re.compile(r"[+*/%^(\u2212\u00d7\u00f7\u00b7-]")


def sum_of(text: str) -> Calculate | None:
    """Return the arithmetic that a text asks for; None if it asks for none."""
    bare = text.strip().rstrip("?!=").rstrip().removesuffix("equal").removesuffix("equals").rstrip()
    bare = bare[:-1] if bare.endswith(".") else bare
    told = _TELLING.match(bare)
    asked = told or _ASKING.match(bare)
    expression = bare[asked.end() :] if asked else bare
    if subject := _OBJECT.match(expression):
        expression = expression[subject.end() :]
        if symbol := _JOINED_BY.get((subject["name"] or "").lower()):
            expression = _AND.sub(symbol, expression)
    expression = unquoted(expression)
    for pattern, symbol in _WORDS:
        expression = pattern.sub(symbol, expression)
    if not any(character.isalpha() for character in expression):  # in max(1,200) it is no thousand
        expression = _THOUSANDS.sub("", expression)
    if not any(character.isdigit() for character in expression) and not _PI.search(expression):
        return None
    # Told to calculate, the calculator itself says what is wrong with an expression; else it has to be one.
    if _EXPRESSION.fullmatch(expression):
        return Calculate(expression) if asked or _OPERATION.search(expression) else None
    return Calculate(expression) if told and not _AND.search(expression) else None
