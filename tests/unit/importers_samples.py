"""Small archives as other programs write them, for the tests of the importers."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

START = 1_700_000_000.5  # 2023-11-14T22:13:20.5Z


def said(text: Any, role: str = "user", **fields: Any) -> dict[str, Any]:
    """A message of a ChatGPT export, without its id; ``text`` may also be a whole content."""
    content = text if isinstance(text, dict) else {"content_type": "text", "parts": [text]}
    return {"author": {"role": role, "name": None, "metadata": {}}, "content": content, "recipient": "all", **fields}


def chat(*messages: dict[str, Any] | None, id: str = "c1", title: str | None = "Trip", **fields: Any) -> dict[str, Any]:
    """A conversation whose messages follow each other: node n1 under the root, n2 under n1, …"""
    mapping: dict[str, Any] = {"root": {"id": "root", "message": None, "parent": None, "children": ["n1"]}}
    parent = "root"
    for place, message in enumerate(messages, start=1):
        node = f"n{place}"
        whole = None if message is None else {"id": f"{id}-m{place}", "create_time": START + place, **message}
        mapping[node] = {"id": node, "message": whole, "parent": parent, "children": []}
        mapping[parent]["children"] = [node]
        parent = node
    return {
        "title": title,
        "create_time": START,
        "update_time": START + 99,
        "mapping": mapping,
        "current_node": parent,
        "conversation_id": id,
        "id": id,
        **fields,
    }


def chats(count: int, length: int = 4) -> list[dict[str, Any]]:
    """Conversations in which user and assistant take turns; every text is another."""
    return [
        chat(*(said(f"chat {c} turn {t}", "user" if t % 2 else "assistant") for t in range(length)), id=f"c{c}")
        for c in range(count)
    ]


def write_json(path: Path, document: Any) -> Path:
    """``document`` as a JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, ensure_ascii=False))
    return path


def write_zip(path: Path, files: dict[str, Any], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    """A zip file; contents that are not bytes are written as JSON."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
    return path


def turn(dia_id: str, speaker: str, text: str, **fields: Any) -> dict[str, Any]:
    """A turn of a LoCoMo file."""
    return {"speaker": speaker, "dia_id": dia_id, "text": text, **fields}


def talk(sample_id: str = "conv-1", **sessions: Any) -> dict[str, Any]:
    """A conversation of a LoCoMo file; without sessions two of them, the second written first."""
    given = sessions or {
        "session_2": [turn("D2:1", "Ida", "The ferry was late.")],
        "session_2_date_time": "9:05 am on 3 June, 2024",
        "session_1": [
            turn("D1:1", "Ida", "I booked a ferry."),
            turn("D1:2", "Tom", "Look!", blip_caption="a white boat", img_url=["https://example.org/b.jpg"]),
        ],
        "session_1_date_time": "11:30 pm on 31 May, 2024",
    }
    return {"sample_id": sample_id, "qa": [], "conversation": {"speaker_a": "Ida", "speaker_b": "Tom", **given}}


def write_notes(folder: Path, notes: dict[str, str]) -> Path:
    """A folder of notes by their paths."""
    for path, text in notes.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder
