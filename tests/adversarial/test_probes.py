"""Every public method has a probe, and every parameter is looked at: what is new fails here first."""

from __future__ import annotations

import pytest
from tests.adversarial.probes import AIMS, HARMLESS, METHODS, PROBES, STEWARDS, arguments, parameters
from tests.adversarial.world import Place, leaks, strike

from pymemos import MemOS

MUTE = ("close",)  # it would end the shared place; a handle that is bound closes nothing
FREE = (
    "bind",
    "put_blob",
    "close",
    "verify_receipt",
)  # open no unit: they reach nothing that could be refused or recorded


def test_every_public_method_has_a_probe() -> None:
    assert set(METHODS) == set(PROBES)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_parameter_is_aimed_or_known_to_be_harmless(method: str) -> None:
    known = HARMLESS.union(*AIMS.values())

    assert [] == [name for name in parameters(method) if name not in known]
    assert [] == [name for name in HARMLESS if any(name in aim for aim in AIMS.values())]


@pytest.mark.parametrize(
    "method", sorted(set(METHODS) - set(STEWARDS) - {"open_blob", "unfreeze", "merge", "fuse", "undo"})
)
def test_a_probe_that_is_aimed_at_nothing_goes_through_and_tells_nothing_of_ana(fresh: Place, method: str) -> None:
    """Else an attack would be refused for its form, and prove nothing."""
    outcome = strike(fresh.eve, method, **arguments(method, fresh))

    missing = method in ("remove_access_policy", "unshare")  # there is no such rule of Eve's
    assert missing == (outcome.error is not None), outcome.told
    assert [] == leaks(fresh, outcome.told, given=("Swordfish", "Krankheit"))


@pytest.mark.parametrize("method", STEWARDS)
def test_what_is_the_stewards_alone_is_refused_to_everybody_else_and_recorded(place: Place, method: str) -> None:
    before = len([entry for entry in place.eve.log(limit=1000) if not entry.allowed])

    outcome = strike(place.eve, method, **arguments(method, place))

    assert type(outcome.error).__name__ == "NotAllowed" or method == "reembed", outcome.told
    assert [] == leaks(place, outcome.told)
    refused = [entry for entry in place.eve.log(limit=1000) if not entry.allowed]
    assert len(refused) == before + (method != "reembed")


def test_a_bound_handle_closes_nothing(place: Place) -> None:
    place.eve.close()

    assert isinstance(place.mem, MemOS)
    assert place.mem.get(place.own)
