"""Tracing: where a memory comes from, who changed it, what it was made from and what was made from it (5.3.2)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from pymemos.cube.cube import Source
from pymemos.cube.header import Origin, Provenance, Transformed
from pymemos.operation.lineage import Arrow, Node, Step


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of where a memory comes from, and of what came from it."""

    id: str
    origin: Origin
    provenance: Provenance
    source_ids: tuple[str, ...] = ()  # the messages that it came from, under the names that their sender gave them
    episode: str | None = None
    session: str | None = None
    agent: str | None = None
    steps: tuple[Step, ...] = ()  # its versions, oldest first
    deleted: datetime | None = None
    stale: tuple[Source, ...] = ()
    nodes: tuple[Node, ...] = ()
    arrows: tuple[Arrow, ...] = ()
    cut: tuple[str, ...] = ()  # what the graph leaves out, and why

    @property
    def sources(self) -> tuple[Node, ...]:
        """What it was made from, at any remove."""
        return tuple(node for node in self.nodes if node.generation < 0)

    @property
    def derived(self) -> tuple[Node, ...]:
        """What was made from it, at any remove."""
        return tuple(node for node in self.nodes if node.generation > 0)

    def text(self) -> str:
        """The lineage as a tree, for a terminal."""
        from pymemos.operation import tree  # drawing is seldom needed, and every program would load it

        facts = tree.facts(self._facts())
        versions = tree.versions(self.steps)
        return "\n\n".join(filter(None, (facts, versions, tree.kinship(self.id, self.nodes, self.arrows, self.cut))))

    def svg(self) -> str:
        """The lineage as a picture: sources on the left, what was made from it on the right."""
        from pymemos.operation import picture

        return picture.draw(self.id, self.nodes, self.arrows, self.cut)

    def _facts(self) -> list[tuple[str, tuple[str, ...]]]:
        said = self.provenance
        deleted = () if self.deleted is None else (f"{self.deleted:%Y-%m-%d %H:%M:%S}Z",)
        named = {
            "memory": self.id,
            "origin": self.origin.value,
            "trigger": said.trigger,
            "context": said.context,
            "model": said.model,
            "note": said.note,
            "episode": self.episode,
            "session": self.session,
            "agent": self.agent,
        }
        facts = [(name, (value,)) for name, value in named.items() if value]
        way = said.transformed or Transformed(pathway="")
        listed = {
            "transformed": way.of,
            "measured": tuple(f"{name} {value:g}" for name, value in sorted(way.measured.items())),
            "left out": way.left,
            "links": said.links,
            "messages": self.source_ids,
            "deleted": deleted,
        }
        return [*facts, *((name, values) for name, values in listed.items() if values)]
