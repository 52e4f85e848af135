"""Picture: a lineage as an SVG of its own, with nothing in it but shapes and escaped text."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pymemos.cube.cube import Standing
from pymemos.operation.lineage import Arrow, Node
from pymemos.operation.tree import WORDS, clean

_WIDE, _HIGH = 260, 84  # a box
_ACROSS, _BETWEEN, _MARGIN = 90, 22, 28
_HEAD = 64  # above the boxes: the title and the key
_CELLS = 34  # columns of text that fit into a box
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"}
_FRESH, _STALE, _GONE = "#1d5f8a", "#b3480f", "#6b6b6b"  # told apart by dashes and words too
_INK = {Standing.SAME: _FRESH, Standing.UNKNOWN: _GONE, Standing.DELETED: _GONE, Standing.ENDED: _GONE}
_DASH = {Standing.SAME: "", Standing.UNKNOWN: "2 4", Standing.DELETED: "2 4", Standing.ENDED: "2 4"}


class _Box(NamedTuple):
    x: float
    y: float


def draw(id: str, nodes: Sequence[Node], arrows: Sequence[Arrow], cut: Sequence[str] = ()) -> str:
    """The memories in columns by generation, sources on the left; an arrow leads from a source to what it went into."""
    places = _places(nodes, arrows)
    width = max((box.x for box in places.values()), default=0) + _WIDE + _MARGIN
    height = max((box.y for box in places.values()), default=0) + _HIGH + _MARGIN + 18 * len(cut)
    width = max(width, 2 * _MARGIN + _WIDE * 2)
    told = _told(nodes)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title desc" width="{width:g}" '
        f'height="{height:g}" viewBox="0 0 {width:g} {height:g}" font-family="system-ui, sans-serif">',
        f'<title id="title">Lineage of memory {_escaped(id)}</title>',
        f'<desc id="desc">{_escaped(told)}</desc>',
        *_markers(),
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        _text(_MARGIN, 32, f"Lineage of {id}", size=15, weight=600),
        _text(_MARGIN, 52, told, size=12, ink="#555555"),
        *_lines(arrows, places),
        *(_box(node, places[node.id], is_root=node.id == id) for node in nodes),
        *(_text(_MARGIN, height - 12 - 18 * n, f"({what})", size=12, ink="#555555") for n, what in enumerate(cut)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _told(nodes: Sequence[Node]) -> str:
    sources = sum(node.generation < 0 for node in nodes)
    derived = sum(node.generation > 0 for node in nodes)
    unwell = sum(node.standing is not Standing.SAME for node in nodes)
    return (
        f"Made from {_memories(sources)} on the left; {_memories(derived)} on the right made from it; "
        f"{unwell} not fresh, with a broken outline."
    )


def _memories(count: int) -> str:
    return f"{count} {'memory' if count == 1 else 'memories'}"


def _places(nodes: Sequence[Node], arrows: Sequence[Arrow]) -> dict[str, _Box]:
    """Where each box stands: columns by generation, each ordered by its neighbours nearer to the middle."""
    columns: dict[int, list[str]] = {}
    for node in nodes:
        columns.setdefault(node.generation, []).append(node.id)
    near: dict[str, list[str]] = {}
    for arrow in arrows:
        near.setdefault(arrow.made, []).append(arrow.source)
        near.setdefault(arrow.source, []).append(arrow.made)
    rank: dict[str, float] = {}
    for generation in sorted(columns, key=abs):
        ids = columns[generation]
        ids.sort(key=lambda id: (_middle(near.get(id, ()), rank), id))
        rank |= {id: place / len(ids) for place, id in enumerate(ids)}
    tallest = max(len(ids) for ids in columns.values())
    step = _HIGH + _BETWEEN
    return {
        id: _Box(
            _MARGIN + place * (_WIDE + _ACROSS), _HEAD + _MARGIN / 2 + (tallest - len(ids)) * step / 2 + row * step
        )
        for place, generation in enumerate(sorted(columns))
        for row, (id, ids) in enumerate((id, columns[generation]) for id in columns[generation])
    }


def _middle(neighbours: Sequence[str], rank: Mapping[str, float]) -> float:
    known = [rank[id] for id in neighbours if id in rank]
    return sum(known) / len(known) if known else 0.0


def _markers() -> list[str]:
    shapes = [
        f'<marker id="{name}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{ink}"/></marker>'
        for name, ink in (("fresh", _FRESH), ("stale", _STALE), ("gone", _GONE))
    ]
    return ["<defs>", *shapes, "</defs>"]


def _lines(arrows: Sequence[Arrow], places: Mapping[str, _Box]) -> list[str]:
    """Every arrow; those that meet at a box reach it one below the other."""
    into: dict[str, list[Arrow]] = {}
    for arrow in arrows:
        into.setdefault(arrow.made, []).append(arrow)
    lines = []
    for made, group in into.items():
        group.sort(key=lambda arrow: places[arrow.source].y)
        for place, arrow in enumerate(group, start=1):
            lines.append(_line(arrow, places[arrow.source], places[made], place / (len(group) + 1)))
    return lines


def _line(arrow: Arrow, start: _Box, end: _Box, height: float) -> str:
    """A curve from the right of the source to the left of what was made from it, and a word where it changed."""
    x1, y1, x2, y2 = start.x + _WIDE, start.y + _HIGH / 2, end.x, end.y + _HIGH * height
    bend = max(abs(x2 - x1) / 2, _ACROSS / 2)
    ink = _INK.get(arrow.standing, _STALE)
    word = "" if arrow.standing in (Standing.SAME, Standing.STALE) else WORDS[arrow.standing]
    marker = {_FRESH: "fresh", _STALE: "stale"}.get(ink, "gone")
    return (
        f'<path d="M{x1:g} {y1:g} C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g}" fill="none" '
        f'stroke="{ink}" stroke-width="1.6" {_dashes(arrow.standing)}marker-end="url(#{marker})">'
        f"<title>{_escaped(WORDS[arrow.standing])}</title></path>" + _text(x1 + 6, y1 - 6, word, size=11, ink=ink)
    )


def _box(node: Node, box: _Box, *, is_root: bool) -> str:
    ink = _INK.get(node.standing, _STALE)
    word = "fresh" if node.standing is Standing.SAME else WORDS[node.standing]
    if node.standing is Standing.UNKNOWN:
        lines, about = ["unknown memory"], ""
    else:
        lines = _wrapped(node.text if node.kind == "plaintext" else f"{node.kind} memory, {node.text}")
        about = f"{node.type} · revision {node.revision} · {word}"
    texts = [_text(box.x + 12, box.y + 22 + 17 * n, line, size=13) for n, line in enumerate(lines)]
    texts.append(_text(box.x + 12, box.y + 57, about, size=11, ink=ink, weight=600))
    texts.append(_text(box.x + 12, box.y + 73, node.id, size=10, ink="#555555"))
    return (
        f"<g><title>{_escaped(f'{node.id}: {word}')}</title>"
        f'<rect x="{box.x:g}" y="{box.y:g}" width="{_WIDE}" height="{_HIGH}" rx="8" '
        f'fill="{"#eef5fa" if is_root else "#fafafa"}" stroke="{ink}" stroke-width="{2.5 if is_root else 1.4}" '
        f"{_dashes(node.standing)}/>{''.join(texts)}</g>"
    )


def _dashes(standing: Standing) -> str:
    dash = _DASH.get(standing, "7 4")
    return f'stroke-dasharray="{dash}" ' if dash else ""


def _text(x: float, y: float, text: str, *, size: int, ink: str = "#1a1a1a", weight: int = 400) -> str:
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" font-weight="{weight}" fill="{ink}">{_escaped(text)}</text>'
        if text
        else ""
    )


def _wrapped(text: str) -> list[str]:
    """At most two lines that fit into a box; what is longer ends in an ellipsis."""
    first, rest = _cut(clean(text), _CELLS)
    second, rest = _cut(rest, _CELLS - 1)
    return [line for line in (first, f"{second}…" if rest else second) if line]


def _cut(text: str, cells: int) -> tuple[str, str]:
    """As much of ``text`` as fits into ``cells`` columns, at a space where there is one, and the rest."""
    used = 0
    for place, letter in enumerate(text):
        used += 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if used > cells:
            space = text.rfind(" ", 0, place + 1)
            at = space if space > 0 else place
            return text[:at], text[at:].lstrip()
    return text, ""


def _escaped(text: str) -> str:
    return "".join(_ENTITIES.get(letter, letter) for letter in clean(text))
