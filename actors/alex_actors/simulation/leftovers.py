"""How much there is in an object's tables: what should be the same when all work is done as before it began."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized

PACKAGE = "alex_"
DEEPEST = 3
"""How deep objects within objects are looked into."""


def sizes_of(objects: Mapping[str, object]) -> dict[str, int]:
    """Return the size of each container in each object's attributes, and in those of their parts, by path."""
    return {path: size for name, one in objects.items() for path, size in _sizes(name, one, DEEPEST)}


def _sizes(path: str, one: object, depth: int) -> Iterator[tuple[str, int]]:
    for name, value in getattr(one, "__dict__", {}).items():
        here = f"{path}.{name}"
        if isinstance(value, Sized) and not isinstance(value, str | bytes):
            yield here, len(value)
        elif depth and _is_part(value):
            yield from _sizes(here, value, depth - 1)


def _is_part(value: object) -> bool:
    """Whether it is a part of the object that holds it, and not something that it was given from outside."""
    module = type(value).__module__
    return module.startswith(PACKAGE) and not module.startswith(f"{PACKAGE}actors.simulation")
