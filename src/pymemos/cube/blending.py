"""What a probe measures of blending with a model, and the gate: without a good measurement nothing is blended (4.1)."""

from __future__ import annotations

from typing import Final

import msgspec

from pymemos.errors import BlendRefused

BOUND: Final = 0.03  # nats a token: how far a blended answer may be from the model's own, on average
LEAST: Final = 100  # questions; fewer say too little


class BlendQuality(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe found, and for what: another model, recipe or share has to be probed anew."""

    model: str  # a digest of the model's ref
    recipe: str
    share: float  # of the tokens of loose segments: how many at most are computed again
    cases: int
    kl: float  # the mean over cases of the divergence of a blended answer from the model's own, in nats a token
    error: float  # the standard error of that mean
    recomputed: float  # the part of loose tokens that was computed again
    changed: float  # the part of greedy answers that differ within their first tokens
    tried: tuple[tuple[float, float], ...] = ()  # every share that was tried, with its divergence


def check(quality: BlendQuality | None, *, model: str, recipe: str, bound: float = BOUND) -> BlendQuality:
    """The measurement, where it allows to blend with a model by a recipe; else BlendRefused, with the reason."""
    if quality is None:
        raise BlendRefused(
            "blending was never measured with this model; run a probe of it first ('pymemos kv probe', probe_blending)"
        )
    if quality.model != model:
        raise BlendRefused("blending was measured with another model; run a probe of this one")
    if quality.recipe != recipe:
        raise BlendRefused(f"blending was measured by recipe {quality.recipe!r}, and is {recipe!r} now; probe again")
    if quality.cases < LEAST:
        raise BlendRefused(f"blending was measured on {quality.cases} questions; probe at least {LEAST}")
    if not quality.kl <= bound:  # a comparison that NaN does not pass
        raise BlendRefused(
            f"blended answers of this model differ too much from its own: {quality.kl:.3g} nats a token, "
            f"and {bound:g} is the bound; read the notes as text"
        )
    return quality
