"""Files from elsewhere, read with care: bounded in size, never unpacked to the disk, errors with their place."""

from __future__ import annotations

import codecs
import json
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, TypeVar
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import msgspec

from pymemos.errors import InvalidInput, MalformedRecord
from pymemos.interface.importers.session import Broken

T = TypeVar("T")
MOST_BYTES = 1 << 30  # ours: of one source, unpacked; everything is read into memory
_STEP = 1 << 20  # bytes unpacked at once, so that an archive that lies about its sizes is found out early
_DAMAGE = (BadZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError, UnicodeDecodeError)
_ENCRYPTED = 0x1  # the flag of an entry in a zip file


class Item(NamedTuple):
    """One item of a JSON list, not looked into yet, so that a broken one does not take the others along."""

    where: str
    raw: msgspec.Raw


def items(path: Path, names: re.Pattern[str], *, most: int) -> list[Item | Broken]:
    """The conversations in the files whose name matches: of a folder, in a zip file, or of the file itself."""
    files = list(_documents(path, names, most))
    if not files:
        raise InvalidInput(f"{path} holds no file that is named like {names.pattern}")
    found = [one for name, data in files for one in _items(name, data)]
    if found and all(isinstance(one, Broken) for one in found):
        raise MalformedRecord(str(found[0]))
    return found


def parse(data: bytes | msgspec.Raw, kind: type[T]) -> T:
    """``data`` as JSON of the form ``kind``; raises MalformedRecord with what is wrong, and where in ``data``."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise MalformedRecord(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedRecord(f"not JSON: {error}") from error
    except RecursionError as error:
        raise MalformedRecord("the JSON is nested too deeply") from error


def as_text(value: Any) -> str:
    """``value`` where it is text, else none."""
    return value if isinstance(value, str) else ""


def _items(name: str, data: bytes) -> Iterator[Item | Broken]:
    data = data.removeprefix(codecs.BOM_UTF8)
    raws: Sequence[msgspec.Raw]
    try:
        raws = parse(data, list[msgspec.Raw])
    except MalformedRecord as error:
        raws = _apart(data)
        if not raws:
            yield Broken(where=name, reason=str(error))
    for place, raw in enumerate(raws, start=1):
        yield Item(f"{name}, conversation {place}", raw)


def _apart(data: bytes) -> list[msgspec.Raw]:
    """The items of a list that only holds what is no text, such as half of a pair of UTF-16: each says so by itself."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return []
    return [msgspec.Raw(json.dumps(one).encode()) for one in found] if isinstance(found, list) else []


def _documents(path: Path, names: re.Pattern[str], most: int) -> Iterator[tuple[str, bytes]]:
    """Names and contents, in order of the names."""
    if path.is_dir():
        yield from _of_folder(path, names, most)
    elif not path.is_file():
        raise InvalidInput(f"there is no file {path}; check the path")
    elif _is_zip(path):
        yield from _of_zip(path, names, most)
    else:
        yield path.name, _bounded(path, most)


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _of_folder(path: Path, names: re.Pattern[str], most: int) -> Iterator[tuple[str, bytes]]:
    for file in sorted(path.iterdir()):
        if names.fullmatch(file.name) and file.is_file():
            data = _bounded(file, most)
            most -= len(data)
            yield file.name, data


def _bounded(path: Path, most: int) -> bytes:
    size = path.stat().st_size
    if size > most:
        raise InvalidInput(f"{path.name} has {size:,} bytes, which is more than can be read at once; split it")
    return path.read_bytes()


def _of_zip(path: Path, names: re.Pattern[str], most: int) -> Iterator[tuple[str, bytes]]:
    """Entries are only read, never written anywhere, so their names can do no harm."""
    try:
        with ZipFile(path) as archive:
            entries = [one for one in archive.infolist() if _is_wanted(one, names)]
            for entry in sorted(entries, key=lambda one: one.filename):
                data = _unpacked(archive, entry, path, most)
                most -= len(data)
                yield entry.filename, data
    except _DAMAGE as error:
        raise MalformedRecord(f"{path.name}: the zip file is damaged: {error}; download it again") from error


def _is_wanted(entry: ZipInfo, names: re.Pattern[str]) -> bool:
    place = PurePosixPath(entry.filename)
    return bool(names.fullmatch(place.name)) and "__MACOSX" not in place.parts and not entry.is_dir()


def _unpacked(archive: ZipFile, entry: ZipInfo, path: Path, most: int) -> bytes:
    where = f"{path.name}: {entry.filename}"
    if entry.flag_bits & _ENCRYPTED:
        raise MalformedRecord(f"{where} is encrypted; unpack it and import the JSON file")
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise MalformedRecord(f"{where} is packed in an unusual way; unpack it and import the JSON file")
    steps, size = [], 0
    with archive.open(entry) as file:
        while step := file.read(_STEP):
            steps.append(step)
            size += len(step)
            if size > most:
                raise InvalidInput(f"{where} is larger than can be read at once when it is unpacked; split it")
    return b"".join(steps)
