"""What tests do with engines: read an answer whole, chain segments, send one through a file, and damage a file."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pymemos.ports import Engine, Kv, Piece, SegmentAbout, Usage

ABOUT: Final = SegmentAbout(namespace="users/ana")


def said(pieces: Iterator[Piece]) -> tuple[str, str, Usage]:
    """The whole text of an answer, why it ended, and what it cost."""
    *_, last = every = list(pieces)
    assert last.finish is not None
    assert last.usage is not None
    assert all(piece.finish is None and piece.usage is None for piece in every[:-1])
    return "".join(piece.text for piece in every), last.finish, last.usage


def chained(engine: Engine, pieces: Sequence[Sequence[int]]) -> list[Kv]:
    """A segment for each piece, each after those before it."""
    chain: list[Kv] = []
    for piece in pieces:
        chain.append(engine.prefill(piece, prefix=chain))
    return chain


def stored(engine: Engine, kv: Kv, about: SegmentAbout = ABOUT) -> Kv:
    """A segment after a way through a file."""
    return engine.load(memoryview(engine.dump(kv, about).read()), about, kv.tokens, kv.start)


def mutated(file: bytes, other: bytes, dice: random.Random) -> bytes:
    """A file that something happened to: ``other`` is one of another model, of the same shapes."""
    return dice.choice(_MUTATIONS)(file, other, dice)


def _flip(file: bytes, _: bytes, dice: random.Random) -> bytes:
    mutant = bytearray(file)
    for _flipped in range(dice.randint(1, 8)):
        mutant[dice.randrange(len(mutant))] ^= 1 << dice.randrange(8)
    return bytes(mutant)


def _flip_header(file: bytes, other: bytes, dice: random.Random) -> bytes:
    length = 8 + int.from_bytes(file[:8], "little")
    return _flip(file[:length], other, dice) + file[length:]


def _truncate(file: bytes, _: bytes, dice: random.Random) -> bytes:
    return file[: dice.randrange(len(file))]


def _extend(file: bytes, _: bytes, dice: random.Random) -> bytes:
    return file + dice.randbytes(dice.randint(1, 64))


def _declare(file: bytes, _: bytes, dice: random.Random) -> bytes:
    """A header of another length, up to the largest that can be said."""
    length = dice.choice([0, 1, 2**31, 2**63, 2**64 - 1, len(file) - 8, len(file), dice.randrange(2**64)])
    return length.to_bytes(8, "little") + file[8:]


def _digits(file: bytes, _: bytes, dice: random.Random) -> bytes:
    """A header in which a number has become another one, of the same length or longer."""
    length = 8 + int.from_bytes(file[:8], "little")
    header = bytearray(file[8:length].rstrip(b" "))
    places = [place for place, byte in enumerate(header) if byte in b"0123456789"]
    place = dice.choice(places)
    header[place : place + 1] = str(dice.choice([dice.randrange(10), 2**40, 2**70])).encode()
    return len(header).to_bytes(8, "little") + bytes(header) + file[length:]


def _swap_names(file: bytes, _: bytes, dice: random.Random) -> bytes:
    """A header in which two names have changed places, or one stands twice."""
    length = 8 + int.from_bytes(file[:8], "little")
    header = file[8:length]
    words = sorted({word for word in header.split(b'"') if word.isascii() and len(word) > 2})
    one, two = dice.sample(words, 2)
    if dice.random() < 0.5:
        header = header.replace(b'"%s"' % one, b'"%s"' % two)
    else:
        header = header.replace(b'"%s"' % one, b'"\0"').replace(b'"%s"' % two, b'"%s"' % one)
        header = header.replace(b'"\0"', b'"%s"' % two)
    return len(header).to_bytes(8, "little") + header + file[length:]


def _swap_data(file: bytes, _: bytes, dice: random.Random) -> bytes:
    """Data of which two stretches have changed places."""
    length = 8 + int.from_bytes(file[:8], "little")
    data = file[length:]
    size = dice.randint(1, len(data) // 2)
    return file[:length] + data[size : 2 * size] + data[:size] + data[2 * size :]


def _splice(file: bytes, other: bytes, dice: random.Random) -> bytes:
    """This model's header on the other's data, the other way round, or the other's file."""
    length = 8 + int.from_bytes(file[:8], "little")
    return dice.choice([file[:length] + other[length:], other[:length] + file[length:], other])


def _nest(file: bytes, _: bytes, dice: random.Random) -> bytes:
    """A header that is JSON of another kind, perhaps very deep."""
    depth = dice.choice([1, 10, 100_000])
    header = dice.choice([b"[" * depth, b'{"a":' * depth + b"1" + b"}" * depth, b"null", b'"x"', b"", b'{"a":{}}'])
    return len(header).to_bytes(8, "little") + header + file[8:]


_MUTATIONS: Final[list[Callable[[bytes, bytes, random.Random], bytes]]] = [
    _flip, _flip_header, _truncate, _extend, _declare, _digits, _swap_names, _swap_data, _splice, _nest,
]  # fmt: skip
