"""Tokens: who may come in, as whom, to do what. One file, which the command line writes and the server reads."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import hmac
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Meta

from alex_actors.values import Owner, timestamp

Scope: TypeAlias = Literal["read", "write", "admin"]
"""What a token is good for; each includes those before it."""

NAME_PATTERN = r"[A-Za-z0-9._@-]{1,64}"
"""A name of a token or an owner. Match it to both ends."""

ID_BYTES, SECRET_BYTES = 6, 32

_ID_PATTERN = r"[0-9a-f]{12}"
_TOKEN = re.compile(rf"alex_({_ID_PATTERN})_([0-9a-f]{{64}})")
_NOBODY = "0" * 64
"""What a token whose ID is unknown is compared with, so that it takes as long as another."""

_Name = Annotated[str, Meta(pattern=rf"\A{NAME_PATTERN}\Z")]

LOOK = 1.0
"""Seconds between two looks at the file for the open streams, which ask for each of their frames."""


class TokensError(Exception):
    """The tokens cannot be read, or not be changed as asked for; the text says why, and what to do."""


class Token(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of a token: all but its secret.

    ``sha256`` is that of the secret, in hexadecimal. A slow hash is for passwords, which people choose: the 256
    random bits of a secret are not found by trying, however fast that is.
    """

    id: Annotated[str, Meta(pattern=rf"\A{_ID_PATTERN}\Z")]
    name: _Name
    owner: _Name
    scope: Scope
    created_at: str
    revoked_at: str | None
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: Literal[1]
    tokens: list[Token]


class Found(NamedTuple):
    """What the file says now."""

    stamp: tuple[int, int, int] | None
    """Which version of the file it was; None if there was none, or it could not be opened."""
    tokens: Mapping[str, Token]
    """By ID. While there is trouble, those of before."""
    trouble: str = ""
    """Why nobody may come in."""

    def verified(self, text: str) -> Token | None:
        """Return the token whose text this is, be it revoked or not."""
        match = _TOKEN.fullmatch(text)
        if match is None:
            return None
        token = self.tokens.get(match[1])
        sha256 = hashlib.sha256(match[2].encode("ascii")).hexdigest()
        same = hmac.compare_digest(sha256, _NOBODY if token is None else token.sha256)
        return token if same else None


class Tokens:
    """The tokens as a running server sees them: at once when the file changes, which it looks at for each request.

    That takes one system call, and no thread. From any thread, without a lock: what was found is replaced whole,
    and two threads that read the same file at the same time find the same.

    As soon as there is a token, revoked or not, everybody needs one. A file that is damaged, or gone or without
    any although there were tokens, lets nobody in: see ``Found.trouble``. ``always`` if tokens are needed though
    none is there; ``now`` is seconds that never go back.
    """

    def __init__(self, path: Path, *, always: bool, now: Callable[[], float]) -> None:
        self._path = str(path)  # os.stat takes half the time for it
        self._always = always
        self._now = now
        self._found = Found(None, {})
        self._looked = now()

    def look(self) -> Found:
        """Return what the file says now."""
        found = self._found
        try:
            status = os.stat(self._path)  # noqa: PTH116 - see above
        except FileNotFoundError:
            status = None
        except OSError as error:
            return self._keep(Found(None, found.tokens, f"cannot be looked at ({error.strerror})"))
        if status is None:
            gone = bool(found.tokens or found.trouble)  # a file that was there: its end must open no door
            return self._keep(Found(None, found.tokens, "is gone" if gone else ""))
        if found.stamp == _stamp(status):
            return found
        try:
            stamp, content = _opened(Path(self._path))
        except OSError as error:
            return self._keep(Found(None, found.tokens, f"cannot be read ({error.strerror})"))
        try:
            tokens = _decoded(content)
        except TokensError as error:
            return self._keep(Found(stamp, found.tokens, str(error)))
        if found.tokens and not tokens:  # 'alex token' keeps those that are revoked: it did not write that
            return self._keep(Found(stamp, found.tokens, "has no tokens any more"))
        return self._keep(Found(stamp, MappingProxyType({token.id: token for token in tokens})))

    def needed(self, found: Found) -> bool:
        """Return whether nobody comes in without one."""
        return self._always or bool(found.tokens)

    def is_valid(self, token_id: str) -> bool:
        """Return whether who came in with a token (``""``: without one) may stay, as of a second ago at most."""
        now = self._now()
        if now >= self._looked + LOOK:
            self._looked = now
            self.look()
        found = self._found
        if not token_id:
            return not self.needed(found)
        token = found.tokens.get(token_id)
        return token is not None and token.revoked_at is None

    def _keep(self, found: Found) -> Found:
        self._found = found
        return found


def read_tokens(path: Path) -> Sequence[Token]:
    """Return all tokens of a file, in the order in which they were made; none if there is no file.

    Raises TokensError.
    """
    try:
        return _decoded(_opened(path)[1])
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        msg = f"The tokens cannot be read: {path} ({error.strerror}). Give this user access to it."
        raise TokensError(msg) from error
    except TokensError as error:
        msg = (
            f"The tokens cannot be read: {path} {error}. Put back a copy of it, or remove it and make new tokens;"
            " until then nobody can come in."
        )
        raise TokensError(msg) from error


class TokenFile:
    """The tokens as the command line changes them, while a server may run.

    ``random_hex`` returns as many random bytes as it is asked for, in hexadecimal. All raise TokensError.
    """

    def __init__(self, path: Path, *, now: Callable[[], datetime], random_hex: Callable[[int], str]) -> None:
        self._path = path
        self._now = now
        self._random_hex = random_hex

    def tokens(self) -> Sequence[Token]:
        """Return all tokens, in the order in which they were made."""
        return read_tokens(self._path)

    def create(self, *, name: str, owner: Owner, scope: Scope) -> tuple[Token, str]:
        """Make a token; return it, and its text, which is kept nowhere."""
        with self._locked():
            tokens = self.tokens()
            if any(token.name == name and token.revoked_at is None for token in tokens):
                raise TokensError(f"There is a token {name} already. Revoke it first, or choose another name.")
            ids = {token.id for token in tokens}
            while (token_id := self._random_hex(ID_BYTES)) in ids:
                pass
            secret = self._random_hex(SECRET_BYTES)
            token = Token(
                id=token_id,
                name=name,
                owner=owner,
                scope=scope,
                created_at=timestamp(self._now()),
                revoked_at=None,
                sha256=hashlib.sha256(secret.encode("ascii")).hexdigest(),
            )
            self._write([*tokens, token])
        return token, f"alex_{token_id}_{secret}"

    def revoke(self, name_or_id: str) -> Token:
        """Revoke a token, and return it as it is then. One that is revoked already stays as it is."""
        with self._locked():
            tokens = list(self.tokens())
            known = (
                [token for token in tokens if token.name == name_or_id and token.revoked_at is None]
                or [token for token in tokens if token.id == name_or_id]
                or [token for token in tokens if token.name == name_or_id]
            )
            if not known:
                raise TokensError(f"There is no token {name_or_id}. 'alex token list' shows those that there are.")
            token = known[-1]
            if token.revoked_at is None:
                index = tokens.index(token)
                token = tokens[index] = msgspec.structs.replace(token, revoked_at=timestamp(self._now()))
                self._write(tokens)
        return token

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep others who change tokens out meanwhile: of two who read and write at once one would be lost."""
        lock = self._path.with_suffix(".lock")
        try:
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._cannot_write(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, tokens: Sequence[Token]) -> None:
        """Replace the file whole, so that who reads it sees the old one or the new one, also after a power cut."""
        content = msgspec.json.format(msgspec.json.encode(_Content(1, list(tokens))), indent=2) + b"\n"
        new = self._path.with_suffix(".new")
        try:
            new.unlink(missing_ok=True)  # of one who was killed; its mode may be any
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            new.replace(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> TokensError:
        return TokensError(
            f"The tokens cannot be written: {self._path} ({error.strerror}). Give this user write access to it."
        )


def _opened(path: Path) -> tuple[tuple[int, int, int], bytes]:
    """Return a version of the file: which one it is, and its content. Raises OSError; waits for no pipe."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return _stamp(status), file.read()


def _stamp(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_mtime_ns, status.st_ino, status.st_size


_decode = msgspec.json.Decoder(_Content).decode


def _decoded(content: bytes) -> Sequence[Token]:
    """Return the tokens of a file. Raises TokensError, whose text goes on after its path."""
    try:
        tokens = _decode(content).tokens
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise TokensError("is damaged: it is not what 'alex token' writes") from None
    if len({token.id for token in tokens}) < len(tokens):
        raise TokensError("is damaged: two of its tokens have the same ID")
    return tokens
