"""Families: somebody else's id guessed, a handle that is to act for another, and a place that is not one's own."""

from __future__ import annotations

import pytest
from tests.adversarial.probes import aimed_at, aims, arguments
from tests.adversarial.world import ANA, Place, dump, holdings, leaks, refusals, same_error, strike

UNKNOWN = "0196b02e-8180-7000-8000-00000000ffff"
BY_QUESTION = ("audit_export", "log")  # they ask for entries about a memory: of an unknown one there are none


@pytest.mark.parametrize("method", sorted({*aimed_at("id"), *aimed_at("ids")}))
def test_a_guessed_id_is_as_good_as_unknown(place: Place, method: str) -> None:
    before, refused = dump(place), refusals(place)
    calls = 0
    for id in place.secrets.values():
        for aim, none in zip(_ids(method, id), _ids(method, UNKNOWN), strict=True):
            foreign = strike(place.eve, method, **arguments(method, place, **aim))
            unknown = strike(place.eve, method, **arguments(method, place, **none))
            calls += 2

            if method in BY_QUESTION:
                assert (foreign.error, foreign.result) == (unknown.error, unknown.result)
            else:
                assert foreign.error is not None
                assert same_error(foreign, unknown, (id, UNKNOWN)), (foreign.told, unknown.told)
            assert [] == leaks(place, foreign.told, given=(id,))

    assert dump(place) == before
    assert refusals(place) == refused + (0 if method in BY_QUESTION else calls)


def test_an_id_is_guessed_with_every_version_and_time(place: Place) -> None:
    """Also where the memory has such a version, and had another text."""
    for id in place.secrets.values():
        for version in (1, 2, 99, "latest"):
            for method in ("get", "restore"):
                foreign = strike(place.eve, method, id=id, version=version)
                unknown = strike(place.eve, method, id=UNKNOWN, version=version)
                assert same_error(foreign, unknown, (id, UNKNOWN))
        for expected in (1, 2, 99):
            for method in ("update", "append", "annotate", "delete", "restore"):
                wanted = arguments(method, place, id=id, expected=expected)
                assert "UnknownMemory" == type(strike(place.eve, method, **wanted).error).__name__


@pytest.mark.parametrize("method", aimed_at("identity"))
def test_a_handle_acts_for_nobody_else(place: Place, method: str) -> None:
    before = dump(place)
    agent = place.mem.bind(agent_id="planner")

    for mem in (place.eve, agent):
        for name in ("ana", "nobody"):
            outcome = strike(mem, method, **arguments(method, place, user_id=name))
            assert "CannotWiden" == type(outcome.error).__name__, outcome.told
            assert [] == leaks(place, outcome.told)
    assert dump(place) == before


@pytest.mark.parametrize("method", aimed_at("identity"))
def test_an_agent_with_the_name_of_a_user_gets_nothing_of_the_users(fresh: Place, method: str) -> None:
    before = holdings(fresh)

    outcome = strike(fresh.eve, method, **arguments(method, fresh, agent_id="ana"))
    other = strike(fresh.mem.bind(agent_id="ana"), method, **arguments(method, fresh))

    assert [] == leaks(fresh, outcome.told + other.told, given=("Swordfish", "Krankheit"))
    assert holdings(fresh) == before


@pytest.mark.parametrize("method", aimed_at("place"))
def test_a_place_that_is_not_ones_own_is_as_good_as_empty(place: Place, method: str) -> None:
    before, refused = dump(place), refusals(place)
    calls = 0
    for aim, none in zip(aims(method, "place", [ANA]), aims(method, "place", ["users/nobody"]), strict=True):
        if method == "compose" and "namespaces" in aim:
            continue  # a view may name any place; who reads it sees what they may (TestViews)
        foreign = strike(place.eve, method, **arguments(method, place, **aim))
        unknown = strike(place.eve, method, **arguments(method, place, **none))
        calls += 2

        if method == "why":  # it asks, and is answered
            assert str(foreign.result) == str(unknown.result)
        else:
            assert "NotAllowed" == type(foreign.error).__name__, foreign.told
            assert same_error(foreign, unknown, (ANA, "users/nobody"))
        assert [] == leaks(place, foreign.told)

    assert dump(place) == before
    assert refusals(place) == refused + (0 if method == "why" else calls)


@pytest.mark.parametrize("method", [name for name in aimed_at("place") if name in ("search", "list")])
def test_everything_that_one_may_read_is_not_everything(place: Place, method: str) -> None:
    for namespaces in ("*", ["*"]):
        outcome = strike(place.eve, method, **arguments(method, place, namespaces=namespaces))
        assert outcome.error is None
        assert [] == leaks(place, outcome.told, given=("Swordfish", "Krankheit"))
    mixed = strike(place.eve, method, **arguments(method, place, namespaces=["users/eve", ANA]))
    assert "NotAllowed" == type(mixed.error).__name__


def _ids(method: str, id: str) -> list[dict[str, object]]:
    return [*aims(method, "id", [id]), *aims(method, "ids", [id])]
