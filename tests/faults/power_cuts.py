"""What a disk has after a power cut: all that was synced, and of the rest whatever the disk came to.

The journal is the shim's (shim.c). Of what was written to a file and not synced after it, any part may be there,
by sectors of 512 bytes, in any order: that is what disks and file systems promise, and SQLite relies on. Of the
names that were made, renamed and removed in a directory that was not synced after it, any number of the first may.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

HEADER = struct.Struct("<IIQQQ")
SECTOR = 512


class Kind(IntEnum):
    """What was done; the shim has the same numbers."""

    WRITE = 1
    TRUNCATE = 2
    SYNC = 3
    CREATE = 4
    UNLINK = 5
    RENAME = 6
    SYNC_DIRECTORY = 7


class Record(NamedTuple):
    """A record of the journal. ``end`` is where the next one begins."""

    kind: Kind
    inode: int
    path: str
    offset: int
    data: bytes
    end: int


def read_journal(path: Path) -> Iterator[Record]:
    """Give the whole records of a journal."""
    journal = path.read_bytes()
    at = 0
    while at + HEADER.size <= len(journal):
        kind, path_length, inode, offset, data_length = HEADER.unpack_from(journal, at)
        names = at + HEADER.size
        end = names + path_length + data_length
        if end > len(journal):
            return
        name = journal[names : names + path_length].decode()
        yield Record(Kind(kind), inode, name, offset, journal[names + path_length : end], end)
        at = end


class _File:
    """What a file has for certain, and what was done to it since."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.since: list[Record] = []

    def sync(self) -> None:
        for record in self.since:
            _apply(self.synced, record)
        self.since.clear()

    def after_cut(self, chance: random.Random) -> bytes:
        """Return what a power cut may leave of it."""
        content = bytearray(self.synced)
        kept = chance.choice([0.0, 0.5, 0.9, 1.0])
        whole = chance.randint(0, len(self.since)) if chance.random() < 0.5 else len(self.since)
        for record in self.since[:whole]:
            for sector in _sectors(record):
                if chance.random() < kept:
                    _apply(content, sector)
        return bytes(content)


def _apply(content: bytearray, record: Record) -> None:
    if record.kind is Kind.TRUNCATE:
        del content[record.offset :]
        content.extend(bytes(record.offset - len(content)))
    else:
        content.extend(bytes(max(0, record.offset - len(content))))
        content[record.offset : record.offset + len(record.data)] = record.data


def _sectors(record: Record) -> Iterator[Record]:
    """Split a write where sectors begin. Nothing else that is in a sector is harmed by a write to a part of it."""
    if record.kind is Kind.TRUNCATE:
        yield record
        return
    at, end = record.offset, record.offset + len(record.data)
    while at < end:
        until = min(end, (at // SECTOR + 1) * SECTOR)
        yield record._replace(offset=at, data=record.data[at - record.offset : until - record.offset])
        at = until


class Disk:
    """The files of one directory, as the journal has them up to some moment."""

    def __init__(self) -> None:
        self._by_inode: dict[int, _File] = {}
        self._names: dict[str, _File] = {}
        self._synced_names: dict[str, _File] = {}
        self._renamed_since: list[dict[str, _File]] = []
        """The names after each change since the directory was synced."""

    def take(self, record: Record) -> None:
        """Go on by one record."""
        match record.kind:
            case Kind.WRITE | Kind.TRUNCATE:
                self._by_inode[record.inode].since.append(record)
            case Kind.SYNC:
                self._by_inode[record.inode].sync()
            case Kind.CREATE:
                self._by_inode[record.inode] = file = _File()
                self._rename({**self._names, record.path: file})
            case Kind.UNLINK:
                self._rename({name: file for name, file in self._names.items() if name != record.path})
            case Kind.RENAME:
                others = {name: file for name, file in self._names.items() if name != record.path}
                self._rename({**others, record.data.decode(): self._names[record.path]})
            case Kind.SYNC_DIRECTORY:
                self._synced_names = self._names
                self._renamed_since.clear()

    def _rename(self, names: dict[str, _File]) -> None:
        self._names = names
        self._renamed_since.append(names)

    def write_after_cut(self, directory: Path, chance: random.Random) -> None:
        """Write what a power cut at this moment may leave into a directory that is there."""
        names = chance.choice([self._synced_names, *self._renamed_since])
        for name, file in names.items():
            (directory / Path(name).name).write_bytes(file.after_cut(chance))
