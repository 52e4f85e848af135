"""Hits: the answer to a search, a sequence that can also be a prompt block and can explain itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import overload

from pymemos.cube.call import Decision, Hit
from pymemos.operation.context import Context, check_tokens, estimate_tokens, render


class Hits(Sequence[Hit]):
    """Memories that answer a search, best first, with the decision and the plan that they were found under."""

    def __init__(
        self,
        hits: Sequence[Hit],
        *,
        terms: tuple[str, ...] = (),
        decision: Decision | None = None,
        reasons: tuple[str, ...] = (),
    ) -> None:
        self._hits = tuple(hits)
        self.reasons = reasons  # what the question was understood to ask for
        self.terms = terms  # what was looked for
        self.decision = decision  # what the caller was allowed to see

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Hit]: ...
    def __getitem__(self, index: int | slice) -> Hit | Sequence[Hit]:
        return self._hits[index]

    def __len__(self) -> int:
        return len(self._hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self._hits)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hits) and self._hits == other._hits

    def __hash__(self) -> int:
        return hash(tuple(hit.cube.version for hit in self._hits))

    def __repr__(self) -> str:
        return f"Hits({list(self._hits)!r})"

    def context(self, max_tokens: int | None = None, *, counter: Callable[[str], int] = estimate_tokens) -> Context:
        """The hits as a dated block for a prompt, of at most ``max_tokens`` tokens by ``counter``.

        What came from a web page, a tool or another agent is quoted in ⟦ ⟧ as data (``block.fenced`` names it).
        """
        check_tokens(max_tokens)
        return render(self._hits, max_tokens=max_tokens, count=counter)

    def explain(self) -> str:
        """What was looked for, what could be seen, and why each memory was found, as text."""
        rule = f"allowed by rule {self.decision.rule!r}: {self.decision.reason}" if self.decision else "no decision"
        lines = [f"looked for: {' '.join(self.terms) or 'nothing'}", *self.reasons, rule]
        for rank, hit in enumerate(self._hits, start=1):
            lines.append(f"{rank}. {hit.score:.3f} {hit.cube.id} {hit.why}")
            if hit.stale:
                lines.append(f"   stale: {', '.join(map(str, hit.stale))}")
        return "\n".join(lines)
