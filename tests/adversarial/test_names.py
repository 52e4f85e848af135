"""Families: filter injection, path traversal in names, and names that look like others."""

from __future__ import annotations

import pytest
from tests.adversarial.probes import AIMS, METHODS, STEWARDS, aimed_at, arguments, parameters, targets
from tests.adversarial.world import EVE, MODEL, Place, dump, holdings, leaks, strike

from pymemos.cube.payload import Activation

FILTERS: list[dict[str, object]] = [
    {"id": {"ne": ""}},
    {"NOT": {"tags": "nothing has this"}},
    {"OR": [{"tags": "hiv-clinic"}, {"NOT": {"tags": "hiv-clinic"}}]},
    {"OR": []},
    {"content": {"contains": ""}},
    {"content": {"contains": "%"}},
    {"tags": "x' OR '1'='1"},
    {"tags": {"in": ["') OR 1=1 --", "hiv-clinic"]}},
    {"metadata.file') = 1 OR 1=1 --": "x"},
    {'metadata.$.file"': {"exists": False}},
    {"namespace": "users/ana"},
    {"owner": "users/ana"},
    {"v.ns": 1},
    {"id; DROP TABLE memories": "x"},
]
NAMES = [
    "../ana", "users/../users/ana", "ana/../ana", "./ana", "ana/", "/ana", "..\\ana", "users/ana", "file:///ana",
    "ANA", "Ana", "\u0430na", "an\u0430", "\uff41na", "ana\u200b", "ana ", " ana", "ana\n", "a\u0301na",
    "ana' OR '1'='1", "ana'; DROP TABLE memories; --", "%", "_na", "*", "everyone", "default", "global",
    "steward(users/ana)", "system(users/ana)", "steward", "ana\0", "ana to users/eve",
]  # fmt: skip
OWN_NAMES = ("before-the-divorce", "only-my-doctor", "only-my-doctor tonight", "reminder-of-ana", "late-session")
WORDS = ("Swordfish", "Krankheit")  # of the probe's own question
ECHOING = ("switch_task",)  # they tell callers what these said before


@pytest.mark.parametrize("method", aimed_at("filter"))
def test_a_filter_reaches_no_further_than_the_call(fresh: Place, method: str) -> None:
    before = holdings(fresh)
    for where in FILTERS:
        for name in targets(method, "filter"):
            given: object = where if name != "policy" else {"actions": ["read"], "who": [EVE], "what": where}
            outcome = strike(fresh.eve, method, **arguments(method, fresh, **{name: given}))

            assert outcome.error is None or type(outcome.error).__name__ in ("UnknownField", "InvalidInput"), (
                outcome.told
            )
            assert [] == leaks(fresh, outcome.told, given=(*WORDS, "hiv-clinic"))
    assert holdings(fresh) == before


@pytest.mark.parametrize("method", aimed_at("filter"))
def test_a_filter_that_asks_for_an_id_finds_nothing(fresh: Place, method: str) -> None:
    before = holdings(fresh)
    for id in fresh.secrets.values():
        for name in set(targets(method, "filter")) & {"filters"}:
            outcome = strike(fresh.eve, method, **arguments(method, fresh, **{name: {"id": id}}))
            assert [] == leaks(fresh, outcome.told, given=(*WORDS, id))
    assert holdings(fresh) == before


@pytest.mark.parametrize("method", [name for name in aimed_at("identity") if name != "bind"])
def test_a_name_that_looks_like_anas_is_not_hers(fresh: Place, method: str) -> None:
    """Whatever an application lets people call themselves."""
    before = holdings(fresh)
    for name in NAMES:
        bound = strike(fresh.mem, "bind", user_id=name)
        if bound.error is not None:
            assert "InvalidInput" == type(bound.error).__name__
            continue
        outcome = strike(bound.result, method, **arguments(method, fresh))
        assert [] == leaks(fresh, outcome.told, given=WORDS), name
    assert holdings(fresh) == before


NAMED = [name for name in METHODS if name not in STEWARDS and AIMS["name"] & set(parameters(name)) and name != "bind"]


@pytest.mark.parametrize("method", NAMED)
def test_a_name_leads_to_nothing_of_anas(fresh: Place, method: str) -> None:
    before = holdings(fresh)
    said: list[str] = []
    for name in (*NAMES, *OWN_NAMES):
        for parameter in targets(method, "name"):
            said = [*said, name] if method in ECHOING else [name]
            outcome = strike(fresh.eve, method, **arguments(method, fresh, **{parameter: name}))
            assert [] == leaks(fresh, outcome.told, given=(*WORDS, *said)), (parameter, name)
    assert holdings(fresh) == before


@pytest.mark.parametrize("name", OWN_NAMES)
def test_a_name_that_ana_gave_is_as_good_as_unknown(place: Place, name: str) -> None:
    """Of moments, rules and jobs: what exists is refused in the words of what does not."""
    before = dump(place)
    for method, parameter in (("restore_to", "moment"), ("unshare", "name"), ("remove_access_policy", "name")):
        real, none = (strike(place.eve, method, **{parameter: one}) for one in (name, "no-such-name"))
        assert type(real.error) is type(none.error)
        assert str(real.error).replace(name, "no-such-name") == str(none.error)
    assert dump(place) == before


@pytest.mark.parametrize(
    "name", ["../ana", "users/", "users/ana\0", "/etc/passwd", "shared/../users/ana", "users/ana\n"]
)
def test_a_place_is_a_name_and_no_path(place: Place, name: str) -> None:
    for method in aimed_at("place"):
        for parameter in targets(method, "place"):
            outcome = strike(place.eve, method, **arguments(method, place, **{parameter: name}))
            assert outcome.error is not None or method == "why"
            assert [] == leaks(place, outcome.told)


@pytest.mark.parametrize(
    "blob", ["../store.db", "../../etc/passwd", "/etc/passwd", "..", "", "a/b", "\0", "%2e%2e/store.db"]
)
def test_the_name_of_a_blob_is_no_path(fresh: Place, blob: str) -> None:
    made = strike(fresh.eve, "add", content=Activation(form="kv", blob=blob, size=1, model=MODEL))
    if made.error is None:
        made = strike(fresh.eve, "open_blob", id=made.result.ids[0])

    assert made.error is not None
    assert str(fresh.folder) not in str(made.error)
