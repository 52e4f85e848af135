"""How good blending is with a model: measured on invented notes, kept beside the model, and asked before each use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Final

import msgspec
import torch
from torch import Tensor

from pymemos.cube.blending import BOUND, LEAST, BlendQuality, check
from pymemos.models.local.blending import SHARE, Composer
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
    share: float = SHARE,
    on_case: Callable[[int], object] = lambda done: None,
) -> BlendQuality:
    """Measure blending with a model on invented notes and questions; some ten seconds of a core for each with 135M.

    Keep what it gives with ``models.measured.keep``, and pass it to ``open_blender``. ``on_case`` is told how many
    cases are done.
    """
    composer = Composer(engine, share=share)
    found = []
    for case in cases_from(seed, cases):
        found.append(examine(composer, case))
        on_case(len(found))
    return judged(composer, found)


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


def open_blender(engine: LocalEngine, quality: BlendQuality | None, *, bound: float = BOUND) -> Composer:
    """A composer for a model with which blending was measured to be good enough; else BlendRefused, with the reason."""
    allowed = check(quality, model=digest_of(engine.ref), recipe=RECIPE, bound=bound)
    return Composer(engine, share=allowed.share)
