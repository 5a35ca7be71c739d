"""Typed messages between actors: a message names its addressee and its answer in its base class.

A wrong addressee, a missing timeout, a wrong answer and a forgotten case are type errors.
"""

from __future__ import annotations

from typing import TypeVar

import pykka

A = TypeVar("A", bound=pykka.Actor)
R = TypeVar("R")
