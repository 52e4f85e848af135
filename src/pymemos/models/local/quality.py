"""How good blending is with a model: measured on invented notes, kept beside the model, and asked before each use."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Final

import msgspec
import torch
from torch import Tensor

from pymemos.cube.payload import ModelRef
from pymemos.errors import BlendRefused
from pymemos.models.local.blending import SHARE, Composer
from pymemos.models.local.engine import LocalEngine
from pymemos.models.local.fillers import RECIPE
from pymemos.models.local.identity import digest_of
from pymemos.models.local.invented import Case, cases_from
from pymemos.ports import Kv, Prompt, Utterance

BOUND: Final = 0.03  # nats a token: how far a blended answer may be from the model's own, on average
LEAST: Final = 100  # questions; fewer say too little
ANSWER: Final = 8  # tokens of an answer that are compared
SYSTEM: Final = "You are a helpful assistant. These are notes about people the user knows:"


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe found, and for what: another model, recipe or share has to be probed anew."""

    model: str  # a digest of the model's ref
    recipe: str
    share: float
    cases: int
    kl: float  # the mean over cases of the divergence of a blended answer from the model's own, in nats a token
    error: float  # the standard error of that mean
    recomputed: float  # the part of loose tokens that was computed again
    changed: float  # the part of greedy answers that differ within their first tokens


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One case: the divergence, whether the greedy answer changed, and the part that was computed again."""

    kl: float
    changed: bool
    recomputed: float


def probe(engine: LocalEngine, *, cases: int = LEAST, seed: int = 0, share: float = SHARE) -> Quality:
    """Measure blending with a model on invented notes and questions; some ten seconds of a core for each with 135M.

    Keep what it gives with ``keep``, and pass it to ``open_blender``.
    """
    composer = Composer(engine, share=share)
    return judged(composer, [examine(composer, case) for case in cases_from(seed, cases)])


def judged(composer: Composer, found: Sequence[Finding]) -> Quality:
    """What the findings of a probe come to."""
    divergences = [one.kl for one in found]
    return Quality(
        model=digest_of(composer.engine.ref),
        recipe=RECIPE,
        share=composer.share,
        cases=len(found),
        kl=fmean(divergences),
        error=stdev(divergences) / len(found) ** 0.5 if len(found) > 1 else float("inf"),
        recomputed=fmean(one.recomputed for one in found),
        changed=fmean(one.changed for one in found),
    )


def examine(composer: Composer, case: Case) -> Finding:
    """A case answered twice: from the whole prompt, and blended; the first note is exact in both, as it would be."""
    prompt = composer.engine.prompt(SYSTEM, case.notes, [Utterance("user", case.question)])
    answer, wanted = reference(composer.engine, prompt)
    first: list[Kv] = [composer.engine.prefill([*prompt.head, *prompt.notes[0]])]
    loose = [composer.encode(note, system=SYSTEM) for note in case.notes[1:]]
    blend = composer.blend(first, loose, prompt.tail)
    rest = composer.engine.passed(answer[:-1], blend.cache, keep=len(answer) - 1)
    found = torch.cat([blend.rows[-1:], rest]).float().log_softmax(-1)
    changed = found.argmax(-1).tolist() != answer
    return Finding(kl=divergence(wanted, found), changed=changed, recomputed=blend.share)


def reference(engine: LocalEngine, prompt: Prompt, length: int = ANSWER) -> tuple[list[int], Tensor]:
    """The greedy answer to a whole prompt, and the log-probabilities that it was chosen by, (length, vocabulary)."""
    cache = engine.new_past(len(prompt.tokens) + length)
    rows, given = [], list(prompt.tokens)
    for _ in range(length):
        rows.append(engine.forward(given, cache).float().log_softmax(-1))
        given = [int(rows[-1].argmax())]
    said = torch.stack(rows)
    return said.argmax(-1).tolist(), said


def divergence(wanted: Tensor, found: Tensor) -> float:
    """The mean over tokens of KL(wanted ‖ found), from log-probabilities (tokens, vocabulary), in nats."""
    return float((wanted.exp() * (wanted - found)).sum(-1).mean())


def open_blender(engine: LocalEngine, quality: Quality | None, *, bound: float = BOUND) -> Composer:
    """A composer for a model with which blending was measured to be good enough; else BlendRefused, with the reason."""
    if quality is None:
        raise BlendRefused("blending was never measured with this model; run a probe of it first")
    if quality.model != digest_of(engine.ref):
        raise BlendRefused("blending was measured with another model; run a probe of this one")
    if quality.recipe != RECIPE:
        raise BlendRefused(f"blending was measured by recipe {quality.recipe!r}, and is {RECIPE!r} now; probe again")
    if quality.cases < LEAST:
        raise BlendRefused(f"blending was measured on {quality.cases} questions; probe at least {LEAST}")
    if not quality.kl <= bound:  # a comparison that NaN does not pass
        raise BlendRefused(
            f"blended answers of this model differ too much from its own: {quality.kl:.3g} nats a token, "
            f"and {bound:g} is the bound; read the notes as text"
        )
    return Composer(engine, share=quality.share)


def keep(quality: Quality, cache: Path) -> Path:
    """Write what a probe found into the folder where models are kept; gives the file."""
    cache.mkdir(parents=True, exist_ok=True)
    path = _file(cache, quality.model)
    with tempfile.NamedTemporaryFile(dir=cache, prefix=f".{path.name}-", delete=False) as file:
        file.write(msgspec.json.format(msgspec.json.encode(quality)))
    os.replace(file.name, path)
    return path


def kept(ref: ModelRef, cache: Path) -> Quality | None:
    """What a probe of a model found; None where there was none, or its file cannot be read: then probe again."""
    try:
        return msgspec.json.decode(_file(cache, digest_of(ref)).read_bytes(), type=Quality)
    except (OSError, msgspec.MsgspecError):
        return None


def _file(cache: Path, model: str) -> Path:
    return cache / f"blend-{model[:16]}.json"
