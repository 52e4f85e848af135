"""Gates of adapters: which questions open them, found by the words alone, the same in lessons, admission and use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from pymemos.cube.subjects import clause, end_of, without

_WORD: Final = re.compile(r"[^\W_]+")
_ANY: Final = frozenset(("what", "which"))  # every relation may be asked for with these: "what is the name of"
_ASKING: Final = frozenset("what which who whom whose where when why how".split())
_OTHERWISE: Final = frozenset("where when why how".split())  # none of these asks for a name
_ENDINGS: Final = ("ing", "ed", "es", "s", "e")
_STEM: Final = 3  # letters of a stem, at least
# What may stand just before that which is asked for, if its clause does not begin with it, and just behind it.
_LEADS: Final = frozenset(
    "is was are were be me us name say tell know knew forgot forget forgotten remember recall for need want just "
    "please down out guess state mention give who what where which whom that if and so called call wonder ask asked "
    "wonders hear".split()
)
_TRAILS: Final = frozenset("is was called named again please now today then might may could will would has".split())
_SENTENCE: Final = re.compile(r"(?<![.?!;])[.?!;]++(?:\s+|$)")  # a long row of dots is looked at once
_STOP: Final = re.compile(r"[^\w\s]|_")  # what ends a clause
_OWN: Final = re.compile(r"['’]s\b")
_OWNED: Final = re.compile(r"['’]s\s+(\w+)(['’]s\b)?")
# What a clause may begin with that is no part of it: what leads has to stand before this.
_ASKS_BACK: Final = re.compile(r"(?:\b(?:what|who|whom|which)|(?:\bthe\s+)?\bname\s+of(?:\s+the)?)\s*$", re.IGNORECASE)
_NEAR: Final = 120  # characters around a clause that show how it stands: all of a long text would be read at each
_THE: Final = re.compile(r"\bthe\s+$", re.IGNORECASE)


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What a question has to show for an adapter to act: a subject's name, and that one thing of it is asked for.

    ``cues`` are the ways in which that shows, of which one is enough. A cue is made of words that all have to occur, in
    any of their forms: ``a|b`` is one or the other, ``!a|b`` neither. One that holds ``{s}`` is a clause, which has to
    stand as it is, and to end there. ``asks`` are the interrogatives with which it is asked for, beside "what" and
    "which": a question that has others alone ("when", "how") is for something else. ``nouns`` are what the thing that
    is asked for is called ("capital of {s}"): one has to stand as what is asked for stands, so that "the mayor of the
    capital of S", "who burnt the capital of S" and "what is S's capital afraid of" are for something else, and so is
    "S's mother's capital". The last sentence that names the subject decides. Without cues all questions on the subject
    open the gate.

    A gate with ``clauses`` is of a relation turned round: it is named what was the object, and asked whose it is. The
    words of a relation do not show which way it is asked for ("whose sister is S", "who is S's sister"), so one of the
    clauses has to stand as it is, where what is asked for stands; nothing else opens it.
    """

    subject: str
    relation: str = ""
    cues: tuple[str, ...] = ()
    asks: tuple[str, ...] = ()
    nouns: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()


def opening(text: str, gates: Sequence[Gate]) -> int | None:
    """Where the name at which the first of the gates opens ends, in characters; None where all stay closed."""
    ends = [end for gate in opened(text, gates) if (end := end_of(text, gate.subject)) is not None]
    return min(ends, default=None)


def opened(text: str, gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """The gates that a text opens."""
    return tuple(gate for gate in gates if end_of(text, gate.subject) is not None and _is_asked(text, gate))


def closed(text: str, gates: Sequence[Gate]) -> str:
    """Why a text that names subjects opens none of their gates; nothing where it names none, or opens one."""
    named = [gate for gate in gates if end_of(text, gate.subject) is not None]
    if not named or opened(text, named):
        return ""
    subjects = ", ".join(dict.fromkeys(gate.subject for gate in named))
    known = ", ".join(dict.fromkeys(gate.relation for gate in named))
    return f"the question names {subjects}, but does not seem to ask for what was learned: {known}"


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, in small letters."""
    return tuple(_WORD.findall(text.lower()))


def _is_asked(text: str, gate: Gate) -> bool:
    if not gate.cues and not gate.clauses:
        return True
    text = " ".join(_last_sentence(text, gate.subject).split())
    if gate.clauses:
        return _is_asked_back(text, gate)
    said = set(words_of(without(text, gate.subject)))
    asking = said & _ASKING
    if asking and not asking & (_ANY | set(gate.asks)):
        return False
    if _is_of_it(text, gate):
        return False
    stems = {_stem(word) for word in said}
    return any(_shows(text, stems, cue, gate.subject) for cue in gate.cues)


def _is_asked_back(text: str, gate: Gate) -> bool:
    """Whether a clause of the gate stands as what is asked for, and nobody asks when, where, why or how."""
    found = [match.span() for one in gate.clauses for match in clause(one, gate.subject).finditer(text)]
    otherwise = next((word.end() for word in _WORD.finditer(text) if word[0].lower() in _OTHERWISE), len(text))
    return any(
        start < otherwise and _leads(_ASKS_BACK.sub("", _before(text, start))) and _trails(_behind(text, end))
        for start, end in found
    )


def _last_sentence(text: str, subject: str) -> str:
    """The last sentence in which the subject is named: what was said of it before is not what is asked for."""
    start, end = [match.span() for match in clause("{s}", subject).finditer(text)][-1]
    begins = [match.end() for match in _SENTENCE.finditer(text[:start])]
    ends = _SENTENCE.search(text[end:])
    return text[begins[-1] if begins else 0 : len(text) if ends is None else end + ends.end()]


def _before(text: str, place: int) -> str:
    return text[max(0, place - _NEAR) : place]


def _behind(text: str, place: int) -> str:
    return text[place : place + _NEAR]


def _is_of_it(text: str, gate: Gate) -> bool:
    """Whether a text speaks of what is asked for, or of the subject, only to ask for something of these."""
    found = [match.span() for noun in gate.nouns for match in clause(noun, gate.subject).finditer(text)]
    if found:
        return not any(_leads(_before(text, start)) and _trails(_behind(text, end)) for start, end in found)
    cues = {_stem(word) for cue in gate.cues for term in cue.split() if term[0] != "!" for word in term.split("|")}
    ends = [match.end() for match in clause("{s}", gate.subject).finditer(text)]
    return all(_is_owner(_behind(text, end), cues) for end in ends)


def _leads(before: str) -> bool:
    """Whether what is asked for may follow: "what is the", "tell me", "the name of", and not "who burnt"."""
    said = _THE.sub("", before).rstrip()
    last = words_of(said)[-2:]
    if not said or not said[-1].isalnum():
        return True
    return last[-1] in _LEADS or (last[-1] == "of" and last[0] == "name")


def _trails(behind: str) -> bool:
    """Whether no more of the clause follows what is asked for than is said of anything."""
    more = [word for word in _STOP.split(behind, maxsplit=1)[0].lower().split() if word not in _TRAILS]
    return _OWN.match(behind) is None and (not more or more[0] in _ASKING)


def _is_owner(behind: str, cues: set[str]) -> bool:
    """Whether the subject only owns what is spoken of: "S's mother", where no cue is a mother."""
    owned = _OWNED.match(behind)
    if owned is None:
        return False
    return owned[2] is not None or _stem(owned[1].lower()) not in cues


def _shows(text: str, stems: set[str], cue: str, subject: str) -> bool:
    if "{s}" in cue:
        return end_of(text, cue.replace("{s}", subject), ending=True) is not None
    return all(_holds(stems, term) for term in cue.split())


def _holds(stems: set[str], term: str) -> bool:
    plain = term.removeprefix("!")
    return any(_stem(word) in stems for word in plain.split("|")) != term.startswith("!")


def _stem(word: str) -> str:
    """A word without what its forms differ by: so that "live", "lives" and "living" are one."""
    if word.endswith("ies") and len(word) > _STEM + 1:
        return word[:-3] + "y"
    for end in _ENDINGS:
        rest = word.removesuffix(end)
        if rest != word and len(rest) >= _STEM and not word.endswith("ss"):
            return rest[:-1] if end in ("ing", "ed") and rest[-1] == rest[-2] and rest[-1] not in "lsz" else rest
    return word
