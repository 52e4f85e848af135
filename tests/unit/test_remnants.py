"""The search of every byte: a piece is found wherever it stands, and nothing else is."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from pymemos.adapters.sqlite.connection import connect
from pymemos.adapters.sqlite.leaves import first_term, rename
from pymemos.adapters.sqlite.remnants import PIECE, STRIDE, WINDOW, Needles, pieces, search

BLOCK = 1 << 18


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311 (no secret)


def test_pieces_cover_a_text_from_its_beginning_to_its_end():
    text = noise(100)

    found = list(pieces(text))

    assert [text.index(piece) for piece in found] == [0, STRIDE, 2 * STRIDE, 100 - PIECE]
    assert list(pieces(text[: PIECE - 1])) == []
    assert list(pieces(text[:PIECE])) == [text[:PIECE]]


@pytest.mark.parametrize("at", [0, 1, 7, 8, 4_097, BLOCK - 30, BLOCK - 12, BLOCK - 1, BLOCK + 3, 2 * BLOCK])
def test_a_piece_is_found_at_any_place_of_a_file(tmp_path: Path, at: int):
    piece, other = noise(PIECE, 2), noise(PIECE, 3)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(noise(at, 4) + piece + noise(99, 5))

    done = search(tmp_path, {piece, other}, skip=())

    assert (done.files, done.bytes) == (1, at + PIECE + 99)
    assert done.found
    assert all(len(window) == WINDOW and window in piece for window in done.found)


def test_a_file_that_is_named_is_left_out(tmp_path: Path):
    piece = noise(PIECE)
    (tmp_path / "blob").write_bytes(piece)

    assert search(tmp_path, {piece}, skip=["blob"]) == ([], 0, 0)
    assert len(search(tmp_path, {piece}, skip=[]).found) == 1


def test_windows_are_found_at_any_place_of_some_bytes():
    windows = [noise(WINDOW, seed) for seed in range(100)]
    needles = Needles.of_windows(windows)
    data = noise(333, 1007) + windows[3] + noise(5, 1008) + windows[50]

    assert {needles[place] for place in needles.found_in(data)} == {windows[3], windows[50]}
    assert len(needles.found_in(b"short")) == 0
    assert len(Needles.of_windows([]).found_in(data)) == 0


def test_zeros_are_no_sign_of_anything():
    assert len(Needles.of_pieces(bytes(PIECE))) == 0


def test_a_leaf_is_named_by_a_term_that_it_holds(tmp_path: Path):
    connection = connect(tmp_path / "index.db", create=True)
    connection.execute("CREATE VIRTUAL TABLE x USING fts5 (t, content = '', contentless_delete = 0, columnsize = 0)")
    connection.execute("INSERT INTO x (x, rank) VALUES ('secure-delete', 1)")
    connection.execute("INSERT INTO x (x, rank) VALUES ('pgsz', 64)")
    words = [f"word{n:03}" for n in range(200)]
    connection.execute("BEGIN")
    for row, word in enumerate(words, start=1):
        connection.execute("INSERT INTO x (rowid, t) VALUES (?, ?)", (row, word))
    connection.execute("COMMIT")
    gone = words[::2]
    for word in gone:
        connection.execute("INSERT INTO x (x, rowid, t) VALUES ('delete', ?, ?)", (words.index(word) + 1, word))
    names = [bytes(row[0]) for row in connection.execute("SELECT term FROM x_idx")]
    assert any(name[1:].decode() in gone for name in names)

    assert rename(connection, "x", gone)

    names = [bytes(row[0]) for row in connection.execute("SELECT term FROM x_idx")]
    assert [name for name in names if name[1:].decode() in gone] == []
    for word in words:
        found = connection.execute("SELECT rowid FROM x WHERE x MATCH ?", (word,)).fetchall()
        assert found == ([] if word in gone else [(words.index(word) + 1,)])
    connection.close()


def test_what_is_no_leaf_has_no_first_term():
    assert first_term(None) is None
    assert first_term(b"\0\0\0\4") is None
