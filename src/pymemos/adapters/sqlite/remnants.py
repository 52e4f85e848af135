"""The search of every byte: which of very many short windows stand in some bytes, or in any file of a folder.

Run as a program it is the child process that searches a store: a process that has a database open must not open its
file by other means, for closing that would drop SQLite's locks. Hence this module imports nothing of ours.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

WINDOW = 16  # bytes that are compared: two words
PIECE = WINDOW + 7  # bytes of which one window lies on a multiple of eight, wherever they stand in a file
STRIDE = 32  # from piece to piece of a text, so that any 54 bytes in a row of it hold a whole one
WIDE = 128  # from piece to piece of a vector
_PLAIN = 8  # a window with fewer different bytes, such as zeros of a vector, is no sign of anything

_BLOCK = 1 << 18  # bytes that are searched at a time: what is made of them stays in the cache
_BITS = 24  # at most, of the tables that sort places out: 2 MiB each
_SPARSE = 6  # bits more than there are words: one place in 64 passes that should not
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)

Words = NDArray[np.uint64]


def pieces(data: bytes, stride: int = STRIDE) -> Iterator[bytes]:
    """Pieces of ``data`` from its beginning to its end."""
    if len(data) >= PIECE:
        for start in (*range(0, len(data) - PIECE, stride), len(data) - PIECE):
            yield data[start : start + PIECE]


class Needles:
    """Windows to search for, all at once."""

    def __init__(self, words: Words) -> None:
        keys = _mixed(words[:, 0], words[:, 1])
        self._keys, places = np.unique(keys, return_index=True)
        self._words = words[places]
        self._by_word = _Sieve(self._words[:, 0])
        self._by_both = _Sieve(self._keys)

    @classmethod
    def of_windows(cls, windows: Iterable[bytes]) -> Self:
        """Search for these."""
        return cls(np.frombuffer(b"".join(windows), "<u8").reshape(-1, 2))

    @classmethod
    def of_pieces(cls, joined: bytes) -> Self:
        """Search for every window of some pieces, one behind the other; one of each lies on a multiple of eight."""
        whole = np.frombuffer(joined, np.uint8).reshape(-1, PIECE)
        windows = np.concatenate([whole[:, shift : shift + WINDOW] for shift in range(8)])
        different = 1 + (np.diff(np.sort(windows, axis=1), axis=1) != 0).sum(axis=1)
        telling = np.ascontiguousarray(windows[different >= _PLAIN])
        return cls(telling.view("<u8").reshape(-1, 2))

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, place: int) -> bytes:
        return bytes(self._words[place].tobytes())

    def found_in(self, data: bytes) -> NDArray[np.int64]:
        """Which of them stand in ``data``, at any place of it."""
        found = [self.found_on_words(data, shift) for shift in range(8)]
        return np.unique(np.concatenate(found))

    def found_on_words(self, data: bytes, shift: int = 0) -> NDArray[np.int64]:
        """The same at every eighth place, from ``shift`` on."""
        count = (len(data) - shift) // 8
        if count < 2 or not len(self):
            return np.empty(0, np.int64)
        words = np.frombuffer(data, "<u8", count, shift)
        maybe = self._by_word.passed(words[:-1])
        keys = _mixed(words[maybe], words[maybe + 1])
        again = self._by_both.passed(keys)
        maybe, keys = maybe[again], keys[again]
        places = np.minimum(np.searchsorted(self._keys, keys), len(self) - 1)
        same = (self._words[places, 0] == words[maybe]) & (self._words[places, 1] == words[maybe + 1])
        return np.unique(places[same])


class _Sieve:
    """A table of bits that lets pass whatever may be one of some words, and little else."""

    def __init__(self, words: Words) -> None:
        bits = min(len(words).bit_length() + _SPARSE, _BITS)
        self._shift = np.uint64(64 - bits)
        held = np.zeros(1 << bits, np.bool_)
        held[self._slots(words)] = True
        self._table = np.packbits(held, bitorder="little")

    def passed(self, words: Words) -> NDArray[np.int64]:
        """Which of ``words`` may be among them."""
        slots = self._slots(words)
        bits = self._table.take(slots >> 3, mode="clip") >> (slots & 7).astype(np.uint8)
        return np.flatnonzero(bits & np.uint8(1))

    def _slots(self, words: Words) -> NDArray[np.int64]:
        return ((words * _MULTIPLIER) >> self._shift).view(np.int64)


class Searched(NamedTuple):
    """What a search of a folder found: windows, how many files, how many bytes."""

    found: list[bytes]
    files: int
    bytes: int


def search(home: Path, wanted: Collection[bytes], *, skip: Collection[str]) -> Searched:
    """Search every file of ``home`` for pieces, in a process of its own; ``skip`` are names of files to leave out."""
    head = json.dumps({"home": str(home), "skip": sorted(skip)}).encode() + b"\n"
    program = [sys.executable, "-P", __file__]
    done = subprocess.run(program, input=head + b"".join(wanted), capture_output=True, check=True)  # noqa: S603
    told: dict[str, Any] = json.loads(done.stdout)
    return Searched([bytes.fromhex(window) for window in told["found"]], told["files"], told["bytes"])


def _mixed(first: Words, second: Words) -> Words:
    mixed: Words = (first * _MULTIPLIER) ^ ((second * _SECOND) >> np.uint64(7)) ^ (second * _MULTIPLIER)
    return mixed


def _search_files(home: Path, needles: Needles, skip: Collection[str]) -> Searched:
    found: set[int] = set()
    files = size = 0
    for path in sorted(home.rglob("*")):
        if path.name in skip or not path.is_file():
            continue
        files += 1
        with path.open("rb") as file:
            rest = b""
            while block := file.read(_BLOCK):
                size += len(block)
                found.update(needles.found_on_words(rest + block).tolist())
                rest = block[-8:]
    return Searched([needles[place] for place in sorted(found)], files, size)


def main() -> None:
    """Read what to search for from stdin, and print what was found."""
    asked = json.loads(sys.stdin.buffer.readline())
    wanted = Needles.of_pieces(sys.stdin.buffer.read())
    done = _search_files(Path(asked["home"]), wanted, frozenset(asked["skip"]))
    print(json.dumps({"found": [window.hex() for window in done.found], "files": done.files, "bytes": done.bytes}))


if __name__ == "__main__":
    main()
