"""Tree: a lineage as lines of text that no name or note can make look like something else."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from datetime import datetime

from pymemos.cube.cube import Standing
from pymemos.operation.lineage import Arrow, Node, Step

# What could steer a terminal, turn the direction of writing, break a line or be no letter of XML.
_UNSAFE = frozenset({"Cc", "Cs", "Zl", "Zp"})
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe\uffff")
WORDS = {
    Standing.SAME: "unchanged",
    Standing.CHANGED: "changed",
    Standing.ENDED: "no longer holds",
    Standing.DELETED: "deleted",
    Standing.STALE: "stale",
    Standing.UNKNOWN: "unknown",
}


def clean(text: str) -> str:
    """``text`` on one line, and nothing in it that is not to be seen."""
    line = " ".join(text.split())
    if line.isascii() and line.isprintable():
        return line
    return "".join("\ufffd" if one in _TURNS or unicodedata.category(one) in _UNSAFE else one for one in line)


def moment(time: datetime) -> str:
    """A time for people, in UTC."""
    return f"{time:%Y-%m-%d %H:%M:%S}Z"


def facts(known: Sequence[tuple[str, tuple[str, ...]]]) -> str:
    """Names and values in two columns, a line for each value."""
    width = max(len(name) for name, _ in known)
    return "\n".join(
        f"{name if first else '':<{width}}  {clean(value)}"
        for name, values in known
        for first, value in zip([True] + [False] * len(values), values, strict=False)
    )


def versions(steps: Sequence[Step]) -> str:
    """The versions of a memory, a line for each, and one for its note."""
    lines = ["versions"]
    causes = max((len(clean(step.cause)) for step in steps), default=0)
    for step in steps:
        what = f"restored revision {step.restored}" if step.restored else ", ".join(step.changed)
        by = clean(step.author or "unknown")
        tail = f"  {clean(what)}" if what else ""
        lines.append(f"  {step.revision:>3}  {moment(step.at)}  {clean(step.cause):<{causes}}  {by}{tail}")
        if step.note:
            lines.append(f"       “{clean(step.note)}”")
        if step.deleted:
            lines.append(f"       {moment(step.deleted)}  deleted")
    return "\n".join(lines)


def kinship(id: str, nodes: Sequence[Node], arrows: Sequence[Arrow], cut: Sequence[str]) -> str:
    """What a memory was made from, and what was made from it, as two trees; each memory is told of once."""
    by_id = {node.id: node for node in nodes}
    up: dict[str, list[Arrow]] = {}
    down: dict[str, list[Arrow]] = {}
    for arrow in arrows:
        up.setdefault(arrow.made, []).append(arrow)
        down.setdefault(arrow.source, []).append(arrow)
    lines = []
    if id in up:
        lines += ["made from", *_branches(id, up, by_id, lambda arrow: arrow.source, _of_source)]
    if id in down:
        lines += [*([""] if lines else []), "used in", *_branches(id, down, by_id, lambda arrow: arrow.made, _of_use)]
    return "\n".join([*lines, *(f"({clean(what)})" for what in cut)])


def _branches(
    root: str,
    arrows: dict[str, list[Arrow]],
    nodes: dict[str, Node],
    end: Callable[[Arrow], str],
    tell: Callable[[Arrow, Node], str],
) -> list[str]:
    """The tree below ``root``, two lines a memory; a stack and no recursion, for it may be deep."""
    lines: list[str] = []
    told = {root}
    waiting = [(arrow, "", place == 0) for place, arrow in enumerate(reversed(arrows.get(root, [])))]
    while waiting:
        arrow, indent, last = waiting.pop()
        node = nodes[end(arrow)]
        again = node.id in told
        told.add(node.id)
        further = [] if again else arrows.get(node.id, [])
        inner = indent + ("   " if last else "│  ")
        title = "see above" if again else _title(node)
        lines.append(f"{indent}{'└─' if last else '├─'} {title}")
        lines.append(f"{inner}{'│  ' if further else '   '}{clean(node.id)}  {tell(arrow, node)}".rstrip())
        waiting += [(one, inner, place == 0) for place, one in enumerate(reversed(further))]
    return lines


def _title(node: Node) -> str:
    if node.standing is Standing.UNKNOWN:
        return "unknown memory"
    return f"“{clean(node.text)}”" if node.kind == "plaintext" else f"{clean(node.kind)} memory, {clean(node.text)}"


def _of_source(arrow: Arrow, node: Node) -> str:
    """How a source stands to what was made from it."""
    if arrow.standing is Standing.UNKNOWN:
        return ""
    about = f"{clean(node.type)} · "
    if arrow.standing is Standing.CHANGED:
        read = f"revision {arrow.read} was read" if arrow.read else "another version was read"
        return f"{about}changed: {read}, {arrow.current} is current"
    return about + WORDS[arrow.standing]


def _of_use(_: Arrow, node: Node) -> str:
    """How what was made from a source stands itself."""
    word = "fresh" if node.standing is Standing.SAME else WORDS[node.standing]
    return f"{clean(node.type)} · {word}"
