"""Arithmetic with bounds: every operation is refused before it could take long or much memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

Number: TypeAlias = int | float

MAX_BITS = 10_000
"""Of a whole number: about 3,000 digits, under Python's own limit of 4,300 for printing one."""

_MAX_PLACES = 30
"""Decimal places to round to, either way; a float has no more than 17 digits."""


class ArithmeticRefused(Exception):
    """The result does not exist or is too large; the text says which."""


def add(left: Number, right: Number) -> Number:
    """Return the sum."""
    return left + right


def subtract(left: Number, right: Number) -> Number:
    """Return the difference."""
    return left - right


def multiply(left: Number, right: Number) -> Number:
    """Return the product; exact for whole numbers."""
    if isinstance(left, int) and isinstance(right, int):
        _refuse_above_limit(left.bit_length() + right.bit_length())
    return left * right


def divide(left: Number, right: Number) -> Number:
    """Return the quotient: a whole number if both are whole and it comes out even."""
    _refuse_zero(right)
    if isinstance(left, int) and isinstance(right, int) and left % right == 0:
        return left // right
    return left / right


def divide_floor(left: Number, right: Number) -> Number:
    """Return the quotient, rounded down."""
    _refuse_zero(right)
    return left // right


def modulo(left: Number, right: Number) -> Number:
    """Return the remainder, with the sign of the divisor."""
    _refuse_zero(right)
    return left % right


def power(base: Number, exponent: Number) -> Number:
    """Return base to the exponent; exact for whole numbers with an exponent that is not negative."""
    if base == 0 and exponent < 0:
        raise ArithmeticRefused("division by zero")
    if base < 0 and not float(exponent).is_integer():
        raise ArithmeticRefused("a negative number has no real fractional power")
    if isinstance(base, int) and isinstance(exponent, int) and exponent >= 0 and abs(base) > 1:
        _refuse_above_limit((base.bit_length() - 1) * exponent)  # the least that it can have: costs nothing
    result: Number = base**exponent
    if isinstance(result, int):
        _refuse_above_limit(result.bit_length())
    return result


def square_root(value: Number) -> Number:
    """Return the root: a whole number for a perfect square."""
    if value < 0:
        raise ArithmeticRefused("a negative number has no real square root")
    if isinstance(value, int) and (root := math.isqrt(value)) ** 2 == value:
        return root
    return math.sqrt(value)


def round_to(value: Number, places: Number = 0) -> Number:
    """Return the value rounded, halves to even: a whole number without places."""
    if not isinstance(places, int) or abs(places) > _MAX_PLACES:
        raise ArithmeticRefused(f"round() takes a whole number of places up to {_MAX_PLACES}")
    if not math.isfinite(value):
        raise ArithmeticRefused("the result is too large")
    return round(value, places) if places else round(value)


FUNCTIONS: dict[str, tuple[Callable[..., Number], int, int | None]] = {
    "abs": (abs, 1, 1),
    "max": (max, 1, None),
    "min": (min, 1, None),
    "round": (round_to, 1, 2),
    "sqrt": (square_root, 1, 1),
}
"""By name: what computes it, its fewest arguments, and its most (None: no limit)."""

CONSTANTS: dict[str, Number] = {"e": math.e, "pi": math.pi}


def call(name: str, values: list[Number]) -> Number:
    """Return a function's value."""
    if name not in FUNCTIONS:
        raise ArithmeticRefused(f"there is no function {name!r}; there are: {', '.join(FUNCTIONS)}")
    function, fewest, most = FUNCTIONS[name]
    if len(values) < fewest or (most is not None and len(values) > most):
        wanted = str(fewest) if most == fewest else f"{fewest} or {'more' if most is None else most}"
        raise ArithmeticRefused(f"{name}() takes {wanted} argument{'' if wanted == '1' else 's'}")
    # max() and min() take one iterable or many values.
    return function(*values) if len(values) > 1 or function not in (max, min) else values[0]


def constant(name: str) -> Number:
    """Return a constant's value."""
    if name not in CONSTANTS:
        raise ArithmeticRefused(f"there is no constant {name!r}; there are: {', '.join(CONSTANTS)}")
    return CONSTANTS[name]


def written(value: Number) -> str:
    """Return a number as people write it: whole numbers exactly, others with 15 significant digits."""
    if isinstance(value, int):
        try:
            return str(value)
        except ValueError as error:  # whoever runs Python may have set a lower limit (PYTHONINTMAXSTRDIGITS)
            raise ArithmeticRefused("the result is too large") from error
    if not math.isfinite(value):
        raise ArithmeticRefused("the result is too large")
    text = f"{value:.15g}"
    return "0" if text == "-0" else text


def _refuse_above_limit(bits: int) -> None:
    if bits > MAX_BITS:
        raise ArithmeticRefused(f"the result is too large: it would have more than {MAX_BITS} bits")


def _refuse_zero(divisor: Number) -> None:
    if divisor == 0:
        raise ArithmeticRefused("division by zero")
