"""A double of what blends, for the toy engine: it keeps the contract, and what it puts together is exact."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import msgspec

from pymemos.cube import blending, segment
from pymemos.cube.segment import SegmentAbout
from pymemos.cube.tensors import Shape, file_of
from pymemos.errors import InvalidInput, SegmentRefused
from pymemos.ports import Blended, BlendQuality, Kv, Loose, Tokens

if TYPE_CHECKING:
    from pymemos.testing.toy_engine import ToyEngine

RECIPE: Final = "loose-toy"
SHARE: Final = 0.15
_WIDTH: Final = 16  # bytes that are kept of a token


class ToyLoose(msgspec.Struct, frozen=True):
    """A note apart: a digest of each of its tokens, by the engine that made it."""

    model: str
    tokens: Tokens
    states: bytes

    @property
    def nbytes(self) -> int:
        """The size of the states."""
        return len(self.states)


class ToyBlender:
    """Blends exactly, so that answers tell whether the right segments came to the right places.

    A segment whose bytes are not what ``encode`` gave is blended too, and then the answer is another one, as with a
    real model: that nothing damaged gets here is what files and their checks are for.
    """

    def __init__(self, engine: ToyEngine) -> None:
        self.recipe = RECIPE
        self._engine = engine

    def encode(self, note: str, *, system: str = "") -> ToyLoose:
        """A digest of each token of the note."""
        tokens = self._engine.prompt(system, (note,), ()).notes[0]
        return ToyLoose(self._model, tokens, self._states(tokens))

    def dump(self, loose: Loose, about: SegmentAbout) -> BinaryIO:
        """A file with one tensor beside the token ids."""
        own = self._own(loose)
        said = self._said(about, own.tokens)
        return file_of(iter([*segment.begin(said, own.tokens, _shapes(own.tokens)), own.states]))

    def load(self, file: memoryview, about: SegmentAbout, tokens: Sequence[int]) -> ToyLoose:
        """The states of a file that is what was expected."""
        found = segment.check(file, self._said(about, tokens), tokens, _shapes(tokens))
        return ToyLoose(self._model, tuple(tokens), bytes(found.bytes_of("states")))

    def compose(self, prefix: Sequence[Kv], parts: Sequence[Loose | Tokens], tail: Tokens) -> Blended:
        """The states of the whole prompt but its last token; of each segment the first tokens count as read again."""
        if not tail:
            raise InvalidInput("a prompt has a tail: at least one token that is read")
        tokens: list[int] = []
        again: list[int] = []
        for part in parts:
            own = part if isinstance(part, tuple) else self._own(part).tokens
            if not isinstance(part, tuple):
                again += range(len(tokens), len(tokens) + int(SHARE * len(own)))
                if self._own(part).states != self._states(own):
                    own = tuple(reversed(own))
            tokens += own
        kv = self._engine.prefill([*tokens, *tail[:-1]], prefix=prefix)
        return Blended(kv=kv, again=tuple(again))

    @property
    def _model(self) -> str:
        return self._engine.ref.digest

    def _said(self, about: SegmentAbout, tokens: Sequence[int]) -> dict[str, str]:
        if about.form != RECIPE:
            raise SegmentRefused(f"the segment is of form {about.form!r}, and {RECIPE!r} is needed")
        return segment.metadata(self._engine.ref, about, tokens, 0, rope="")

    def _states(self, tokens: Sequence[int]) -> bytes:
        key = self._model[:32].encode()
        return b"".join(blake2b(token.to_bytes(4), key=key, digest_size=_WIDTH).digest() for token in tokens)

    def _own(self, loose: Any) -> ToyLoose:
        if not isinstance(loose, ToyLoose) or loose.model != self._model:
            raise SegmentRefused("a loose segment was made by another model")
        return loose


def opened(engine: ToyEngine, quality: BlendQuality | None) -> ToyBlender:
    """What blends, by the same gate as any other."""
    blending.check(quality, model=engine.ref.digest, recipe=RECIPE)
    return ToyBlender(engine)


def measured(engine: ToyEngine, cases: int, kl: float) -> BlendQuality:
    """What a probe of the toy gives: the divergence that it was told to have."""
    return BlendQuality(
        model=engine.ref.digest,
        recipe=RECIPE,
        share=SHARE,
        cases=cases,
        kl=kl,
        error=0.0,
        recomputed=SHARE,
        changed=0.0,
    )


def _shapes(tokens: Sequence[int]) -> list[Shape]:
    return [Shape("states", "U8", (len(tokens), _WIDTH))]
