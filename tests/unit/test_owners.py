"""What owners keep whatever they share: the reach of their memories, every sharing, and roles that somebody holds."""

from __future__ import annotations

import pytest

from pymemos import MemOS
from pymemos.errors import InvalidInput, NotAllowed

TEAM = [f"users/somebody-with-a-name-as-long-as-this-one-{number}" for number in range(10)]


@pytest.fixture
def bo(mem: MemOS) -> MemOS:
    return mem.bind(user_id="bo")


@pytest.fixture
def lent(mem: MemOS) -> str:
    """A memory of Ana's that Bo may change."""
    id = mem.add("Ana's plan.", user_id="ana").ids[0]
    mem.share(id, to="users/bo", write=True, user_id="ana")
    return id


class TestAMemoryThatOthersChange:
    def test_is_made_from_nothing_that_its_owner_may_not_read(self, mem: MemOS, bo: MemOS, lent: str) -> None:
        private = bo.add("Bo's own.").ids[0]

        for change in (lambda: bo.update(lent, parents=[private]), lambda: bo.merge(lent, [private])):
            with pytest.raises(NotAllowed, match="'users/ana' may not read"):
                change()

        assert "Ana's plan." == mem.get(lent, user_id="ana").text

    def test_neither_by_a_source_of_a_source(self, mem: MemOS, bo: MemOS, lent: str) -> None:
        made = bo.add("Made.", parents=[bo.add("Bo's own.").ids[0]]).ids[0]
        bo.share(made, to="users/ana")

        with pytest.raises(NotAllowed, match="'users/ana' may not read"):
            bo.update(lent, parents=[made])

    def test_may_be_made_from_what_its_owner_reads(self, mem: MemOS, bo: MemOS, lent: str) -> None:
        open_to_her = bo.add("Bo's own.").ids[0]
        bo.share(open_to_her, to="users/ana")

        bo.merge(lent, [open_to_her])

        assert "Ana's plan.\nBo's own." == mem.get(lent, user_id="ana").text

    def test_is_made_by_its_owner_from_what_that_one_reads(self, mem: MemOS, bo: MemOS, lent: str) -> None:
        theirs = bo.add("Bo's own.").ids[0]
        bo.share(theirs, to="users/ana")

        assert [theirs] == [pin.id for pin in mem.update(lent, parents=[theirs], user_id="ana").parents]


def test_no_update_makes_a_ring(mem: MemOS) -> None:
    first = mem.add("First.").ids[0]
    second = mem.add("Second.", parents=[first]).ids[0]
    third = mem.add("Third.", parents=[second]).ids[0]

    with pytest.raises(InvalidInput, match="was made from"):
        mem.update(first, parents=[third])

    assert () == mem.get(third).stale


def test_two_sharings_with_many_are_two(mem: MemOS) -> None:
    for tag in ("tea", "plans"):
        mem.add(f"Of {tag}.", tags=[tag], user_id="ana")
        for _ in range(2):  # the same again replaces the first
            mem.share(to=TEAM, filters={"tags": tag}, user_id="ana")

    assert 2 == len(mem.access_policies(user_id="ana"))
    reader = mem.bind(user_id=TEAM[9].removeprefix("users/"))
    assert {"Of tea.", "Of plans."} == {cube.text for cube in reader.list(namespaces="users/ana")}
    assert all(len(change.name) <= 200 for change in mem.access_policies(user_id="ana"))


@pytest.mark.parametrize("nobody", ["everyone", "roles/boss"])
def test_a_role_is_given_to_those_who_call(mem: MemOS, nobody: str) -> None:
    with pytest.raises(InvalidInput, match="can hold no role"):
        mem.assign_role("physician", nobody)

    assert "physician" == mem.bind(user_id="ana", role="physician").add("Hers.").cubes[0].header.descriptive.role
    assert [] == list(mem.access_policies())


def test_an_owner_that_may_not_unfreeze_is_sent_to_the_steward(mem: MemOS) -> None:
    id = mem.add("For good.", user_id="ana").ids[0]
    mem.freeze(id, user_id="ana")

    with pytest.raises(NotAllowed, match="ask the steward of the store"):
        mem.unfreeze(id, user_id="ana")
