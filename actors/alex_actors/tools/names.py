"""Names of tools as presets give them: a tool's own name, or a pattern such as ``github__*``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase, translate

_WILD = re.compile(r"[*?\[]")


class Names:
    """A set of names and patterns. Those of patterns are shell's, and upper and lower case differ.

    Names of tools have no ``*``, ``?`` or ``[``: what has one is a pattern.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        self.given = tuple(dict.fromkeys(given))
        self._patterns = tuple(one for one in self.given if is_pattern(one))
        self._exact = frozenset(self.given).difference(self._patterns)
        # One for all: a model's every turn looks at each tool of each server.
        self._any = re.compile("|".join(translate(one) for one in self._patterns)) if self._patterns else None

    def __contains__(self, name: str) -> bool:
        """Return whether it is one of the names, or fits one of the patterns."""
        return name in self._exact or (self._any is not None and self._any.match(name) is not None)

    @property
    def exact(self) -> tuple[str, ...]:
        """Return those that are no patterns, in the order given."""
        return tuple(one for one in self.given if one in self._exact)

    def covers(self, other: Names) -> bool:
        """Return whether all that can ever be in another is in this as well.

        It may say no where that would have taken a proof, never yes where it is not so.
        """
        return all(self.covers_one(one) for one in other.given)

    def covers_one(self, given: str) -> bool:
        """Return whether all that a name or a pattern stands for is in this."""
        if not is_pattern(given):
            return given in self
        # A `*` takes another pattern whole, wildcards and all; a `?` would take its `*` for one character.
        stars = (one for one in self._patterns if "?" not in one and "[" not in one)
        return given in self._patterns or any(fnmatchcase(given, one) for one in stars)

    def may_share(self, other: Names) -> bool:
        """Return whether something can be in both. It may say yes of two patterns where it is not so."""
        if self._patterns and other._patterns:
            return True
        return any(one in other for one in self.exact) or any(one in self for one in other.exact)


def is_pattern(given: str) -> bool:
    """Return whether it stands for more than one name."""
    return _WILD.search(given) is not None


def may_fit(given: str, others: Iterable[str]) -> bool:
    """Return whether there can be a name that fits this one and one of the others, all names or patterns.

    Of two patterns what they begin with is compared: it may say yes where it is not so.
    """
    begins = _WILD.split(given, maxsplit=1)[0]
    return any(
        fnmatchcase(other, given)
        or fnmatchcase(given, other)
        or (is_pattern(given) and is_pattern(other) and _begin_alike(begins, _WILD.split(other, maxsplit=1)[0]))
        for other in others
    )


def _begin_alike(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
