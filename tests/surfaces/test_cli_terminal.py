"""What a person sees on a terminal: tables where they fit, blocks on a narrow one, and texts that steer nothing."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from pymemos import MemOS
from pymemos.surfaces.cli.show import Column, fits, printable

COLUMNS = [Column("when"), Column("who", ratio=1)]


@pytest.fixture
def seen(tmp_path):
    """Runs a command on a terminal of so many columns; gives the lines that it drew."""

    def run(width, *arguments):
        ours, theirs = pty.openpty()
        terminal = {**os.environ, "COLUMNS": str(width), "TERM": "xterm", "NO_COLOR": "1"}
        command = [sys.executable, "-m", "pymemos", *arguments, "--home", tmp_path / "s"]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=theirs, check=True, env=terminal)
        os.close(theirs)
        drawn = os.read(ours, 100_000).decode()
        os.close(ours)
        return re.sub(r"\x1b\[[0-9;]*m", "", drawn).split("\r\n")

    return run


@pytest.mark.parametrize("width", [20, 40, 80])
def test_nothing_is_lost_however_narrow_the_terminal(tmp_path, seen, width):
    with MemOS(tmp_path / "s") as mem:
        mem.search("tea", user_id="ann")
        [sweep] = mem.jobs()

    log, jobs = seen(width, "log", "--operation", "search", "--limit", "1"), seen(width, "jobs")

    assert max(map(len, log + jobs)) <= width
    for word in ("when", "who", "users/ann", "search"):
        assert word in "".join("".join(log).split())
    assert ("─" in "".join(jobs)) == (width == 80)
    if width < 80:
        assert sweep.id in "".join("".join(jobs).split())


@pytest.mark.parametrize(
    ("rows", "least"),
    [
        ([("20 columns in a table", "ann")], 21 + 3 + 3),
        ([("20 columns in a table", "so long that it wraps"), ("x", "y")], 21 + 3 + 12),
        ([("two\nlines", "")], 5 + 3 + 3),
        ([("你好你好", "")], 8 + 3 + 3),
    ],
)
def test_a_table_fits_where_each_cell_has_room(rows, least):
    assert [fits(COLUMNS, rows, width) for width in (least - 1, least)] == [False, True]


@pytest.mark.parametrize("character", ["\x1b", "\x9b", "\u202a", "\u202e", "\u2066", "\u2069"], ids=ascii)
def test_a_text_neither_steers_the_terminal_nor_turns_its_line_round(character):
    assert printable(f"a{character}b") == "a\ufffdb"


@pytest.mark.parametrize("character", ["\n", "\t", "é", "א\u200f", "\u200d", "\u2027", "\u202f", "\u2065"], ids=ascii)
def test_what_texts_need_is_left_to_them(character):
    assert printable(f"a{character}b") == f"a{character}b"
