"""How good blending is with a model: measured on invented notes, kept beside the model, and asked before each use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Final

import msgspec
import torch
from torch import Tensor

from pymemos.cube.blending import BOUND, LEAST, BlendQuality, check
from pymemos.models.local.blending import SHARES, Composer
from pymemos.models.local.engine import LocalEngine
from pymemos.models.local.fillers import RECIPE
from pymemos.models.local.identity import digest_of
from pymemos.models.local.invented import Case, cases_from
from pymemos.ports import Kv, Prompt, Utterance

ANSWER: Final = 8  # tokens of an answer that are compared
SYSTEM: Final = "You are a helpful assistant. These are notes about people the user knows:"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One case: the divergence, whether the greedy answer changed, and the part that was computed again."""

    kl: float
    changed: bool
    recomputed: float


def probe(
    engine: LocalEngine,
    *,
    cases: int = LEAST,
    seed: int = 0,
    shares: Sequence[float] = SHARES,
    bound: float = BOUND,
    on_case: Callable[[int], object] = lambda done: None,
) -> BlendQuality:
    """Measure blending with a model on invented notes and questions; some ten seconds of a core for each with 135M.

    Each is answered with every share of tokens computed again, and the smallest share within the bound is what blending
    will do; where none is, the largest is told. Keep what it gives with ``models.measured.keep``, and pass it to
    ``open_blender``. ``on_case`` is told how many cases are done.
    """
    composers = [Composer(engine, share=share) for share in sorted(shares)]
    found = []
    for case in cases_from(seed, cases):
        found.append(examine(composers, case))
        on_case(len(found))
    measured = [judged(composer, some) for composer, some in zip(composers, zip(*found, strict=True), strict=True)]
    chosen = next((one for one in measured if one.kl <= bound), measured[-1])
    return msgspec.structs.replace(chosen, tried=tuple((one.share, one.kl) for one in measured))


def judged(composer: Composer, found: Sequence[Finding]) -> BlendQuality:
    """What the findings of a probe come to."""
    divergences = [one.kl for one in found]
    return BlendQuality(
        model=digest_of(composer.engine.ref),
        recipe=RECIPE,
        share=composer.share,
        cases=len(found),
        kl=fmean(divergences),
        error=stdev(divergences) / len(found) ** 0.5 if len(found) > 1 else float("inf"),
        recomputed=fmean(one.recomputed for one in found),
        changed=fmean(one.changed for one in found),
    )


def examine(composers: Sequence[Composer], case: Case) -> list[Finding]:
    """A case answered from the whole prompt, and blended by each composer; the first note is exact, as it would be."""
    encoder, engine = composers[0], composers[0].engine
    prompt = engine.prompt(SYSTEM, case.notes, [Utterance("user", case.question)])
    answer, wanted = reference(engine, prompt)
    first: list[Kv] = [engine.prefill([*prompt.head, *prompt.notes[0]])]
    loose = [encoder.encode(note, system=SYSTEM) for note in case.notes[1:]]
    findings = []
    for composer in composers:
        blend = composer.blend(first, loose, prompt.tail)
        rest = engine.passed(answer[:-1], blend.cache, keep=len(answer) - 1)
        found = torch.cat([blend.rows[-1:], rest]).float().log_softmax(-1)
        changed = found.argmax(-1).tolist() != answer
        findings.append(Finding(kl=divergence(wanted, found), changed=changed, recomputed=blend.share))
    return findings


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


def open_blender(engine: LocalEngine, quality: BlendQuality | None, *, bound: float = BOUND) -> Composer:
    """A composer for a model with which blending was measured to be good enough; else BlendRefused, with the reason."""
    allowed = check(quality, model=digest_of(engine.ref), recipe=RECIPE, bound=bound)
    return Composer(engine, share=allowed.share)
