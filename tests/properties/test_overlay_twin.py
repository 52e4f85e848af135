"""An overlay held against the memory twin: a store with changes over it reads like a store with the changes in it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import operations as acts
from tests.properties.operations import IDS, NAMES, DeliberateError, unit_of
from tests.properties.test_store_twin import SESSIONS, SOURCES, changes, selections, sorted_vectors

from pymemos.adapters.memory import MemoryStore
from pymemos.adapters.overlay import MemoryOverlay
from pymemos.adapters.overlay.unit import OverlayUnit, _without
from pymemos.errors import PymemosError
from pymemos.ports import ReadUnit, TermWeights
from pymemos.testing import strategies as kit
from pymemos.testing.builders import EVERYTHING
from pymemos.testing.doubles import WHEN

DEEP = settings().max_examples > 100
thoroughly = settings(max_examples=400 if DEEP else 20)  # a cube takes long to make
PIN = WHEN + timedelta(hours=50)  # later than what any operation says
pytestmark = pytest.mark.timeout(1800 if DEEP else 120)
BESIDE = {acts.use, acts.enqueue, acts.claim, acts.complete, acts.fail, acts.replace_job, acts.remove_job}
BESIDE |= {acts.append_audit, acts.remember, acts.forget_replays}
BESIDE |= {acts.erase, acts.put_rule}  # as all of these, left to the store: a world has no method for them


def groups(*left_out):
    """Units of operations without some."""
    out = {*BESIDE, *left_out}
    units = st.lists(acts.operations, min_size=1, max_size=5)
    return st.lists(units.map(lambda unit: [one for one in unit if one.function not in out]), max_size=4)


def wrote(work):
    """Whether it did: what fails changes nothing."""
    try:
        return "gave", work()
    except (PymemosError, DeliberateError) as error:
        return "raised", type(error)


def pinned(written):
    """A store that some units wrote to, with the seq and time of every namespace raised to one moment."""
    store = MemoryStore()
    for group in written:
        wrote(lambda g=group: store.write(unit_of(g)))
    store.write(lambda unit: [unit.advance(name, PIN) for name in NAMES])
    return store


def copied(store):
    twin = MemoryStore()
    twin._state = store._state.copied()
    return twin


def over(store, overlay, work):
    """A unit of an overlay, kept when the work succeeds."""
    with store.read() as base:
        unit = overlay.over(base)
        for name in NAMES:
            unit.follow(name)
        result = work(unit)
        overlay.keep(unit)
        return result


@thoroughly
@given(before=groups(), inside=groups(), selection=selections, terms=st.lists(st.sampled_from(kit.WORDS), max_size=3))
def test_a_store_with_changes_over_it_reads_like_one_with_the_changes_in_it(before, inside, selection, terms):
    store = pinned(before)
    untouched, twin, overlay = store._state.copied(), copied(store), MemoryOverlay(PIN)
    for group in inside:
        expected = wrote(lambda g=group: twin.write(unit_of(g)))
        assert plain(wrote(lambda g=group: over(store, overlay, unit_of(g)))) == plain(expected)

    with twin.read() as unit:
        expected = view(unit, selection), found(unit, terms, selection)
    assert over(store, overlay, lambda unit: (view(unit, selection), found(unit, terms, selection))) == expected
    assert store._state == untouched


@thoroughly
@given(before=groups(), inside=groups(acts.set_setting), since=groups(acts.adopt, acts.move, acts.set_setting))
def test_what_the_store_does_later_is_not_seen(before, inside, since):
    store = pinned(before)
    twin, overlay = copied(store), MemoryOverlay(PIN)
    over(store, overlay, lambda unit: None)
    for place in range(max(len(inside), len(since))):
        for group in since[place : place + 1]:
            wrote(lambda g=group: store.write(unit_of(g)))
        for group in inside[place : place + 1]:
            expected = wrote(lambda g=group: twin.write(unit_of(g)))[0]
            assert wrote(lambda g=group: over(store, overlay, unit_of(g)))[0] == expected

    with twin.read() as unit:
        expected = told(unit)
    assert over(store, overlay, told) == expected


@thoroughly
@given(before=groups(), inside=groups(), gone=st.sampled_from(IDS))
def test_what_is_gone_from_the_store_is_gone(before, inside, gone):
    store, overlay = pinned(before), MemoryOverlay(PIN)
    if gone not in store._state.memories:
        return
    for group in inside:
        wrote(lambda g=group: over(store, overlay, unit_of(g)))
    erased = store._state.copied()
    del erased.memories[gone]
    store._state = erased

    def look(unit):
        return unit.owner_of(gone), unit.versions(gone), unit.current([gone]), unit.text(gone), unit.keys_of([gone])

    assert over(store, overlay, look) == (None, [], [], None, {})
    assert gone not in over(store, overlay, lambda unit: unit.known_ids(None, limit=99))


def plain(outcome):
    """Without the totals of a namespace, which an overlay estimates."""
    kind, result = outcome
    return kind, [getattr(one, "seq", one) for one in result] if kind == "gave" else result


def view(unit, selection):
    """What can be read of memories."""
    return {
        "namespaces": [(space.name, space.seq, space.at) for space in unit.namespaces()],
        "memories": [(unit.owner_of(id), unit.versions(id), unit.text(id), unit.followers(id)) for id in IDS],
        "current": unit.current(IDS[::-1]),
        "known": (unit.known_ids(None, limit=99), unit.known_ids(NAMES[:2], limit=3, after=IDS[1])),
        "page": (unit.page(EVERYTHING, limit=99), unit.page(EVERYTHING, limit=2, after=IDS[1])),
        "selected": (unit.page(selection, limit=99), unit.page(selection, limit=2), unit.count(selection)),
        "lives": (unit.lives(None, limit=99), unit.lives(NAMES[:2], limit=3, after=IDS[1]), unit.lives_of(IDS)),
        "states": [unit.state_changes(id) for id in IDS],
        "edges": [(unit.edges(id), unit.edges(id, kind="next", reverse=True)) for id in IDS],
        "vectors": [[one[:2] for one in sorted_vectors(unit, name, 0) if not one[3]] for name in NAMES],
        "of one": [unit.vectors_of(id) for id in IDS],
        "changes": [[one[1:] for one in changes(unit, name, 0)] for name in NAMES],
        "turns": [unit.last_turn(name, session) for name in NAMES for session in SESSIONS],
        "around": [unit.turns_around(id) for id in IDS],
        "sources": [unit.by_source(name, session, SOURCES) for name in NAMES for session in SESSIONS],
        "blobs": unit.blobs(),
        "settings": [unit.setting(name) for name in ("a", "b")],
    }


def found(unit, terms, selection):
    """Who holds the terms, as a search reads it, and as a look back does; scores are near enough."""
    held = []
    for name in NAMES:
        keys = {key: id for id, key in unit.keys_of(IDS).items()}
        held += [[(keys[place >> 2], place & 3) for place in places] for places in unit.postings(terms, name)]
    weights = TermWeights(b=0)  # the mean length is among the totals
    matches = unit.match(terms, selection, limit=99, weights=weights)
    return held, sorted((match.record.cube.id, match.words) for match in matches)


def told(unit):
    """What memories say, and where they stand; without seqs and times, which the undoing of changes moves on."""
    current = {record.cube.id: record for record in unit.current(IDS)}
    return {
        "current": {id: (record.cube.version, record.valid_from, record.valid_to) for id, record in current.items()},
        "history": [[record.cube.version for record in unit.versions(id)] for id in IDS],
        "there": [record.cube.id for record in unit.page(EVERYTHING, limit=99)],
        "vectors": [unit.vectors_of(id) for id in IDS],
        "turns": [turn and turn.cube.id for name in NAMES for s in SESSIONS for turn in [unit.last_turn(name, s)]],
        "around": [[turn and turn.cube.id for turn in unit.turns_around(id)] for id in IDS],
        "sources": [unit.by_source(name, session, SOURCES) for name in NAMES for session in SESSIONS],
    }


@pytest.mark.parametrize("hidden", [1, 2, 100])
def test_postings_of_hidden_memories_are_cut_out(hidden):
    places = [key * 4 + column for key in range(200) for column in (0, 0, 2)]
    keys = list(range(0, 2 * hidden, 2))

    assert _without(places, keys) == [place for place in places if place >> 2 not in keys]


def test_no_question_about_memories_is_left_to_the_twin_alone():
    """What the overlay inherits is answered from its own state, as if the store had nothing to say."""
    beside = {"replayed", "audit", "audit_tail", "audit_tails", "audit_page", "audit_rows", "audit_strays"}
    beside |= {"job", "jobs", "next_due", "leased"}

    questions = {name for name in dir(ReadUnit) if not name.startswith("_")}

    assert questions - vars(OverlayUnit).keys() <= beside
