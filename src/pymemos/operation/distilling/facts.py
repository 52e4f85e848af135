"""What a text says of something that has a name: subject, relation and object, read by the forms of statements.

No model is asked. A sentence that has none of these forms gives nothing, rather than a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from pymemos.operation.distilling import cues

_NAME: Final = r"(?P<s>[A-Z0-9][\w'’.\-]*(?: (?:[A-Z0-9][\w'’.\-]*|of|de|von|van|der|la|el|al|du|da))*)"
_THING: Final = r"(?:[Tt]he )?(?P<s>[A-Z][\w'’\-]*(?: [\w'’\-]+){0,4}?)"
_OBJECT: Final = r"(?P<o>[^\s].*?)"
_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9])|\n+")
_YEAR: Final = re.compile(r"\b\d{3,4}\b")
NOT_A_NAME: Final = frozenset(
    "I We You He She It They This That These Those There Here My Our Your His Her Its Their What Who Where When Why How"
    " Which If And But Or So Yes No Not The A An In On At For From To By With As".split()
)


class Relation(msgspec.Struct, frozen=True, kw_only=True):
    """How one asks for something and says it: clauses in which ``{s}`` stands for the subject.

    ``stems`` are the beginnings of the statement, behind which the object follows. ``cues`` and ``asks`` are what shows
    that it is this that is asked for (``cube.gates``).
    """

    name: str
    direct: tuple[str, ...]  # "where does {s} live"
    indirect: tuple[str, ...]  # "where {s} lives"
    nouns: tuple[str, ...]  # "the home of {s}"
    stems: tuple[str, ...]  # "{s} lives in"
    cues: tuple[str, ...] = ()  # "live", "home|residence"
    clauses: tuple[str, ...] = ()  # of a relation turned round: all that asks for it, "who lives in {s}"

    @property
    def asks(self) -> tuple[str, ...]:
        """With which interrogatives one asks for it."""
        clauses = (cue for cue in self.cues if "{s}" in cue)
        return cues.interrogatives((*self.direct, *self.indirect, *clauses), self.name)


class Fact(msgspec.Struct, frozen=True):
    """One thing that a memory says; ``source`` is the memory's id."""

    subject: str
    relation: Relation
    object: str
    source: str = ""


def facts_in(text: str, source: str = "") -> tuple[Fact, ...]:
    """The facts of a text, in the order of its sentences; none for a sentence that has another form."""
    found = (_read(sentence.strip(), source) for sentence in _SENTENCE.split(text))
    return tuple(fact for fact in found if fact is not None)


def _read(sentence: str, source: str) -> Fact | None:
    plain = sentence.rstrip(".! ")
    if not plain or sentence.endswith("?"):
        return None
    for form, relation_of in _FORMS:
        match = form.fullmatch(plain)
        if match is None:
            continue
        subject, value = match["s"].strip(), match["o"].strip()
        if _is_name(subject) and value and len(value) <= _LONGEST:
            return Fact(subject, relation_of(match), value, source)
    return None


_LONGEST: Final = 80  # characters of an object: longer ones are no answer but a story


def _is_name(subject: str) -> bool:
    return len(subject) > 2 and subject.split()[0] not in NOT_A_NAME


# ── Relations ───────────────────────────────────────────────────────────────────────────────────────────────────────

_WHO: Final = frozenset(
    "mayor founder author director owner president king queen teacher captain inventor composer painter architect "
    "manager leader chief boss wife husband spouse mother father sister brother son daughter partner coach editor "
    "doctor landlord neighbour discoverer governor chef keeper".split()
)
_WHERE: Final = frozenset("home birthplace location headquarters seat".split())


def _noun(match: re.Match[str]) -> Relation:
    """ "The capital of S is O", "S's capital is O"."""
    return noun_relation(match["r"].strip(), "was" if match["be"] == "was" else "is")


def noun_relation(noun: str, be: str = "is") -> Relation:
    """What belongs to a subject, by a noun."""
    last = noun.split()[-1]
    wh = "who" if last in _WHO else "where" if last in _WHERE else "what"
    return Relation(
        name=noun,
        direct=(f"{wh} {be} the {noun} of {{s}}", f"{wh} {be} {{s}}'s {noun}"),
        indirect=(f"{wh} the {noun} of {{s}} {be}", f"{wh} {{s}}'s {noun} {be}"),
        nouns=(f"the {noun} of {{s}}", f"{{s}}'s {noun}"),
        stems=(f"the {noun} of {{s}} {be}", f"{{s}}'s {noun} {be}"),
        cues=cues.of_noun(noun),
    )


def _verb(
    said: str,
    wh: str,
    base: str,
    past: bool,
    name: str,
    nouns: tuple[str, ...],
    others: tuple[str, ...],
    shown: tuple[str, ...],
) -> Relation:
    """A verb with what follows it: "lives in" is asked for as "where does S live"."""
    did = "did" if past else "does"
    return Relation(
        name=name,
        direct=(f"{wh} {did} {{s}} {base}".strip(), *others),
        indirect=(f"{wh} {{s}} {said if wh != 'where' else _without_place(said)}",),
        nouns=nouns or (f"the {name} of {{s}}",),
        stems=(f"{{s}} {said}",),
        cues=shown,
    )


def _without_place(said: str) -> str:
    head, _, last = said.rpartition(" ")
    return head if last in ("in", "at", "on", "from") else said


_Form = tuple[re.Pattern[str], Callable[[re.Match[str]], Relation]]


class _Verb(msgspec.Struct, frozen=True):
    """A verb as it is said; how one asks; its noun; more ways to ask."""

    said: str
    wh: str
    base: str
    name: str
    nouns: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    cues: tuple[str, ...] = ()


_EMPLOYED: Final = ("work where|whom|who|at|for", "employer|employ|workplace|company|firm")
_VERBS: Final = (
    _Verb(
        "lives in",
        "where",
        "live",
        "home",
        ("the home of {s}", "the place where {s} lives"),
        ("in which place does {s} live",),
        (f"live|reside|dwell {cues.TIMES}", f"home|residence {cues.TIMES}"),
    ),
    _Verb(
        "works as",
        "what",
        "work as",
        "job",
        ("the job of {s}", "{s}'s profession"),
        ("what is {s}'s job",),
        cues.of_noun("job"),
    ),
    _Verb(
        "works at",
        "where",
        "work",
        "employer",
        ("the employer of {s}", "{s}'s workplace"),
        ("for whom does {s} work",),
        _EMPLOYED,
    ),
    _Verb(
        "works for",
        "who",
        "work for",
        "employer",
        ("the employer of {s}", "{s}'s workplace"),
        ("where does {s} work",),
        _EMPLOYED,
    ),
    _Verb(
        "comes from",
        "where",
        "come from",
        "origin",
        ("the origin of {s}", "the place where {s} comes from"),
        ("what is {s}'s origin",),
        (f"come from|where {cues.TIMES}", "origin|hometown"),
    ),
    _Verb(
        "studies at",
        "where",
        "study",
        "school",
        ("the school of {s}", "the place where {s} studies"),
        ("at which school does {s} study",),
        (f"study at|where {cues.TIMES}", "school|university|college"),
    ),
)


def _known(verb: _Verb) -> _Form:
    relation = _verb(verb.said, verb.wh, verb.base, False, verb.name, verb.nouns, verb.others, verb.cues)
    return re.compile(rf"{_THING} {verb.said} {_OBJECT}"), lambda _: relation


def _passive(match: re.Match[str]) -> Relation:
    """ "S was founded by O", "S was born in O"."""
    be, verb, prep = match["be"], match["v"], match["p"]
    if prep == "by":
        wh, noun = "by whom", f"the one by whom {{s}} {be} {verb}"
    elif prep in ("of", "from", "to", "with", "after"):
        wh, noun = f"{prep} what" if prep != "to" else "to whom", f"what {{s}} {be} {verb} {prep}"
    elif _YEAR.search(match["o"]):
        wh, noun = "when", f"the year in which {{s}} {be} {verb}"
    else:
        wh, noun = "where", f"the place where {{s}} {be} {verb}"
    tail = f" {prep}" if wh in ("when", "where") else ""
    what = {"by": "who", "to": "who"}.get(prep, "what")
    asks = (
        f"{what} {be} {{s}} {verb} {prep}"
        if not tail
        else f"{prep} which {'year' if wh == 'when' else 'place'} {be} {{s}} {verb}"
    )
    return Relation(
        name=f"{verb} {prep}",
        direct=(f"{wh} {be} {{s}} {verb}", asks),
        indirect=(f"{wh} {{s}} {be} {verb}",),
        nouns=(noun,),
        stems=(f"{{s}} {be} {verb} {prep}",),
        cues=_done(verb, prep, wh),
    )


def _done(verb: str, prep: str, wh: str) -> tuple[str, ...]:
    """What shows that one asks by whom, of what, where or when something was done."""
    word = cues.alike(verb)
    if wh == "where":
        return tuple(f"{one} {cues.TIMES}" for one in (f"{word} {cues.PLACES}|{prep}", *_ENDS.get(verb, ())))
    if wh == "when":
        return (f"{word} when|year|date|{prep} !{cues.PLACES}",)
    shown = (f"{word} {prep}|out" if prep in ("of", "from") else f"{word} {prep}", *_ENDS.get(verb, ()))
    if prep == "by":
        agent = verb.removesuffix("d").removesuffix("e") + "er"
        return (*shown, f"{word} who|whom|which", f"{agent}")
    return shown


_ENDS: Final = {
    "born": ("birthplace", "place birth", "native"),
    "made": ("material", "consist"),
    "founded": ("establish who|whom|by",),
}


def _action(match: re.Match[str]) -> Relation:
    """ "S plays O", "S believes in O": a verb in the present, which one asks for in its base form."""
    verb, prep = match["v"], match["p"] or ""
    said = f"{verb} {prep}".strip()
    base = f"{_base(verb)} {prep}".strip()
    return _verb(said, "what", base, False, said, (f"the thing that {{s}} {said}",), (), (base,))


def _base(verb: str) -> str:
    irregular = {"has": "have", "does": "do", "goes": "go", "is": "be"}
    if verb in irregular:
        return irregular[verb]
    if verb.endswith("ies") and len(verb) > 4:
        return verb[:-3] + "y"
    return verb[:-2] if verb.endswith(("sses", "shes", "ches", "xes", "zzes")) else verb[:-1]


def _copula(match: re.Match[str]) -> Relation:
    """ "S is a glassblower"."""
    be = match["be"]
    return Relation(
        name="kind",
        direct=(f"what {be} {{s}}",),
        indirect=(f"what {{s}} {be}",),
        nouns=("the right description of {s}",),
        stems=(f"{{s}} {be}",),
        cues=(
            *(f"{wh} {be} {{s}}" for wh in ("what", "who")),
            f"what {{s}} {be}",
            f"{{s}} {be}",
            f"{{s}} {be} what",
            "right description",
        ),
    )


_PARTICIPLE: Final = r"[a-z]+(?:ed|en|rn|de|lt|ught|nt|ung|old)"
_FORMS: Final[tuple[_Form, ...]] = (
    (re.compile(rf"The (?P<r>[a-z][\w\- ]*?) of (?:the )?{_THING} (?P<be>is|was) (?:called |named )?{_OBJECT}"), _noun),
    (re.compile(rf"{_THING}['’]s (?P<r>[a-z][\w\- ]*?) (?P<be>is|was) (?:called |named )?{_OBJECT}"), _noun),
    *(_known(verb) for verb in _VERBS),
    (
        re.compile(rf"{_THING} (?P<be>is|was) (?P<v>{_PARTICIPLE}) (?P<p>by|in|at|on|of|from|to|with|after) {_OBJECT}"),
        _passive,
    ),
    (re.compile(rf"{_NAME} (?P<be>is|was) (?P<o>(?:a|an|the) .+)"), _copula),
    (
        re.compile(
            rf"{_NAME} (?P<v>(?!is\b|was\b|has\b)[a-z]+s)(?: (?P<p>in|at|on|for|with|to|about|from))? {_OBJECT}"
        ),
        _action,
    ),
)
