"""Families: a confused deputy through a derived memory, versions as a way around a rule, and the graph of lineage."""

from __future__ import annotations

from typing import Any

import pytest
from tests.adversarial.probes import METHODS, aimed_at, arguments
from tests.adversarial.world import ANA, EVE, MINUTE, Place, leaks, same_error, strike

UNKNOWN = "0196b02e-8180-7000-8000-00000000ffff"
BY_ID = [name for name in aimed_at("id") if name not in ("log", "audit_export", "share")]


def open_to_eve(place: Place, what: dict[str, Any], *actions: str) -> None:
    """Let Eve do this with a part of what is Ana's."""
    for action in actions:
        place.ana.set_access_policy(f"eve may {action}", {"who": [EVE], "actions": [action], "what": what})


@pytest.mark.parametrize("method", BY_ID)
def test_a_derivative_that_was_shared_without_its_source_stays_unknown(fresh: Place, method: str) -> None:
    derived = fresh.secrets["derived"]
    fresh.ana.share(derived, to=EVE, write=True)

    foreign = strike(fresh.eve, method, **arguments(method, fresh, id=derived))
    unknown = strike(fresh.eve, method, **arguments(method, fresh, id=UNKNOWN))

    assert same_error(foreign, unknown, (derived, UNKNOWN)), foreign.told
    assert [] == leaks(fresh, foreign.told, given=(derived,))


@pytest.mark.parametrize("method", [name for name in BY_ID if name != "why"])  # an owner is told why
def test_ones_own_derivative_goes_with_the_source_that_is_revoked(fresh: Place, method: str) -> None:
    shared = fresh.ana.share(fresh.secrets["text"], to=EVE)
    fresh.ana.remove_access_policy("only-my-doctor tonight")
    made = fresh.eve.add("Swordfish, copied.", parents=[fresh.secrets["text"]]).ids[0]
    fresh.eve.update(made, "Swordfish, copied again.")
    fresh.ana.unshare(shared.name)

    foreign = strike(fresh.eve, method, **arguments(method, fresh, id=made))
    unknown = strike(fresh.eve, method, **arguments(method, fresh, id=UNKNOWN))

    assert same_error(foreign, unknown, (made, UNKNOWN)), foreign.told
    for look in ("list", "search", "export_lines"):
        assert made not in strike(fresh.eve, look, **arguments(look, fresh)).told


def test_a_deputy_who_may_read_opens_nothing_to_those_who_may_not(fresh: Place) -> None:
    """Bo reads Ana's secret and writes what follows from it where Eve reads."""
    fresh.ana.share(fresh.secrets["text"], to="users/bo")
    fresh.mem.share(to=["users/bo", EVE], write=True, namespace="shared/team")
    bo = fresh.mem.bind(user_id="bo")
    made = bo.add("It is swordfish.", parents=[fresh.secrets["text"]], namespace="shared/team").ids[0]
    again = bo.add("As I said: swordfish.", parents=[made], namespace="shared/team").ids[0]

    assert {made, again} <= {cube.id for cube in bo.list(namespaces="shared/team")}
    for look in ("list", "search"):
        now = fresh.clock()
        for when in ({}, {"known_at": now}, {"valid_at": now}, {"states": ["activated", "generated"]}):
            outcome = strike(fresh.eve, look, **arguments(look, fresh, namespaces="shared/team", **when))
            assert [] == [id for id in (made, again) if id in outcome.told]
    for id in (made, again):
        assert "UnknownMemory" == type(strike(fresh.eve, "add", content="x", parents=[id]).error).__name__


def test_a_version_that_was_made_from_a_secret_does_not_come_back(fresh: Place) -> None:
    """Restoring it would be reading it."""
    derived = fresh.secrets["derived"]
    fresh.ana.update(derived, "Rest.", parents=[])
    fresh.ana.share(derived, to=EVE, write=True)
    assert "Rest." == fresh.eve.get(derived).text

    for version in (1, fresh.ana.history(derived)[0].cube.version):
        hidden = strike(fresh.eve, "restore", id=derived, version=version)
        unknown = strike(fresh.eve, "restore", id=derived, version=99)
        assert same_error(hidden, unknown, (f"version {version!r}", "version 99")), hidden.told
    assert "Rest." == fresh.mem.get(derived).text


def test_a_version_that_a_rule_leaves_out_does_not_come_back(fresh: Place) -> None:
    text = fresh.secrets["text"]
    fresh.ana.update(text, "Nothing here.", tags=["tea"], metadata={}, sensitivity=[])
    open_to_eve(fresh, {"tags": "tea"}, "read", "write")
    before = len(fresh.mem.history(text))

    hidden, unknown = (strike(fresh.eve, "restore", id=text, version=version) for version in (1, 99))

    assert same_error(hidden, unknown, ("version 1;", "version 99;")), hidden.told
    assert [] == leaks(fresh, hidden.told, given=(text,))
    assert before == len(fresh.mem.history(text))


def test_a_restored_version_may_lie_where_it_would_not_be_written(fresh: Place) -> None:
    """Its text and tags are the old ones, its sensitivity is that of now; the whole must be within the rule."""
    id = fresh.ana.add("Tea at five.", tags=["tea"]).ids[0]
    fresh.ana.update(id, tags=["milk"], sensitivity=["medical"])
    odd = {"AND": [{"tags": "tea"}, {"sensitivity": "medical"}]}
    open_to_eve(fresh, {"NOT": odd}, "read", "write")
    fresh.ana.remove_access_policy("only-my-doctor tonight")
    fresh.ana.set_access_policy("not both", {"effect": "deny", "what": odd, "who": [EVE]})

    assert "NotAllowed" == type(strike(fresh.eve, "restore", id=id, version=1).error).__name__


@pytest.mark.parametrize("method", ["annotate", "append", "update", "restore"])
def test_a_repeated_call_gives_nothing_that_was_closed_since(fresh: Place, method: str) -> None:
    """The key of one's own call is no key to a version that a rule has left out since."""
    id = fresh.ana.add("Tea with swordfish.", tags=["tea"]).ids[0]
    fresh.ana.update(id, "Tea with swordfish!")
    open_to_eve(fresh, {"tags": "tea"}, "read", "write")
    call = arguments(method, fresh, id=id, idempotency_key="eve-1")
    first = strike(fresh.eve, method, **call)
    assert first.error is None
    fresh.ana.update(id, "Tea.", metadata={})
    what = {"OR": [{"content": {"contains": word}} for word in ("swordfish", "milk", "coffee")]}
    fresh.ana.set_access_policy("not that", {"effect": "deny", "what": what, "who": [EVE]})

    again = strike(fresh.eve, method, **call)

    assert "UnknownVersion" == type(again.error).__name__, again.told
    assert [] == leaks(fresh, again.told)


def test_a_repeated_conversation_gives_no_manifest_that_was_closed_since(fresh: Place) -> None:
    fresh.mem.share(to=["users/ana", EVE], write=True, namespace="shared/team")
    turns = [{"role": "user", "content": "Hi."}, {"role": "user", "content": "Tea?"}]
    first = fresh.eve.add(turns, namespace="shared/team", idempotency_key="eve-1")
    assert first.episode is not None
    fresh.ana.update(first.episode.id, metadata={"file": "trip-to-reno"}, tags=["hiv-clinic"])
    deny = {"effect": "deny", "what": {"tags": "hiv-clinic"}, "who": [EVE]}
    fresh.mem.set_access_policy("no", deny, namespace="shared/team")

    again = fresh.eve.add(turns, namespace="shared/team", idempotency_key="eve-1")

    assert [] == leaks(fresh, str(again) + repr(again.episode and again.episode.header))


def test_a_message_that_is_hidden_is_not_known_when_it_is_said_again(fresh: Place) -> None:
    """Else its sender would learn that it is here, and how it goes on."""
    fresh.mem.share(to=["users/ana", EVE], write=True, namespace="shared/team")
    said = [{"role": "user", "content": "Hello.", "id": "m9"}]
    hidden = fresh.ana.add(said, namespace="shared/team", tags=["hiv-clinic"], session_id="s").ids[0]
    fresh.ana.update(hidden, "Hello, swordfish.")
    deny = {"effect": "deny", "what": {"tags": "hiv-clinic"}, "who": [EVE]}
    fresh.mem.set_access_policy("no", deny, namespace="shared/team")

    assert (hidden,) == fresh.ana.add(said, namespace="shared/team", session_id="s").ids

    added = fresh.eve.add(said, namespace="shared/team", session_id="s")

    assert ((), False) == (added.deduplicated, hidden in added.ids)
    assert ["Hello."] == [cube.text for cube in added.cubes]


def test_what_left_the_shared_part_is_not_found_by_looking_back(fresh: Place) -> None:
    """By its id it is unknown, also in the version that was shared; so it is for whoever looks back."""
    id = fresh.ana.add("Tea with swordfish.", tags=["tea"]).ids[0]
    open_to_eve(fresh, {"tags": "tea"}, "read")
    then = fresh.clock()
    fresh.clock.advance(MINUTE)
    fresh.ana.update(id, tags=["private"])

    assert "UnknownMemory" == type(strike(fresh.eve, "get", id=id, version=1).error).__name__
    for when in ({"known_at": then}, {"valid_at": then}, {"valid_at": then, "known_at": then}):
        for look in ("list", "search"):
            outcome = strike(fresh.eve, look, **arguments(look, fresh, namespaces=ANA, **when))
            assert outcome.error is None
            assert id not in outcome.told
        assert id in strike(fresh.ana, "list", **when).told or "valid_at" in when


def test_the_manifest_of_a_conversation_names_no_turn_that_is_hidden(fresh: Place) -> None:
    said = [
        {"role": "user", "content": "Hi.", "name": "Ana"},
        {"role": "user", "content": "You are ill.", "name": "Dr. Zwicky"},
    ]
    added = fresh.ana.add(said, tags=["tea"])
    fresh.ana.update(added.ids[1], tags=["private"])
    open_to_eve(fresh, {"tags": "tea"}, "read")

    outcome = strike(fresh.eve, "list", namespaces=ANA, episodes=True)

    assert added.ids[0] in outcome.told
    assert [] == [secret for secret in ("Zwicky", added.ids[1]) if secret in outcome.told]
    assert "UnknownMemory" == type(strike(fresh.eve, "get", id=added.episode.id).error).__name__  # type: ignore[union-attr]
    assert added.episode in list(fresh.ana.list(episodes=True))


def test_the_graph_of_lineage_ends_where_the_callers_reach_ends(fresh: Place) -> None:
    """Ana makes something from what Eve shared: Eve sees neither that nor how many there are."""
    fresh.eve.share(fresh.own, to=ANA)
    made = [fresh.ana.add(f"Swordfish and tea {n}.", parents=[fresh.own]).ids[0] for n in range(3)]

    outcome = strike(fresh.eve, "provenance", id=fresh.own, limit=1)

    assert () == outcome.result.derived == outcome.result.cut
    assert [] == leaks(fresh, outcome.told) + [id for id in made if id in outcome.told]


@pytest.mark.skipif("compose" not in METHODS, reason="views are not built yet")
class TestViews:
    """A view over something private shows its reader what the reader may see anyway."""

    def test_a_view_of_ones_own_over_somebody_elses_place_shows_nothing_of_it(self, fresh: Place) -> None:
        made = strike(fresh.eve, "compose", name="all", namespaces=["users/eve", ANA])
        by_ids = strike(fresh.eve, "compose", name="some", ids=list(fresh.secrets.values()))

        assert [] == leaks(fresh, made.told + by_ids.told, given=fresh.ids)
        for look in ("list", "search"):
            for view in ("all", "some"):
                outcome = strike(fresh.eve, look, **arguments(look, fresh, view=view))
                assert [] == leaks(fresh, outcome.told, given=("Swordfish", "Krankheit"))

    def test_a_view_that_was_shared_opens_nothing_that_it_looks_at(self, fresh: Place) -> None:
        view = strike(fresh.ana, "compose", name="mine", filters={"tags": "hiv-clinic"}).result
        fresh.ana.share(view.id, to=EVE)

        for look in ("list", "search"):
            outcome = strike(fresh.eve, look, **arguments(look, fresh, view=view.id))
            assert [] == leaks(fresh, outcome.told, given=("Swordfish", "Krankheit", "hiv-clinic"))

    @pytest.mark.parametrize("method", [name for name in ("merge", "fuse", "plan_merge") if name in METHODS])
    def test_nothing_is_merged_that_one_may_not_read(self, fresh: Place, method: str) -> None:
        both = [fresh.own, fresh.secrets["text"]]
        given = {"id": both[0], "others": both[1:]} if method == "merge" else {"ids": both}

        outcome = strike(fresh.eve, method, **given)

        assert outcome.error is not None
        assert [] == leaks(fresh, outcome.told, given=tuple(both))
