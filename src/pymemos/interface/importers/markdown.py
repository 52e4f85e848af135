"""A folder of Markdown notes: each note is split at its headings into passages that say where they stand.

A passage is known by the note's path in the folder and the path of its headings, so it keeps its identity while its
text changes, and while other passages come and go.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec

from pymemos.cube.header import SemanticType
from pymemos.errors import InvalidInput, MalformedRecord
from pymemos.interface.arguments import NAME_LIMIT, check_time
from pymemos.interface.importers.session import Broken, Session, Source, attempt
from pymemos.interface.requests import Message

SUFFIXES = (".md", ".markdown")
NOTE_BYTES = 16 << 20  # ours: a larger file is no note
PASSAGE_LENGTH = 3_000  # ours: characters, about the 800 tokens of a small block for a prompt

_LEVELS = 6
_FENCE = re.compile(r" {0,3}(`{3,}(?=[^`]*$)|~{3,})")
_PARAGRAPH = re.compile(r" {0,3}(?!\d+[.)])[^\s#>|+*=-]")  # the beginning of a line that underlining makes a heading
_BETWEEN_WORDS = re.compile(r"[\W_]+")


class Section(NamedTuple):
    """The lines under a heading, and the headings above them."""

    headings: tuple[str, ...]
    lines: list[str]


def read(folder: Path, *, collection: str) -> Source:
    """The notes of a folder and the folders in it, in order of their paths; hidden ones are left out."""
    if not folder.is_dir():
        raise InvalidInput(f"{folder} is no folder; name the folder that holds the notes")
    closed: list[OSError] = []
    files = sorted(_files(folder, closed))
    if not files:  # also a disk that is not there: nothing may look deleted then
        raise InvalidInput(f"{folder} holds no notes; their names end in {' or '.join(SUFFIXES)}")
    notes = (attempt(_place(folder, file), partial(_note, folder, file, collection)) for file in files)
    unread = (Broken(where=_place(folder, Path(one.filename)), reason=_cannot(one)) for one in closed)
    return Source(total=len(files) + len(closed), sessions=chain(notes, unread))


def parse_note(data: bytes, *, path: str, collection: str, modified: datetime) -> Session:
    """A note as the session of its passages."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MalformedRecord(f"not UTF-8 at byte {error.start}; save it as UTF-8") from error
    front, lines = _front_matter(text.replace("\r\n", "\n").split("\n"))
    title = front.get("title") or PurePosixPath(path).stem
    date, tags = _date(front.get("date", "")), _tags(front.get("tags", ""))
    used: Counter[str] = Counter()
    messages = []
    for section in _sections(lines):
        for body in _parts(section.lines):
            content = f"{_context(title, section.headings)}\n{body}".rstrip()
            digest = hashlib.sha256(msgspec.json.encode([content, date, tags])).hexdigest()
            place = f"{path}#{' > '.join(section.headings)}" if section.headings else path
            id = _shortened(_numbered(place, used))
            messages.append(Message(content=content, id=id, rest={"digest": digest}))
    return Session(
        id=collection,
        where=path,
        messages=tuple(messages),
        type=SemanticType.KNOWLEDGE,
        at=date or modified,
        tags=tags,
        metadata={"source": "markdown", "path": path, "title": title},
    )


def _numbered(id: str, used: Counter[str]) -> str:
    """``plans/house.md#Garden > Trees``; the second passage under the same headings has ``~2`` behind it."""
    used[id] += 1
    return id if used[id] == 1 else _numbered(f"{id}~{used[id]}", used)


def _shortened(id: str) -> str:
    """The id where it is short enough for one, else its beginning and a digest of it all."""
    if len(id) <= NAME_LIMIT:
        return id
    digest = hashlib.sha256(id.encode()).hexdigest()
    return f"{id[: NAME_LIMIT - len(digest) - 1]}…{digest}"


# Files.


def _files(folder: Path, closed: list[OSError]) -> Iterator[Path]:
    """The notes; folders that cannot be read are put into ``closed``."""
    for place, folders, files in os.walk(folder, onerror=closed.append):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield Path(place, name)


def _place(folder: Path, file: Path) -> str:
    """The path in the folder, the same on every system."""
    path = unicodedata.normalize("NFC", file.relative_to(folder).as_posix())
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _note(folder: Path, file: Path, collection: str) -> Session:
    try:
        status = file.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > NOTE_BYTES:
            raise MalformedRecord(f"it has {status.st_size:,} bytes, or is no file; a note has at most {NOTE_BYTES:,}")
        data = file.read_bytes()
    except OSError as error:
        raise MalformedRecord(_cannot(error)) from error
    modified = check_time(status.st_mtime, "the time of the file")
    return parse_note(data, path=_place(folder, file), collection=collection, modified=modified)


def _cannot(error: OSError) -> str:
    return f"it cannot be read: {error.strerror}"


# Front matter: ``key: value`` lines between two lines of ``---``. More of YAML is not read.


def _front_matter(lines: list[str]) -> tuple[Mapping[str, str], list[str]]:
    """The fields before the text, and the text; the items of a list are joined by commas."""
    if lines[0].rstrip() != "---":
        return {}, lines
    end = next((n for n, line in enumerate(lines[1:], start=1) if line.rstrip() in ("---", "...")), None)
    if end is None:
        return {}, lines
    fields: dict[str, str] = {}
    last = ""
    for line in lines[1:end]:
        key, colon, value = line.partition(":")
        if line.lstrip().startswith("- "):
            fields[last] = f"{fields.get(last, '')},{line.lstrip()[2:]}"
        elif colon and not key[:1].isspace():
            last = key.strip().lower()
            fields[last] = _unquoted(value)
    return fields, lines[end + 1 :]


def _unquoted(value: str) -> str:
    value = value.strip()
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def _date(text: str) -> datetime | None:
    """The time that the text names; without a zone it is UTC. None where it is something else, so the file's counts."""
    try:
        time = datetime.fromisoformat(text)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _tags(text: str) -> tuple[str, ...]:
    """``a, b`` or ``[a, "b"]``; a ``#`` before a tag is no part of it."""
    named = (_unquoted(tag).lstrip("#") for tag in text.strip("[]").split(","))
    return tuple(dict.fromkeys(tag for tag in named if tag))


# From lines to passages.


def _sections(lines: list[str]) -> Iterator[Section]:
    """The text before the first heading, then that under each one; a heading alone counts where nothing is below it."""
    path: list[tuple[int, str]] = []
    body: list[str] = []
    for line, level, text in _headings(lines):
        if not level:
            body.append(line)
            continue
        if _is_filled(body) or (path and level <= path[-1][0]):
            yield Section(tuple(heading for _, heading in path), body)
        path = [*((above, heading) for above, heading in path if above < level), (level, text)]
        body = []
    if path or _is_filled(body):
        yield Section(tuple(heading for _, heading in path), body)


def _headings(lines: list[str]) -> Iterator[tuple[str, int, str]]:
    """Each line with the level and text of the heading that it is; level 0 where it is none, as in blocks of code."""
    fence = ""
    place = 0
    while place < len(lines):
        line, after = lines[place], lines[place + 1] if place + 1 < len(lines) else ""
        fence = _fence(fence, line)
        level, text = (0, "") if fence else _heading(line)
        alone = place == 0 or not lines[place - 1].strip()
        if not fence and not level and alone and _PARAGRAPH.match(line) and (level := _underlined(after)):
            text = line.strip()
            place += 1
        yield line, level, text
        place += 1


def _fence(open_fence: str, line: str) -> str:
    """The fence of the block of code that is open behind ``line``; none where there is no such block."""
    found = _FENCE.match(line)
    if not found:
        return open_fence
    if not open_fence:
        return found[1]
    closes = found[1].startswith(open_fence) and not line[found.end() :].strip()
    return "" if closes else open_fence


def _heading(line: str) -> tuple[int, str]:
    """The level and text of a line such as ``## Garden ##``; level 0 where it is none."""
    text = line.strip()
    level = len(text) - len(text.lstrip("#"))
    rest = text[level:]
    if not 1 <= level <= _LEVELS or not rest[:1].isspace() or line.startswith(("    ", "\t")):
        return 0, ""
    rest = rest.strip()
    bare = rest.rstrip("#")
    title = bare.rstrip() if bare[-1:].isspace() else rest
    return (level, title) if title.strip("#") else (0, "")


def _underlined(line: str) -> int:
    """The level of the heading that ``line`` underlines."""
    rule = line.rstrip()
    if rule and not rule.strip("="):
        return 1
    return 2 if len(rule) > 1 and not rule.strip("-") else 0


def _parts(lines: list[str]) -> Iterator[str]:
    """The text of a section, as it is if it is short, else cut where blank lines are; blocks of code stay whole."""
    text = "\n".join(lines).strip("\n")
    if len(text) <= PASSAGE_LENGTH:
        yield text
        return
    part: list[str] = []
    length = 0
    for block in _blocks(lines):
        if part and length + len(block) > PASSAGE_LENGTH:
            yield "\n\n".join(part)
            part, length = [], 0
        part.append(block)
        length += len(block)
    yield "\n\n".join(part)


def _blocks(lines: list[str]) -> Iterator[str]:
    """Runs of lines between blank ones."""
    fence = ""
    block: list[str] = []
    for line in lines:
        fence = _fence(fence, line)
        if line.strip() or fence:
            block.append(line)
        elif block:
            yield "\n".join(block)
            block = []
    if block:
        yield "\n".join(block)


def _is_filled(lines: list[str]) -> bool:
    return any(line.strip() for line in lines)


def _context(title: str, headings: tuple[str, ...]) -> str:
    """Where a passage stands: ``Title > Heading > Heading``; a heading that repeats the title is not said twice."""
    repeated = headings and _words(headings[0]) == _words(title)
    return " > ".join(headings if repeated else (title, *headings))


def _words(text: str) -> str:
    return _BETWEEN_WORDS.sub(" ", text).strip().casefold()
