"""Pathways: by which steps memories come to another form, what stays exact and what may be lost (4.1, 4.2).

A plan is made of what somebody looked up; whether it is carried out, and when, others decide. Where there is no way, a
refusal says what to do instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

import msgspec


class Form(StrEnum):
    """What a memory can be (4.1); a steering vector is an activation too, and has a way of its own."""

    PLAINTEXT = "plaintext"
    ACTIVATION = "activation"
    PARAMETRIC = "parametric"
    STEERING = "steering"


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """A memory that a pathway begins from, as it was found."""

    id: str
    form: Form
    reason: str = ""  # why it may not be read or used, or nothing


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to carry a plan out with."""

    engine: bool  # a local model whose caches memory can reach
    tuner: bool  # and what trains adapters for it


class Step(msgspec.Struct, frozen=True):
    """One step of a plan; a job may end between any two of them, and is done again."""

    name: str
    does: str


class PathwayPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How memories come to another form.

    ``exact`` says what is not lost, ``may_lose`` what may be, ``measures`` the figures that will stand in the header of
    what is made, and ``back`` how it is taken back.
    """

    pathway: str
    ids: tuple[str, ...]
    to: Form
    against: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    exact: str = ""
    may_lose: str = ""
    measures: tuple[str, ...] = ()
    back: str = ""


class NoPathway(msgspec.Struct, frozen=True, kw_only=True):
    """Why there is no way, and what to do instead; ``lacks_model`` where a local model would open one."""

    reason: str
    instead: str
    lacks_model: bool = False

    def __str__(self) -> str:
        return f"{self.reason}; {self.instead}"


class _Pathway(msgspec.Struct, frozen=True, kw_only=True):
    steps: tuple[Step, ...]
    exact: str
    may_lose: str
    measures: tuple[str, ...]
    back: str
    trains: bool = False
    most: int | None = None  # memories that it begins from
    least: int = 1


PAIRS: Final = 6  # behaviours that a vector takes at least; fewer do not tell what they have in common
PRESENT: Final = 0.5  # share of a fact's probes that are to be answered rightly for it to count as there (ours)

_TAUGHT = ("recall", "leak", "leak_same_subject", "changed", "perplexity_ratio", "admitted")
_RIGHT = ("right_with", "right_without", "probes", "facts", "left_out")
_ENCODE = Step("encode", "compute keys and values of the texts, behind the system's words, and store them")
_PROBE = Step("probe", "ask for every fact of the manifest, with the adapter and without it")
_EXAMINE = Step("examine", "put it through the admission test, and keep it, admitted or not")

_PATHWAYS: Final[dict[tuple[Form, Form], _Pathway]] = {
    (Form.PLAINTEXT, Form.ACTIVATION): _Pathway(
        steps=(_ENCODE, Step("measure", "ask the model with what was stored, and with everything read again")),
        exact="the model computes the same numbers as after reading the texts",
        may_lose="what rounding makes of it; more in a lossy form",
        measures=("kl", "largest_difference", "prompts"),
        back="delete the segments; the texts stay as they are",
    ),
    (Form.PLAINTEXT, Form.PARAMETRIC): _Pathway(
        steps=(Step("train", "train an adapter on what the texts say, in many phrasings"), _EXAMINE),
        exact="without a named subject the model is the base, to the last bit",
        may_lose="facts that are not answered in other words, and answers to other questions on the same subjects",
        measures=_TAUGHT,
        back="delete the adapter; the texts stay as they are",
        trains=True,
    ),
    (Form.ACTIVATION, Form.PARAMETRIC): _Pathway(
        steps=(
            Step("inject", "read the segment, and everything before it: the model with it is the teacher"),
            Step("train", "train an adapter to say what the teacher says where it is right, by its log-probabilities"),
            Step("measure", "compare both on questions that were not learned from"),
            _EXAMINE,
        ),
        exact="without a named subject the model is the base, to the last bit",
        may_lose="what the teacher knows and no lesson asks for, and what the adapter did not learn of the rest; "
        "a small model teaches less than its texts do",
        measures=("kl_before", "kl_after", "teacher_right", "held_out", *_TAUGHT),
        back="delete the adapter; the segment stays as it is",
        trains=True,
        most=1,
    ),
    (Form.ACTIVATION, Form.PLAINTEXT): _Pathway(
        steps=(
            Step("decode", "read the tokens of the segments as text, and hold them against their sources"),
            Step("keep", "go back to the sources where they say the same, and write down what has none"),
        ),
        exact="texts whose sources are still here are these, word for word",
        may_lose="what the tokens of a segment without sources do not tell: who said it, and when to the minute",
        measures=("tokens_differ", "tokens"),
        back="transform the texts to 'activation' again, or restore the segments",
    ),
    (Form.PARAMETRIC, Form.PLAINTEXT): _Pathway(
        steps=(_PROBE, Step("keep", "write down what it answers rightly and the model alone does not")),
        exact="what is written down was answered, in half of the phrasings or more",
        may_lose="facts that it does not answer, or that the model knows without it: these are named",
        measures=_RIGHT,
        back="delete the text; the adapter stays as it is",
        trains=True,
        most=1,
    ),
    (Form.PARAMETRIC, Form.ACTIVATION): _Pathway(
        steps=(
            _PROBE,
            Step("keep", "write down what it answers rightly and the model alone does not"),
            Step("encode", "compute keys and values of that text, and measure them as for any text"),
        ),
        exact="the segment is exactly that of the text that was written down",
        may_lose="what the way from the adapter to text loses",
        measures=(*_RIGHT, "kl", "largest_difference", "prompts"),
        back="delete the segment and the text; the adapter stays as it is",
        trains=True,
        most=1,
    ),
    (Form.PLAINTEXT, Form.STEERING): _Pathway(
        steps=(
            Step("contrast", "put each text beside another that lacks the trait: one that was named, or what the model "
                             "says by itself to the same turn"),
            Step("steer", "take the difference of their mean states, at the layer and strength that do best"),
        ),
        exact="the prompt's own caches stay those of the plain model",
        may_lose="everything but the trait: a vector knows no facts; its effect on pairs held out is measured",
        measures=("effect", "effect_low", "effect_high", "held_out"),
        back="delete the vector; the texts stay as they are",
        least=PAIRS,
    ),
}  # fmt: skip

_INSTEAD: Final[dict[Form, str]] = {
    Form.STEERING: "make a vector of texts that show the behaviour",
    Form.ACTIVATION: "choose texts, or one adapter",
    Form.PARAMETRIC: "choose texts, or one segment",
    Form.PLAINTEXT: "choose segments, or one adapter",
}


def plan(found: Sequence[Given], to: Form, means: Means, *, against: Sequence[Given] = ()) -> PathwayPlan | NoPathway:
    """The way of some memories to a form, or why there is none. All of them have to be of one form."""
    forms = {one.form for one in found}
    if len(forms) != 1:
        return NoPathway(reason="the memories are of several forms", instead="transform those of each form by itself")
    (form,) = forms
    chosen = _PATHWAYS.get((form, to))
    if chosen is None:
        same = form is to
        reason = f"they are {form.value} already" if same else f"nothing leads from {form.value} to {to.value}"
        return NoPathway(reason=reason, instead=_INSTEAD[to] if not same else "choose another form")
    return _refused(found, to, chosen, means, against) or PathwayPlan(
        pathway=f"{form.value}-{to.value}",
        ids=tuple(one.id for one in found),
        to=to,
        against=tuple(one.id for one in against),
        steps=chosen.steps,
        exact=chosen.exact,
        may_lose=chosen.may_lose,
        measures=chosen.measures,
        back=chosen.back,
    )


def _refused(
    found: Sequence[Given], to: Form, chosen: _Pathway, means: Means, against: Sequence[Given]
) -> NoPathway | None:
    """What stands in the way of a pathway that there is."""
    if not means.engine or (chosen.trains and not means.tuner):
        what = "learns" if means.engine else "memory can reach"
        return NoPathway(
            reason=f"there is no local model that {what}",
            instead="pass engine= with one, or name one in the settings",
            lacks_model=True,
        )
    if chosen.most is not None and len(found) > chosen.most:
        return NoPathway(reason=f"{len(found)} memories are too many", instead="transform them one at a time")
    if len(found) < chosen.least:
        return NoPathway(
            reason=f"{len(found)} texts are too few to tell what they have in common",
            instead=f"choose {chosen.least} or more",
        )
    return _unfit(found, to, against)


def _unfit(found: Sequence[Given], to: Form, against: Sequence[Given]) -> NoPathway | None:
    """A memory that may not be used, or contrasts that do not go with what is wanted."""
    for one in (*found, *against):
        if one.reason:
            return NoPathway(reason=f"memory {one.id!r} cannot be used: {one.reason}", instead="choose another")
    if against and to is not Form.STEERING:
        return NoPathway(reason="only a steering vector has contrasts", instead="leave out against=")
    if against and len(against) != len(found):
        return NoPathway(
            reason=f"{len(against)} contrasts do not go with {len(found)} texts",
            instead="name one for each, in the same order",
        )
    if any(one.form is not Form.PLAINTEXT for one in against):
        return NoPathway(reason="a contrast is no text", instead="name texts in against=")
    return None
