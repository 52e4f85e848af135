"""Letting in: what a privacy policy lets be written, and with which labels (5.5.1, ADR 0030)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from pymemos.cube.cube import MemCube
from pymemos.cube.header import Governance
from pymemos.cube.payload import Plaintext
from pymemos.cube.policy import PRIVACY, STORE, PrivacyRule
from pymemos.cube.privacy import LABELS, Found, Handling, Kind, labels, redact
from pymemos.cube.wire import Document, seal
from pymemos.errors import SensitiveText
from pymemos.infrastructure import vault
from pymemos.infrastructure.policies import Book
from pymemos.infrastructure.privacy.scanning import available, check_available, scan
from pymemos.infrastructure.vault import Draft
from pymemos.interface.api import Work
from pymemos.interface.requests import Labels
from pymemos.ports import Record

Places = tuple[Found, ...]  # in one text
_SEVERITY = tuple(Handling)  # from the mildest to the strictest


def handling(book: Book, namespace: str) -> dict[Kind, Handling]:
    """What happens to each kind in a namespace: of its rule and the store's the stricter; else what can be is tagged.

    A kind that a rule names and that cannot be found here is an error, for otherwise it would be let through.
    """
    return book.concluded(("handling", namespace), (namespace,), lambda: _handling(book, namespace))


def _handling(book: Book, namespace: str) -> dict[Kind, Handling]:
    rules = [
        change.rule.handling
        for place in (namespace, STORE)
        if (change := book.held(place, PRIVACY)) is not None and isinstance(change.rule, PrivacyRule)
    ]
    named = {kind for rule in rules for kind, how in rule.items() if how is not Handling.IGNORE}
    check_available(named)
    return {kind: _stricter(kind, rules) for kind in Kind}


def _stricter(kind: Kind, rules: Sequence[Mapping[Kind, Handling]]) -> Handling:
    stated = [rule[kind] for rule in rules if kind in rule]
    if stated:
        return max(stated, key=_SEVERITY.index)
    return Handling.TAG if kind in available() else Handling.IGNORE


def let_in(work: Work, namespace: str, text: str, found: Sequence[Found]) -> tuple[str, tuple[str, ...]]:
    """A text as the policy lets it be written, and its labels; raises SensitiveText for what it refuses."""
    how = handling(work.of.book, namespace)
    refused = [one for one in found if how[one.kind] is Handling.REFUSE]
    if refused:
        raise SensitiveText(
            f"the privacy policy of {namespace!r} refuses {_places(refused)}; leave that out, or change the policy"
        )
    kept = [one for one in found if how[one.kind] is Handling.TAG]
    return redact(text, (one for one in found if how[one.kind] is Handling.REDACT)), labels(kept)


def labelled(one: Draft, found: Places) -> Draft:
    """A new memory with the labels of all that was found in it, before a policy is asked."""
    if not found:
        return one
    cube = one.cube
    rules = cube.header.governance
    wanted = msgspec.structs.replace(rules, sensitivity=joined(rules.sensitivity, labels(found)))
    made, document = _sealed(cube, wanted, cube.text)
    return msgspec.structs.replace(one, cube=made, document=document)


def settled(work: Work, drafts: list[Draft], found: Sequence[Places]) -> list[Draft]:
    """New memories as the policy lets them be written; they came with the labels of all that was found."""
    if not any(found):
        handling(work.of.book, drafts[0].cube.namespace)  # what is demanded must be possible, found or not
        return drafts
    return [_settled(work, one, places) for one, places in zip(drafts, found, strict=True)]


def _settled(work: Work, one: Draft, found: Places) -> Draft:
    if not found:
        return one
    cube = one.cube
    text, tags = let_in(work, cube.namespace, cube.text, found)
    if text == cube.text and tags == labels(found):
        return one
    own = work.call.request.labels.sensitivity or ()  # type: ignore[attr-defined]
    rules = msgspec.structs.replace(cube.header.governance, sensitivity=joined(own, tags))
    made, document = _sealed(cube, rules, text)
    if text == cube.text:
        return msgspec.structs.replace(one, cube=made, document=document)
    return msgspec.structs.replace(vault.draft(made), document=document)


def _sealed(cube: MemCube, rules: Governance, text: str) -> tuple[MemCube, bytes]:
    """A new memory under other rules, with another text."""
    assert isinstance(cube.payload, Plaintext)  # noqa: S101 (only texts are looked through)
    declared = Document(
        id=cube.id,
        descriptive=cube.header.descriptive,
        governance=rules,
        payload=msgspec.structs.replace(cube.payload, content=text),
        parents=cube.parents,
    )
    return seal(declared, cube.salt)


def settled_new(work: Work, cube: MemCube) -> MemCube:
    """A memory that was made of others, as the policy lets it be written."""
    if not isinstance(cube.payload, Plaintext) or not (found := scan(cube.text)):
        return cube
    text, tags = let_in(work, cube.namespace, cube.text, found)
    rules = cube.header.governance
    return _sealed(cube, msgspec.structs.replace(rules, sensitivity=joined(rules.sensitivity, tags)), text)[0]


def settled_version(work: Work, cube: MemCube, newer: MemCube) -> MemCube:
    """The next version of ``cube`` as the policy lets it be written."""
    if not isinstance(newer.payload, Plaintext) or newer.is_manifest:
        return newer
    rules = newer.header.governance
    if newer.text == cube.text:  # was let in already, under whatever rules there were
        text, wanted = newer.text, joined(rules.sensitivity, labels_of(work, newer))
    else:  # what the old text held says nothing of the new one
        text, tags = let_in(work, newer.namespace, newer.text, scan(newer.text))
        given: Labels | None = getattr(work.call.request, "labels", None)
        stays = (given and given.sensitivity) or ()
        wanted = joined((one for one in rules.sensitivity if one not in LABELS or one in stays), tags)
    if text == newer.text and wanted == rules.sensitivity:
        return newer
    return cube.derive(
        descriptive=newer.header.descriptive,
        governance=msgspec.structs.replace(rules, sensitivity=wanted),
        payload=msgspec.structs.replace(newer.payload, content=text),
        parents=newer.parents,
    )


def labels_of(work: Work, cube: MemCube) -> tuple[str, ...]:
    """The labels that a memory should have; what a policy would redact or refuse now is labelled too."""
    how = handling(work.of.book, cube.namespace)
    return labels(one for one in scan(cube.text) if how[one.kind] is not Handling.IGNORE)


def with_labels(work: Work, rules: Governance, cube: MemCube) -> Governance:
    """Rules with the labels of what a memory says: that was let in once, under whatever policy there was."""
    if cube.is_manifest:
        return rules
    return msgspec.structs.replace(rules, sensitivity=joined(rules.sensitivity, labels_of(work, cube)))


def put_labels(work: Work, cube: MemCube, cause: str) -> None:
    """Write a version of a memory that has the labels which it lacks."""
    said = msgspec.structs.replace(cube.header.descriptive, updated=work.now, cause=cause, author=work.call.caller.name)
    newer = cube.derive(descriptive=said, governance=with_labels(work, cube.header.governance, cube))
    draft = msgspec.structs.replace(vault.draft(newer), vectors=work.unit.vectors_of(cube.id))
    vault.supersede(work.unit, draft, work.now)


def lacks_labels(work: Work, cube: MemCube) -> bool:
    """Whether a memory holds something that has no label."""
    rules = cube.header.governance
    return with_labels(work, rules, cube).sensitivity != rules.sensitivity


def refuses(work: Work, records: Iterable[Record]) -> bool:
    """Whether a policy would not let a memory be written as it is: it is taken in whole, or not at all."""
    for record in records:
        cube = record.cube
        how = handling(work.of.book, cube.namespace)
        if any(how[one.kind] in (Handling.REDACT, Handling.REFUSE) for one in scan(cube.text)):
            return True
    return False


def joined(own: Iterable[str], tags: Iterable[str]) -> tuple[str, ...]:
    """Labels of the caller's and of the detector's, each once."""
    return tuple(dict.fromkeys((*own, *tags)))


def _places(found: Iterable[Found]) -> str:
    """Kinds and places, never what stands there."""
    return ", ".join(f"{one.kind.value} at {one.start}–{one.end}" for one in found)
