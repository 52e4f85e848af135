"""ChatGPT's export archive: what the window of each conversation showed, in the branch that was open last.

A conversation is a tree of nodes, since questions can be edited and answers given again; ``current_node`` is the last
message of the branch that is shown. System messages, hidden ones, thoughts, and what is said to tools and by them stay
out; the pictures that a tool made are shown, and so are kept. What is not text becomes a placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from pymemos.errors import MalformedRecord
from pymemos.interface.arguments import check_time
from pymemos.interface.importers.files import MOST_BYTES, Item, as_text, items, parse
from pymemos.interface.importers.session import Broken, Found, Session, Source, attempt
from pymemos.interface.requests import Message

_FILES = re.compile(r"conversations(-\d+)?\.json")  # large exports come in numbered files
_UNSHOWN = frozenset({"thoughts", "reasoning_recap", "user_editable_context", "model_editable_context"})
_MARKER = "\ue200"  # begins a citation, which the window replaces by a link


class _Author(msgspec.Struct):
    role: str


class _Said(msgspec.Struct):
    author: _Author
    id: str | None = None
    create_time: float | None = None
    content: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None
    recipient: str | None = None


class _Node(msgspec.Struct):
    message: _Said | None = None
    parent: str | None = None


class _Chat(msgspec.Struct):
    mapping: dict[str, msgspec.Raw]
    current_node: str
    title: str | None = None
    create_time: float | None = None
    conversation_id: str | None = None
    id: str | None = None


def read(path: Path, *, most: int = MOST_BYTES) -> Source:
    """The conversations of an export: of its zip file, of the folder that it was unpacked to, or of the JSON file."""
    found = items(path, _FILES, most=most)
    return Source(total=len(found), sessions=map(_found, found))


def _found(item: Item | Broken) -> Found:
    return item if isinstance(item, Broken) else attempt(item.where, partial(_session, item))


def _session(item: Item) -> Session:
    chat = parse(item.raw, _Chat)
    id = chat.conversation_id or chat.id
    if id is None:
        raise MalformedRecord("the conversation has no id")
    return Session(
        id=id,
        where=f"{item.where} ({chat.title})" if chat.title else item.where,
        messages=tuple(_messages(chat)),
        metadata={"source": "chatgpt", "title": chat.title or ""},
    )


def _messages(chat: _Chat) -> Iterator[Message]:
    """The messages that the window shows, oldest first; one without a time has the time of the one before it."""
    time = chat.create_time
    for id, node in reversed(list(_branch(chat))):
        said = node.message
        if said is None or not _is_shown(said):
            continue
        time = said.create_time or time
        text = _text(said).strip()
        if text:
            when = None if time is None else check_time(time, f"create_time of node {id!r}")
            yield Message(content=text, role=said.author.role, id=said.id or id, timestamp=when)


def _branch(chat: _Chat) -> Iterator[tuple[str, _Node]]:
    """The nodes from the current one up to the root; those of other branches are not even read."""
    id: str | None = chat.current_node
    seen = set()
    while id is not None:
        if id not in chat.mapping:
            raise MalformedRecord(f"node {id!r} is referred to and not there")
        if id in seen:
            raise MalformedRecord(f"node {id!r} is its own ancestor")
        seen.add(id)
        try:
            node = parse(chat.mapping[id], _Node)
        except MalformedRecord as error:
            raise MalformedRecord(f"node {id!r}: {error}") from error
        yield id, node
        id = node.parent


def _is_shown(said: _Said) -> bool:
    if said.content is None or (said.metadata or {}).get("is_visually_hidden_from_conversation"):
        return False
    if said.author.role == "tool":
        return any(_is_picture(part) for part in _parts(said))
    if said.author.role not in ("user", "assistant") or said.recipient not in (None, "all"):
        return False
    return as_text(said.content.get("content_type")) not in _UNSHOWN


# From content to text.


def _text(said: _Said) -> str:
    """The text of a message, with a placeholder for every part and attachment that is something else."""
    content, metadata = said.content or {}, said.metadata or {}
    attached = {as_text(one.get("id")): as_text(one.get("name")) for one in _mappings(metadata.get("attachments"))}
    if "parts" in content:
        shown = [_part(part, attached) for part in _parts(said)]
    else:
        shown = [as_text(content.get("text")) or _placeholder(as_text(content.get("content_type")))]
    files = [_placeholder("file", name) for name in attached.values()]
    return _with_links("\n".join(one for one in [*shown, *files] if one), metadata)


def _part(part: Any, attached: dict[str, str]) -> str:
    """A part as text; an attachment that it shows is taken off the list of those that are only named."""
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    if _is_picture(part):
        id = as_text(part["asset_pointer"]).rpartition("/")[2] if "asset_pointer" in part else ""
        return _placeholder("image", attached.pop(id, "") or _prompt(part))
    return as_text(part.get("text")) or _placeholder(as_text(part.get("content_type")))


def _placeholder(kind: str, name: str = "") -> str:
    """``[image: cat.png]``, ``[audio]``; the kind without the words that only a program needs."""
    kind = kind.replace("_asset_pointer", "").replace("real_time_user_", "").replace("_", " ") or "not text"
    return f"[{kind}: {name}]" if name else f"[{kind}]"


def _is_picture(part: Any) -> bool:
    return isinstance(part, dict) and part.get("content_type") == "image_asset_pointer"


def _prompt(part: dict[str, Any]) -> str:
    """What a picture was made from, where a tool made it."""
    metadata = part.get("metadata")
    dalle = metadata.get("dalle") if isinstance(metadata, dict) else None
    return as_text(dalle.get("prompt")) if isinstance(dalle, dict) else ""


def _parts(said: _Said) -> list[Any]:
    parts = (said.content or {}).get("parts")
    return parts if isinstance(parts, list) else []


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    return (one for one in value if isinstance(one, dict)) if isinstance(value, list) else iter(())


def _with_links(text: str, metadata: dict[str, Any]) -> str:
    """The text with its citations as the window shows them, where the file says how."""
    for reference in _mappings(metadata.get("content_references")):
        matched = as_text(reference.get("matched_text"))
        if matched.startswith(_MARKER):
            text = text.replace(matched, as_text(reference.get("alt")))
    return text
