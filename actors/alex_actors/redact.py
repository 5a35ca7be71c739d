"""Takes secrets out of values before they are recorded or logged.

It finds secrets by the names of their keys and by their shapes, and those that this process itself was given, by
their values. It is a safety net: somebody else's secret that looks like any other text, under a key that names
none, goes through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

REDACTED = "[redacted]"

_DEEPEST = 100
"""Levels of nesting; what lies deeper is replaced whole, so that no value can exhaust the stack."""

_LONGEST_KEY = 100
"""Characters of a key that are looked at; also bounds what the cache below can hold."""

_SHORTEST_SECRET = 12
"""Characters; in shorter strings no shape is looked for, but that of a URL's password, which may be of one."""

_SHORTEST_OWN = 8
"""Characters of a variable's value that is taken for a secret."""

_SCALARS = frozenset({int, float, bool, type(None)})

# Names are compared in lower case without separators: X-Api-Key, api_key and apiKey are one. A name that only
# counts tokens (max_tokens, total_tokens, tokens_used) is none of these.
_SECRET_NAME = re.compile(
    r"password|passwd|passphrase|passcode|^pwd$|^auth$"
    r"|secret(?!ar)|credential|authorization|cookie"
    r"|(?:api|access|private|secret|signing|encryption|ssh|auth|master)keys?(?:id|value)?$"
    r"|(?<!max)(?<!min)(?<!next)(?<!total)(?<!per)token(?:value)?$"
    r"|(?:api|access|auth|bearer|refresh|session|id)tokens$"
)
_SEPARATORS = str.maketrans("", "", " _-.:/")

# Names of environment variables. Where a key is kept is no secret.
_SECRET_VARIABLE = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL", re.IGNORECASE)
_PLACE = re.compile(r"_(?:FILE|PATH|DIR)$", re.IGNORECASE)

# Every quantifier is possessive or bounded by what follows it, and no match that fails late can begin at many
# places of the same text: so matching is linear in the text.
BEARER = re.compile(  # a digit or a length that no word has: "basic information" is no secret
    r"\b(bearer|basic)(\s++)(?:(?=[A-Za-z._~+/=-]*+[0-9])[A-Za-z0-9._~+/=-]{8,}+|[A-Za-z._~+/=-]{24,}+)",
    re.IGNORECASE,
)
_DASHED = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-[A-Za-z0-9_-]{16,}+"  # OpenAI, Anthropic and those who took their form
    r"|xox[a-z]-[A-Za-z0-9-]{10,}+"  # Slack
    r"|xapp-[A-Za-z0-9-]{10,}+"
    r"|glpat-[A-Za-z0-9_-]{16,}+"  # GitLab
    r")"
)
_UNDERSCORED = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"gh[pousr]_[A-Za-z0-9]{20,}+|github_pat_[A-Za-z0-9_]{20,}+"
    r"|(?:sk|rk)_(?:live|test)_[A-Za-z0-9]{10,}+"  # Stripe
    r"|hf_[A-Za-z0-9]{20,}+"  # Hugging Face
    r"|alex_[0-9a-f]{12}_[0-9a-f]{16,}+"  # this server's own
    r")"
)
_AWS = re.compile(r"(?<![A-Za-z0-9])A[KS]IA[A-Z0-9]{16}(?![A-Za-z0-9])")
_GOOGLE = re.compile(r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{30,}+")
# It begins at what stands before the token, as in "jwt_eyJ…", and looks first whether a dot ends that: else each
# of many "-eyJ" would be followed to the end of the text.
_JWT = re.compile(
    r"(?<![A-Za-z0-9_-])(?=[A-Za-z0-9_-]++\.[A-Za-z0-9_-]{8})((?:[A-Za-z0-9]*+[_-])*?)"
    r"eyJ[A-Za-z0-9_-]{8,}+\.[A-Za-z0-9_-]{8,}+(?:\.[A-Za-z0-9_-]*+)?"
)
PEM_BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]++ ){0,4}PRIVATE KEY(?: BLOCK)?-----")
PEM_END = re.compile(r"-----END (?:[A-Z0-9]++ ){0,4}PRIVATE KEY(?: BLOCK)?-----")
_URL_PASSWORD = re.compile(r"(://[^\s/@:?#]{0,256}:)[^\s/@?#]{1,1024}+@")


class Redactor:
    """Redacts what looks like a secret, and the values of ``secrets`` wherever they are in a text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        # The longest first: one may be a part of another.
        self._secrets = tuple(sorted({*secrets}, key=len, reverse=True))
        self._in_json = tuple(msgspec.json.encode(secret)[1:-1] for secret in self._secrets)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return those that it knows, in the order in which it replaces them."""
        return self._secrets

    @classmethod
    def of_environment(cls, environ: Mapping[str, str]) -> Redactor:
        """Return one that knows the values of variables whose names are those of secrets.

        Values of less than 8 characters are none: they would be found in ordinary words.
        """
        return cls(
            value
            for name, value in environ.items()
            if len(value) >= _SHORTEST_OWN and _SECRET_VARIABLE.search(name) and not _PLACE.search(name)
        )

    def redact(self, value: Any) -> Any:  # JSON-like in, the same shape out
        """Return a copy of a JSON-like value in which secrets are replaced by ``[redacted]``.

        Under a key that names a secret, everything but None and booleans is replaced whole. In strings, the
        secrets that are known and the shapes of well-known keys and tokens are. Tuples become lists; values of
        other types are returned as they are. Never raises.
        """
        return self._redact(value, _DEEPEST)

    def text(self, text: str) -> str:
        """Return a text without its secrets."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        return _redact_text(text) if len(text) >= _SHORTEST_SECRET or "@" in text else text

    def body(self, body: bytes) -> bytes:
        """Return JSON without the secrets that are known; the same object if it has none.

        Shapes stay, and the outermost keys: these are the fields of a record.
        """
        if not any(secret in body for secret in self._in_json):
            return body
        value = msgspec.json.decode(body)
        if isinstance(value, dict):
            return msgspec.json.encode({key: self._without_own(item) for key, item in value.items()})
        return msgspec.json.encode(self._without_own(value))

    def _without_own(self, value: Any) -> Any:  # JSON, as decoded: no deeper than msgspec takes it
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, REDACTED)
            return value
        if isinstance(value, dict):
            return {self._without_own(key): self._without_own(item) for key, item in value.items()}
        return [self._without_own(item) for item in value] if isinstance(value, list) else value

    def is_harmless(self, fields: Mapping[str, object], *, trusted: frozenset[str]) -> bool:
        """Return whether ``fields`` holds nothing but JSON's scalars, and ``redact`` would find no secret in it.

        Texts under ``trusted`` keys count as none. A quarter of the cost of ``redact``, for what is seldom more.
        """
        if _names_a_secret(tuple(fields)):
            return False
        for key, value in fields.items():
            if isinstance(value, str):
                if len(value) >= _SHORTEST_OWN and key not in trusted and self.text(value) != value:
                    return False
            elif type(value) not in _SCALARS:
                return False
        return True

    def _redact(self, value: Any, levels: int) -> Any:  # as redact()
        if isinstance(value, str):
            return self.text(value) if len(value) >= _SHORTEST_OWN else value
        if isinstance(value, Mapping):
            return self._redact_mapping(value, levels - 1) if levels else REDACTED
        if isinstance(value, list | tuple):
            return [self._redact(item, levels - 1) for item in value] if levels else REDACTED
        return value

    def _redact_mapping(self, values: Mapping[Any, Any], levels: int) -> dict[Any, Any]:  # JSON-like, see redact()
        redacted = {}
        for key, item in values.items():
            kind = type(item)
            if item is None or kind is bool:
                redacted[key] = item
            elif type(key) is str and _is_secret_name(key if len(key) <= _LONGEST_KEY else key[-_LONGEST_KEY:]):
                redacted[key] = REDACTED
            elif kind is str:  # here as well as in _redact: it saves a call for most values of most log lines
                redacted[key] = self.text(item) if len(item) >= _SHORTEST_OWN else item
            elif kind is int or kind is float:
                redacted[key] = item
            else:
                redacted[key] = self._redact(item, levels)
        return redacted


NO_SECRETS = Redactor()
"""Knows no secret by its value."""


def redact(value: Any) -> Any:  # JSON-like in, the same shape out
    """Return a copy of a JSON-like value without what looks like a secret; see ``Redactor.redact``."""
    return NO_SECRETS.redact(value)


@lru_cache(maxsize=2048)  # a search costs 1 to 2 µs, a hit 0.05 µs; the names in use are few
def _is_secret_name(key: str) -> bool:
    return _SECRET_NAME.search(key.translate(_SEPARATORS).lower()) is not None


@lru_cache(maxsize=512)  # the fields of an event are the same each time
def _names_a_secret(keys: tuple[str, ...]) -> bool:
    return any(_is_secret_name(key[-_LONGEST_KEY:]) for key in keys)


def _redact_text(text: str) -> str:
    """Replace secrets by their shapes. ``in`` is ten times as fast as a regex, so it decides which ones run."""
    if "-" in text:
        text = _redact_dashed(text)
    if "_" in text and ("gh" in text or "k_" in text or "hf_" in text or "pat_" in text or "alex_" in text):
        text = _UNDERSCORED.sub(REDACTED, text)
    if "IA" in text:
        text = _AWS.sub(REDACTED, text)
    if "AIza" in text:
        text = _GOOGLE.sub(REDACTED, text)
    if "eyJ" in text:
        text = _JWT.sub(rf"\1{REDACTED}", text)
    if "@" in text and "://" in text:
        text = _URL_PASSWORD.sub(rf"\1{REDACTED}@", text)
    lower = text.lower()
    if "bearer" in lower or "basic" in lower:
        text = BEARER.sub(rf"\1\2{REDACTED}", text)
    return text


def _redact_dashed(text: str) -> str:
    # A key does not begin within a word, and the word before most dashes here is that of a task's ID.
    if "sk-" in text.replace("task-", "") or "xox" in text or "xapp-" in text or "glpat-" in text:
        text = _DASHED.sub(REDACTED, text)
    return _redact_private_keys(text) if "-----BEGIN " in text else text


def _redact_private_keys(text: str) -> str:
    """Replace PEM private keys; one without an end reaches to the end of the text."""
    pieces: list[str] = []
    position = 0
    while begin := PEM_BEGIN.search(text, position):
        end = PEM_END.search(text, begin.end())
        pieces += (text[position : begin.start()], REDACTED)
        position = end.end() if end else len(text)
    return "".join((*pieces, text[position:]))
