"""Families: an expired grant, shared and then revoked, a role that changes in mid-call, and rules brought back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import msgspec
import pytest
from tests.adversarial.probes import aimed_at, arguments, targets
from tests.adversarial.world import ANA, EVE, MINUTE, Place, leaks, refusals, same_error, strike

from pymemos import MemOS
from pymemos.interface.api import MemoryAPI
from pymemos.interface.registry import HANDLERS
from pymemos.ports import ReadUnit, Store, WriteUnit

R = TypeVar("R")
UNKNOWN = "0196b02e-8180-7000-8000-00000000ffff"
BY_ID = [name for name in aimed_at("id") if name not in ("log", "audit_export")]
BY_PLACE = [name for name in aimed_at("place") if name != "why"]
READS = ("diff", "get", "history", "passages", "provenance", "why")  # a text has no blob to open
CHANGES = ("activate", "annotate", "append", "archive", "delete", "freeze", "restore", "update")


class Interrupting:
    """A store in which something else is committed just before a unit begins: in the middle of somebody's call."""

    def __init__(self, store: Store, first: Callable[[], object]) -> None:
        self._store, self._first = store, first

    def read(self) -> AbstractContextManager[ReadUnit]:
        """A snapshot, after what comes first."""
        self._first()
        return self._store.read()

    def write(self, work: Callable[[WriteUnit], R]) -> R:
        """A change, after what comes first."""
        self._first()
        return self._store.write(work)


def interrupted(mem: MemOS, first: Callable[[], object]) -> MemOS:
    """A handle whose calls are cut: ``first`` happens when they are prepared and about to begin."""
    cut = mem.bind()
    tools = msgspec.structs.replace(mem._tools, store=Interrupting(mem._tools.store, first))
    cut._api = MemoryAPI(tools, HANDLERS)
    return cut


def is_unknown(place: Place, method: str, id: str) -> None:
    """Assert that a memory is as good as none, and the attempt recorded."""
    before = refusals(place)
    foreign = strike(place.eve, method, **arguments(method, place, id=id))
    unknown = strike(place.eve, method, **arguments(method, place, id=UNKNOWN))
    assert same_error(foreign, unknown, (id, UNKNOWN)), foreign.told
    assert [] == leaks(place, foreign.told, given=(id,))
    assert refusals(place) == before + 2


def open_all(place: Place, **bounds: Any) -> list[str]:
    """Share all of Ana's with Eve, to read and to write; gives the names of the rules."""
    place.ana.remove_access_policy("only-my-doctor tonight")
    return [place.ana.share(to=EVE, write=True, name="eve", **bounds).name]


@pytest.mark.parametrize("method", BY_ID)
def test_a_grant_ends_at_its_very_instant(fresh: Place, method: str) -> None:
    end = fresh.clock() + MINUTE
    open_all(fresh, expires=end)
    id = fresh.secrets["text"]
    fresh.clock.now = end - MINUTE / 1000
    if method in (*READS, *CHANGES):
        assert strike(fresh.eve, method, **arguments(method, fresh, id=id)).error is None
    fresh.clock.now = end

    is_unknown(fresh, method, id)


@pytest.mark.parametrize("method", BY_PLACE)
def test_a_place_closes_when_its_grant_ends_or_is_revoked(fresh: Place, method: str) -> None:
    for parameter in targets(method, "place"):
        wanted = arguments(method, fresh, **{parameter: ANA})
        never = strike(fresh.eve, method, **wanted)
        fresh.ana.share(to=EVE, write=True, name="eve", expires=fresh.clock() + MINUTE)
        fresh.clock.advance(MINUTE)
        expired = strike(fresh.eve, method, **wanted)
        fresh.ana.share(to=EVE, write=True, name="eve")
        fresh.ana.unshare("eve")
        revoked = strike(fresh.eve, method, **wanted)

        assert "NotAllowed" == type(never.error).__name__
        assert str(never.error) == str(expired.error) == str(revoked.error)


@pytest.mark.parametrize("method", BY_ID)
def test_what_was_shared_and_then_revoked_is_unknown_again(fresh: Place, method: str) -> None:
    [name] = open_all(fresh)
    id = fresh.secrets["text"]
    assert fresh.eve.get(id)
    assert fresh.eve.search("swordfish", namespaces=ANA)

    fresh.ana.unshare(name)

    is_unknown(fresh, method, id)
    for look in ("list", "search", "export_lines", "log"):
        assert [] == leaks(
            fresh, strike(fresh.eve, look, **arguments(look, fresh)).told, given=("Swordfish", "Krankheit")
        )


@pytest.mark.parametrize("method", ["annotate", "append", "restore", "update"])
def test_the_key_of_a_call_that_went_through_opens_nothing_when_it_is_revoked(fresh: Place, method: str) -> None:
    [name] = open_all(fresh)
    id = fresh.secrets["text"]
    wanted = arguments(method, fresh, id=id, idempotency_key="eve-1")
    assert strike(fresh.eve, method, **wanted).error is None

    fresh.ana.unshare(name)

    assert "UnknownMemory" == type(strike(fresh.eve, method, **wanted).error).__name__


@pytest.mark.parametrize("method", [*READS, *CHANGES])
def test_a_role_that_is_withdrawn_in_the_middle_of_a_call_counts_no_more(fresh: Place, method: str) -> None:
    """What counts are the rules in the snapshot that the call acts in, not those when it was made."""
    fresh.ana.remove_access_policy("only-my-doctor tonight")
    fresh.ana.share(to="roles/physician", write=True, name="doctors")
    fresh.mem.assign_role("physician", EVE)
    doctor = fresh._replace(eve=fresh.eve.bind(role="physician"))
    id = fresh.secrets["text"]
    assert doctor.eve.get(id)

    eve = interrupted(doctor.eve, lambda: fresh.mem.withdraw_role("physician", EVE))
    cut = strike(eve, method, **arguments(method, fresh, id=id))

    assert "UnknownMemory" == type(cut.error).__name__, cut.told
    assert [] == leaks(fresh, cut.told)


@pytest.mark.parametrize("method", [*READS, *CHANGES])
def test_a_role_that_nobody_gave_is_none(fresh: Place, method: str) -> None:
    """Neither in a permission, nor where a denial makes an exception for it."""
    fresh.ana.remove_access_policy("only-my-doctor tonight")
    fresh.ana.share(to="roles/physician", write=True, name="doctors")
    quack = fresh._replace(eve=fresh.eve.bind(role="physician"))
    is_unknown(quack, method, fresh.secrets["text"])

    fresh.ana.share(to=EVE, write=True, name="eve")
    fresh.ana.set_access_policy("physicians only", {"effect": "deny", "when": {"NOT": {"role": "physician"}}})
    is_unknown(quack, method, fresh.secrets["text"])


def test_a_grant_of_one_role_is_no_grant_of_another(fresh: Place) -> None:
    """Names are joined to the name of the rule: "physician to users/x" to Eve is not "physician" to somebody."""
    fresh.mem.assign_role("physician to users/x", "users/eve")
    odd = fresh.mem.bind(user_id="x to users/eve", role="physician")
    fresh.mem.assign_role("physician", "users/dr")
    fresh.ana.share(to="roles/physician", name="doctors")

    assert "UnknownMemory" == type(strike(odd, "get", id=fresh.secrets["turn"]).error).__name__


def test_going_back_in_time_brings_no_right_back(fresh: Place) -> None:
    [name] = open_all(fresh)
    fresh.ana.snapshot("open")
    fresh.clock.advance(MINUTE)
    fresh.ana.unshare(name)
    fresh.ana.delete(fresh.secrets["text"])

    fresh.ana.restore_to("open")
    fresh.mem.restore_to(fresh.clock() - MINUTE / 2, everything=True)

    assert fresh.ana.get(fresh.secrets["text"])
    is_unknown(fresh, "get", fresh.secrets["text"])


def test_going_back_in_time_goes_around_no_rule_of_the_steward(fresh: Place) -> None:
    """Ana manages her namespace, but what the steward denied her she neither deletes nor brings back by that."""
    start = fresh.clock() - 60 * MINUTE
    id = fresh.ana.add("Evidence.", tags=["held"]).ids[0]
    fresh.ana.update(id, "Evidence!")
    first = fresh.clock() - MINUTE / 1000
    deny = {"effect": "deny", "what": {"tags": "held"}}
    fresh.mem.set_access_policy("legal hold", deny, namespace=ANA)

    for moment in (start, first):
        assert id not in str(fresh.ana.restore_to(moment, dry_run=True).steps)
        assert id not in str(fresh.ana.restore_to(moment).steps)

    assert "Evidence!" == fresh.mem.get(id).text


def test_an_agent_lends_nobody_its_rights(fresh: Place) -> None:
    fresh.ana.remove_access_policy("only-my-doctor tonight")
    fresh.ana.share(to="agents/planner", write=True)
    acting = fresh._replace(eve=fresh.eve.bind(agent_id="planner"))

    assert fresh.mem.bind(agent_id="planner").get(fresh.secrets["text"])
    for method in (*READS, *CHANGES):
        is_unknown(acting, method, fresh.secrets["text"])


def test_one_caller_uses_up_nobody_elses_rate(fresh: Place) -> None:
    limit = {"effect": "limit", "actions": ["read"], "rate": {"calls": 3, "per_s": 60}}
    fresh.mem.set_access_policy("slowly", limit, namespace="*")
    for _ in range(10):
        strike(fresh.eve, "list")

    assert "RateLimited" == type(strike(fresh.eve, "list").error).__name__
    assert isinstance(fresh.mem, MemOS)
    assert strike(fresh.ana, "list").error is None
    assert strike(fresh.mem.bind(user_id="eve2"), "list").error is None


def test_a_limit_tells_nobody_whether_there_is_a_memory(fresh: Place) -> None:
    limit = {"effect": "limit", "actions": ["read"], "rate": {"calls": 1, "per_s": 60}, "who": [EVE]}
    fresh.ana.set_access_policy("slowly", limit)
    for _ in range(3):
        is_unknown(fresh, "get", fresh.secrets["text"])
