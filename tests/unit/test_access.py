"""Access: sharing, policies, roles, limits, narrowing by sources, and explanations, over both adapters."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pymemos import MemOS
from pymemos.cube.payload import Activation, ModelRef, Parametric
from pymemos.cube.policy import Action
from pymemos.errors import InvalidInput, NotAllowed, RateLimited, UnknownField, UnknownMemory, UnknownVersion
from pymemos.testing.doubles import FrozenClock

ANA = "users/ana"
HOUR = timedelta(hours=1)


def told(mem: MemOS, text: str, **labels: object) -> str:
    """Ana keeps a text; gives its id."""
    return mem.add(text, user_id="ana", **labels).ids[0]  # type: ignore[arg-type]


def texts(mem: MemOS, query: str = "tea diagnosis plan", **options: object) -> set[str]:
    """What a search and a listing find; both find the same."""
    listed = {cube.text for cube in mem.list(**options)}  # type: ignore[arg-type]
    found = {hit.cube.text for hit in mem.search(query, limit=50, **options)}  # type: ignore[arg-type]
    assert found <= listed
    return listed


@pytest.fixture
def bo(mem: MemOS) -> MemOS:
    return mem.bind(user_id="bo")


class TestSharing:
    def test_nobody_else_reads_what_was_not_shared(self, mem: MemOS, bo: MemOS) -> None:
        id = told(mem, "Ana likes tea.")

        with pytest.raises(UnknownMemory):
            bo.get(id)
        with pytest.raises(NotAllowed):
            bo.search("tea", namespaces=ANA)
        assert set() == texts(bo, namespaces="*")

    def test_a_shared_memory_is_read_and_nothing_beside_it(self, mem: MemOS, bo: MemOS) -> None:
        tea, secret = told(mem, "Ana likes tea."), told(mem, "Ana's tea diagnosis.")

        mem.share(tea, to="users/bo", user_id="ana")

        assert "Ana likes tea." == bo.get(tea).text
        assert {"Ana likes tea."} == texts(bo, namespaces=ANA) == texts(bo, namespaces="*")
        with pytest.raises(UnknownMemory):
            bo.get(secret)

    def test_what_is_read_only_is_not_changed_and_the_error_says_so(self, mem: MemOS, bo: MemOS) -> None:
        tea = told(mem, "Ana likes tea.")
        mem.share(tea, to="users/bo", user_id="ana")

        with pytest.raises(NotAllowed, match="can be read here, not changed"):
            bo.update(tea, "Bo was here.")
        with pytest.raises(NotAllowed):
            bo.delete(tea)
        assert "Ana likes tea." == mem.get(tea).text

    def test_whoever_may_write_leaves_their_name(self, mem: MemOS, bo: MemOS) -> None:
        tea = told(mem, "Ana likes tea.")
        mem.share(tea, to="users/bo", write=True, user_id="ana")

        bo.update(tea, "Ana likes mint tea.")

        assert ("Ana likes mint tea.", "users/bo") == (mem.get(tea).text, mem.get(tea).header.descriptive.author)
        assert "update" in {entry.operation for entry in mem.log(user_id="ana", caller="users/bo")}

    def test_whoever_may_write_does_not_freeze(self, mem: MemOS, bo: MemOS) -> None:
        tea = told(mem, "Ana likes tea.")
        mem.share(tea, to="users/bo", write=True, user_id="ana")

        with pytest.raises(NotAllowed):
            bo.freeze(tea)

    def test_what_was_shared_and_then_revoked_is_unknown_again(self, mem: MemOS, bo: MemOS) -> None:
        tea = told(mem, "Ana likes tea.")
        policy = mem.share(to="users/bo", user_id="ana")
        assert bo.get(tea)

        mem.unshare(policy.name, user_id="ana")

        with pytest.raises(UnknownMemory):
            bo.get(tea)
        assert set() == texts(bo, namespaces="*")

    def test_a_sharing_ends_by_itself(self, mem: MemOS, bo: MemOS, clock: FrozenClock) -> None:
        tea = told(mem, "Ana likes tea.")
        mem.share(to="users/bo", expires=clock() + HOUR, user_id="ana")
        assert bo.get(tea)

        clock.advance(HOUR)

        with pytest.raises(UnknownMemory):
            bo.get(tea)

    def test_only_the_owner_and_the_steward_share(self, mem: MemOS, bo: MemOS) -> None:
        tea = told(mem, "Ana likes tea.")
        mem.share(tea, to="users/bo", write=True, user_id="ana")

        with pytest.raises(NotAllowed):
            bo.share(tea, to="users/eve")
        with pytest.raises(NotAllowed):
            bo.share(to="users/bo", namespace=ANA)

    def test_a_read_is_in_the_log_of_whose_memory_it_is(self, mem: MemOS, bo: MemOS) -> None:
        tea = told(mem, "Ana likes tea.")
        own = bo.add("Bo likes tea.").ids[0]
        mem.share(tea, to="users/bo", user_id="ana")

        bo.search("tea", namespaces="*")

        [entry] = mem.log(user_id="ana", caller="users/bo", operation="search")
        assert ((tea,), True) == (entry.memories, entry.used)
        [entry] = bo.log(operation="search")
        assert (own,) == entry.memories

    def test_what_others_share_is_ranked_with_ones_own(self, mem: MemOS, bo: MemOS) -> None:
        told(mem, "Ana likes green tea with mint.")
        bo.add("Bo likes coffee.")
        mem.share(to="users/bo", user_id="ana")

        hits = bo.search("green tea with mint", namespaces=["users/bo", ANA])

        assert "Ana likes green tea with mint." == hits[0].cube.text
        assert texts(bo) == {"Bo likes coffee."}


class TestPlaces:
    def test_a_shared_place_is_open_to_those_whom_the_steward_lets_in(self, mem: MemOS, bo: MemOS) -> None:
        mem.share(to=["users/ana", "users/bo"], write=True, namespace="shared/team")

        mem.add("The plan is tea at five.", user_id="ana", namespace="shared/team")
        bo.add("The plan moved to six.", namespace="shared/team")

        assert {"The plan is tea at five.", "The plan moved to six."} == texts(bo, namespaces="shared/team")
        assert set() == texts(bo)
        with pytest.raises(NotAllowed):
            mem.add("I am Eve.", user_id="eve", namespace="shared/team")

    def test_everybody_reads_the_global_place_and_the_steward_writes_it(self, mem: MemOS, bo: MemOS) -> None:
        mem.add("Tea is served at five.", namespace="global")

        assert {"Tea is served at five."} == texts(bo, namespaces="global") == texts(bo, namespaces="*")
        with pytest.raises(NotAllowed):
            bo.add("Tea is cold.", namespace="global")

    def test_whoever_is_given_a_place_to_manage_lets_others_in(self, mem: MemOS, bo: MemOS) -> None:
        manage = {"who": ["users/ana"], "actions": ["read", "write"]}
        mem.set_access_policy("ana works here", manage, namespace="shared/team")
        mem.set_access_policy("ana manages", manage | {"actions": ["manage"]}, namespace="shared/team")

        mem.share(to="users/bo", namespace="shared/team", user_id="ana")

        mem.add("The plan.", user_id="ana", namespace="shared/team")
        assert {"The plan."} == texts(bo, namespaces="shared/team")

    def test_a_part_that_may_be_written_takes_nothing_else(self, mem: MemOS, bo: MemOS) -> None:
        for action in ("read", "write"):
            policy = {"who": ["users/bo"], "actions": [action], "what": {"tags": "tea"}}
            mem.set_access_policy(action, policy, user_id="ana")

        id = bo.add("Oolong.", tags=["tea"], namespace=ANA).ids[0]

        assert "Oolong." == mem.get(id, user_id="ana").text
        with pytest.raises(NotAllowed, match="outside of it"):
            bo.add("Espresso.", tags=["coffee"], namespace=ANA)
        with pytest.raises(NotAllowed, match="outside of it"):
            bo.update(id, tags=["coffee"])

    @pytest.mark.parametrize("name", ["users/", "../users/ana", "teams/x", "shared", "users/ana\0", "", "*x"])
    def test_a_place_that_cannot_be_is_refused(self, mem: MemOS, name: str) -> None:
        with pytest.raises(InvalidInput):
            mem.add("x", namespace=name)


class TestDenials:
    def test_what_is_denied_no_permission_opens(self, mem: MemOS, bo: MemOS) -> None:
        told(mem, "Ana likes tea."), told(mem, "Ana's diagnosis.", sensitivity=["medical"])
        mem.share(to="users/bo", user_id="ana")

        mem.set_access_policy("no medical", {"effect": "deny", "what": {"sensitivity": "medical"}}, namespace="*")

        assert {"Ana likes tea."} == texts(bo, namespaces=ANA) == texts(mem.bind(user_id="ana"))
        assert 2 == len(mem.list(namespaces="*"))  # nothing binds the steward

    def test_only_physicians_read_diagnoses(self, mem: MemOS) -> None:
        told(mem, "Ana's diagnosis.", sensitivity=["medical"])
        mem.share(to="everyone", user_id="ana")
        rule = {"effect": "deny", "what": {"sensitivity": "medical"}, "when": {"NOT": {"role": "physician"}}}
        mem.set_access_policy("physicians only", rule, namespace="*")
        mem.assign_role("physician", "users/dr")

        assert {"Ana's diagnosis."} == texts(mem.bind(user_id="dr", role="physician"), namespaces=ANA)
        assert set() == texts(mem.bind(user_id="dr"), namespaces=ANA)
        assert set() == texts(mem.bind(user_id="quack", role="physician"), namespaces=ANA)

        mem.withdraw_role("physician", "users/dr")

        assert set() == texts(mem.bind(user_id="dr", role="physician"), namespaces=ANA)

    def test_an_agent_that_acts_for_somebody_can_be_kept_out(self, mem: MemOS) -> None:
        told(mem, "Ana's diagnosis.", tags=["private"])
        rule = {"effect": "deny", "who": ["agents/shopper"], "what": {"tags": "private"}}

        mem.set_access_policy("not the shopper", rule, user_id="ana")

        assert set() == texts(mem.bind(user_id="ana").bind(agent_id="shopper"))
        assert {"Ana's diagnosis."} == texts(mem.bind(user_id="ana"))

    def test_what_the_steward_set_the_owner_cannot_take_away(self, mem: MemOS) -> None:
        mem.set_access_policy("no", {"effect": "deny", "actions": ["write"]}, namespace=ANA)

        with pytest.raises(NotAllowed):
            mem.remove_access_policy("no", user_id="ana")
        with pytest.raises(NotAllowed):
            mem.set_access_policy("no", {"effect": "deny", "actions": ["read"]}, user_id="ana")

    def test_whoever_is_narrowed_does_not_manage(self, mem: MemOS) -> None:
        """Else a persona could take away the rule that narrows it."""
        mem.set_access_policy(
            "child", {"effect": "deny", "what": {"tags": "x"}, "when": {"role": "child"}}, user_id="ana"
        )
        child = mem.bind(user_id="ana", role="child")

        for act in (
            lambda: child.remove_access_policy("child"),
            lambda: child.log(),
            lambda: child.snapshot("now"),
            lambda: child.enqueue("note"),
        ):
            with pytest.raises(NotAllowed):
                act()

    def test_whoever_manages_a_place_names_what_may_be_read_alone(self, mem: MemOS) -> None:
        secret = told(mem, "Ana's diagnosis.", sensitivity=["medical"])
        mem.set_access_policy("no medical", {"effect": "deny", "what": {"sensitivity": "medical"}}, namespace="*")
        ana = mem.bind(user_id="ana")

        for act in (lambda: ana.freeze(secret), lambda: ana.share(secret, to="users/bo")):
            with pytest.raises(UnknownMemory):
                act()

    def test_a_rule_of_the_steward_leaves_the_owner_in_charge(self, mem: MemOS) -> None:
        mem.set_access_policy("no medical", {"effect": "deny", "what": {"sensitivity": "medical"}}, namespace="*")

        assert mem.share(to="users/bo", user_id="ana")
        assert mem.log(user_id="ana")


class TestContext:
    def test_one_account_has_several_personas(self, mem: MemOS) -> None:
        """7.2.3: parent and manager."""
        told(mem, "The school plan.", tags=["family"]), told(mem, "The budget plan.", tags=["work"])
        for role, tag in (("parent", "work"), ("manager", "family")):
            rule = {"effect": "deny", "what": {"tags": tag}, "when": {"role": role}}
            mem.set_access_policy(f"{role} is not at {tag}", rule, user_id="ana")

        assert {"The school plan."} == texts(mem.bind(user_id="ana", role="parent"))
        assert {"The budget plan."} == texts(mem.bind(user_id="ana", role="manager"))
        assert {"The school plan.", "The budget plan."} == texts(mem.bind(user_id="ana"))

    def test_a_memory_is_active_only_for_its_task(self, mem: MemOS) -> None:
        """7.1.2 and 5.2: conditional activation."""
        told(mem, "The clause about tea.", tags=["contract"])
        rule = {"effect": "deny", "what": {"tags": "contract"}, "when": {"NOT": {"task": "review"}}}

        mem.set_access_policy("only in a review", rule, user_id="ana")

        assert set() == texts(mem.bind(user_id="ana"))
        assert {"The clause about tea."} == texts(mem.bind(user_id="ana", task="review"))

    def test_a_permission_can_be_for_a_purpose(self, mem: MemOS, bo: MemOS) -> None:
        told(mem, "Ana likes tea.")
        mem.share(to="users/bo", when={"purpose": "catering"}, user_id="ana")

        assert set() == texts(bo, namespaces="*")
        assert {"Ana likes tea."} == texts(bo.bind(purpose="catering"), namespaces="*")

    def test_a_rule_can_keep_office_hours(self, mem: MemOS, bo: MemOS, clock: FrozenClock) -> None:
        """The clock begins at 13:56."""
        told(mem, "Ana likes tea.")
        mem.share(to="users/bo", when={"hour": {"gte": 9, "lt": 17}, "weekday": {"lte": 5}}, user_id="ana")
        assert {"Ana likes tea."} == texts(bo, namespaces="*")

        clock.advance(4 * HOUR)

        assert set() == texts(bo, namespaces="*")

    def test_so_many_calls_go_through_and_no_more(self, mem: MemOS, bo: MemOS, clock: FrozenClock) -> None:
        limit = {"effect": "limit", "actions": ["read"], "rate": {"calls": 2, "per_s": 60}, "who": ["users/bo"]}
        mem.set_access_policy("slowly", limit, namespace="*")
        bo.list(), bo.list()

        with pytest.raises(RateLimited, match="try again in 60 s"):
            bo.list()
        bo.add("Writing is not counted.")
        clock.advance(timedelta(seconds=60))

        assert bo.list()

    def test_a_rule_can_demand_that_reads_are_recorded_before_they_are_answered(self, mem: MemOS, bo: MemOS) -> None:
        told(mem, "Ana likes tea.")
        mem.share(to="users/bo", user_id="ana")
        mem.set_access_policy("write it down", {"effect": "record", "actions": ["read"]}, user_id="ana")

        bo.search("tea", namespaces=ANA)

        with mem._tools.store.read() as unit:  # what a crash would leave
            tail = unit.audit_tail(ANA)
        assert tail is not None
        assert ("search", "users/bo") == (tail.operation, tail.caller.namespace)


class TestDerived:
    """What was made from others opens no more than they do (12.9)."""

    @pytest.mark.parametrize("kind", ["text", "kv", "adapter"])
    def test_a_derivative_goes_with_its_source(self, mem: MemOS, bo: MemOS, kind: str) -> None:
        tea = told(mem, "Ana likes tea.")
        policy = mem.share(tea, to="users/bo", user_id="ana")
        blob, size = mem.put_blob(b"tensor")
        model = ModelRef(name="m", weights="w")
        payload = {
            "text": "Buy tea.",
            "kv": Activation(form="kv", blob=blob, size=size, model=model),
            "adapter": Parametric(blob=blob, size=size, model=model, rank=8),
        }[kind]
        made = bo.add(payload, parents=[tea]).ids[0]
        assert [made] == [cube.id for cube in bo.list()]

        mem.unshare(policy.name, user_id="ana")

        with pytest.raises(UnknownMemory):
            bo.get(made)
        with pytest.raises(UnknownMemory):
            bo.history(made)
        assert [] == [cube.id for cube in bo.list()]
        assert [] == list(bo.search("buy tea"))

    def test_it_holds_through_generations_and_owners(self, mem: MemOS, bo: MemOS) -> None:
        secret = told(mem, "Ana's diagnosis.", tags=["medical"])
        first = told(mem, "Ana needs rest.", parents=[secret])
        second = told(mem, "Cancel the tea.", parents=[first])
        mem.share(to="users/bo", filters={"NOT": {"tags": "medical"}}, user_id="ana")

        assert set() == texts(bo, namespaces=ANA)
        for id in (first, second):
            with pytest.raises(UnknownMemory):
                bo.get(id)
        assert 3 == len(mem.list(user_id="ana"))

    def test_a_source_that_comes_into_reach_brings_its_derivatives(self, mem: MemOS, bo: MemOS) -> None:
        secret = told(mem, "Ana's diagnosis.", tags=["medical"])
        told(mem, "Ana needs rest.", parents=[secret])
        mem.share(to="users/bo", filters={"NOT": {"tags": "medical"}}, user_id="ana")

        mem.update(secret, tags=[], user_id="ana")

        assert {"Ana's diagnosis.", "Ana needs rest."} == texts(bo, namespaces=ANA)

    def test_nothing_is_made_from_what_one_may_not_read(self, mem: MemOS, bo: MemOS) -> None:
        tea = told(mem, "Ana likes tea.")

        with pytest.raises(UnknownMemory):
            bo.add("Copied.", parents=[tea])

    def test_a_look_back_hides_what_was_made_from_it_too(self, mem: MemOS, bo: MemOS, clock: FrozenClock) -> None:
        tea = told(mem, "Ana likes tea.")
        policy = mem.share(tea, to="users/bo", user_id="ana")
        made = bo.add("Buy tea.", parents=[tea]).ids[0]
        then = clock()
        clock.advance(HOUR)
        bo.update(made, "Buy whatever.", parents=[])
        mem.unshare(policy.name, user_id="ana")

        assert {"Buy whatever."} == texts(bo)
        assert [] == list(bo.list(known_at=then))
        assert ["Buy whatever."] == [record.cube.text for record in bo.history(made)]
        with pytest.raises(UnknownVersion):
            bo.get(made, version=1)

    def test_nobody_goes_back_to_what_they_may_no_longer_read(self, mem: MemOS, bo: MemOS) -> None:
        tea = told(mem, "Ana likes tea.")
        policy = mem.share(tea, to="users/bo", user_id="ana")
        made = bo.add("Buy tea.", parents=[tea]).ids[0]
        bo.update(made, "Buy whatever.", parents=[])
        mem.unshare(policy.name, user_id="ana")

        with pytest.raises(UnknownVersion):
            bo.restore(made, 1)
        assert "Buy whatever." == bo.get(made).text

    def test_a_restored_version_is_replayed_to_those_who_may_read_it(self, mem: MemOS, bo: MemOS) -> None:
        tea = told(mem, "Ana likes tea.")
        policy = mem.share(tea, to="users/bo", user_id="ana")
        made = bo.add("Buy tea.", parents=[tea]).ids[0]
        bo.update(made, "Buy whatever.", parents=[])
        assert "Buy tea." == bo.restore(made, 1, idempotency_key="k").text
        bo.update(made, "Buy nothing.", parents=[])
        mem.unshare(policy.name, user_id="ana")

        with pytest.raises(UnknownVersion):
            bo.restore(made, 1, idempotency_key="k")

    def test_a_namespace_goes_back_without_what_would_be_out_of_reach(
        self, mem: MemOS, bo: MemOS, clock: FrozenClock
    ) -> None:
        """Nor is it taken away for having been out of reach then."""
        tea = told(mem, "Ana likes tea.")
        policy = mem.share(tea, to="users/bo", user_id="ana")
        made = bo.add("Buy tea.", parents=[tea]).ids[0]
        then = clock()
        clock.advance(HOUR)
        bo.update(made, "Buy whatever.", parents=[])
        mem.unshare(policy.name, user_id="ana")

        assert () == bo.restore_to(then).steps
        assert "Buy whatever." == bo.get(made).text

    def test_a_deleted_source_hides_nothing_from_the_owner(self, mem: MemOS) -> None:
        source = told(mem, "Ana likes tea.")
        told(mem, "Buy tea.", parents=[source])

        mem.delete(source, user_id="ana")

        assert {"Buy tea."} == texts(mem, user_id="ana")


class TestNames:
    def test_a_role_is_not_held_by_whoever_has_a_name_like_its_grant(self, mem: MemOS) -> None:
        told(mem, "Ana likes tea.")
        mem.share(to="roles/a", user_id="ana")
        mem.assign_role("a to users/x", "users/y")

        assert set() == texts(mem.bind(user_id="x to users/y", role="a"), namespaces="*")

    def test_a_message_that_is_known_out_of_reach_is_not_shown(self, mem: MemOS, bo: MemOS) -> None:
        message = [{"role": "user", "content": "The password is tea.", "id": "m1"}]
        mem.add(message, user_id="ana", tags=["secret"])
        for action in ("read", "write"):
            policy = {"who": ["users/bo"], "actions": [action], "what": {"tags": "open"}}
            mem.set_access_policy(action, policy, user_id="ana")

        added = bo.add(message, tags=["open"], namespace=ANA)

        assert ((), [("open",)]) == (added.deduplicated, [cube.header.descriptive.tags for cube in added.cubes])


class TestSideChannels:
    """A search of a part is a search of that part alone."""

    def test_scores_counts_and_reasons_tell_nothing_of_what_is_left_out(self, mem: MemOS) -> None:
        for user in ("ana", "control"):
            mem.add("Mint tea on Monday.", user_id=user, tags=["open"])
            mem.add("Coffee on Tuesday.", user_id=user, tags=["open"])
            mem.share(to="users/bo", filters={"tags": "open"}, user_id=user)
        for number in range(30):
            told(mem, f"A secret about mint tea, {number}.")
        bo = mem.bind(user_id="bo")

        seen, control = (bo.search("mint tea", namespaces=f"users/{user}", explain=True) for user in ("ana", "control"))

        assert [(hit.cube.text, hit.score, str(hit.why)) for hit in control] == [
            (hit.cube.text, hit.score, str(hit.why)) for hit in seen
        ]
        assert control.reasons == seen.reasons

    def test_looks_back_tell_nothing_either(self, mem: MemOS, clock: FrozenClock) -> None:
        for user in ("ana", "control"):
            mem.add("Mint tea on Monday.", user_id=user, tags=["open"])
            mem.add("Green tea on Tuesday, with a lot of sugar.", user_id=user, tags=["open"])
            mem.share(to="users/bo", filters={"tags": "open"}, user_id=user)
        for number in range(30):
            told(mem, f"A secret about mint tea, {number}.")
        bo, now = mem.bind(user_id="bo"), clock()

        seen, control = (bo.search("mint tea", namespaces=f"users/{name}", known_at=now) for name in ("ana", "control"))

        assert [(hit.cube.text, hit.score) for hit in control] == [(hit.cube.text, hit.score) for hit in seen]

    def test_the_turn_before_lends_no_words_where_it_may_not_be_read(self, mem: MemOS, bo: MemOS) -> None:
        turns = [
            {"role": "user", "content": "My password is swordfish.", "name": "Ana"},
            {"role": "user", "content": "Never mind, let us talk of tea.", "name": "Ana"},
        ]
        cubes = mem.add(turns, user_id="ana", session_id="s").cubes
        mem.share(cubes[1].id, to="users/bo", user_id="ana")

        assert [] == list(bo.search("swordfish", namespaces=ANA))
        assert ["Never mind, let us talk of tea."] == [hit.cube.text for hit in bo.search("tea", namespaces=ANA)]

    def test_an_old_version_is_judged_by_what_it_said(self, mem: MemOS, bo: MemOS) -> None:
        id = told(mem, "Ana's diagnosis.", tags=["medical"])
        mem.update(id, "Ana is well.", tags=[], user_id="ana")
        mem.share(to="users/bo", filters={"NOT": {"tags": "medical"}}, user_id="ana")

        assert ["Ana is well."] == [record.cube.text for record in bo.history(id)]
        with pytest.raises(UnknownVersion):
            bo.get(id, version=1)
        with pytest.raises(UnknownVersion):
            bo.diff(id, 1, 2)
        assert ["Ana is well."] == [node.text for node in bo.provenance(id).nodes]
        assert [] == list(bo.export_lines())


class TestExplaining:
    def test_the_owner_learns_every_rule(self, mem: MemOS) -> None:
        tea = told(mem, "Ana likes tea.")
        mem.share(tea, to="users/bo", user_id="ana")
        ana = mem.bind(user_id="ana")

        explained = ana.why(tea)

        assert (explained.allowed, explained.rule) == (True, "owner")
        assert ["owner", f"read {tea} for users/bo"] == [one.name for one in explained.considered]
        assert "it is for 'users/bo'" in str(explained)

    def test_others_learn_no_more_than_the_answer(self, mem: MemOS, bo: MemOS) -> None:
        tea, secret = told(mem, "Ana likes tea."), told(mem, "Secret.")
        mem.share(tea, to="users/bo", user_id="ana")

        assert (True, ()) == (bo.why(tea).allowed, bo.why(tea).considered)
        assert not bo.why(tea, action=Action.WRITE).allowed
        with pytest.raises(UnknownMemory):
            bo.why(secret)

    def test_the_steward_asks_for_anybody(self, mem: MemOS) -> None:
        secret = told(mem, "Secret.")
        mem.share(to="roles/physician", user_id="ana")
        mem.assign_role("physician", "users/dr")

        assert mem.why(secret, user_id="dr", role="physician").allowed
        assert not mem.why(secret, user_id="bo", role="physician").allowed

    def test_sources_are_a_reason_too(self, mem: MemOS) -> None:
        secret = told(mem, "Secret.", tags=["x"])
        made = told(mem, "Made of it.", parents=[secret])
        mem.share(to="users/bo", filters={"NOT": {"tags": "x"}}, user_id="ana")

        assert (False, "sources") == (
            mem.why(made, user_id="bo").allowed,
            mem.why(made, user_id="bo").rule,
        )


class TestReporting:
    def test_every_change_of_the_rules_is_reported_with_its_author(self, mem: MemOS, clock: FrozenClock) -> None:
        policy = mem.share(to="users/bo", user_id="ana")
        clock.advance(HOUR)
        mem.unshare(policy.name, user_id="ana")

        report = mem.access_report(user_id="ana")

        assert () == report.holding
        (first, nothing), (second, before) = report.changes
        assert (policy, ANA, None) == (first.rule, first.author, nothing)
        assert (None, ANA, policy, HOUR) == (second.rule, second.author, before, second.at - first.at)

    def test_nobody_reads_the_rules_of_somebody_else(self, mem: MemOS, bo: MemOS) -> None:
        mem.share(to="users/bo", user_id="ana")

        assert () == bo.access_policies()
        assert () == bo.access_report().changes
        with pytest.raises(NotAllowed):
            bo.access_policies(namespace=ANA)

    def test_permission_revisions_are_exported_with_the_rules(self, mem: MemOS) -> None:
        mem.share(to="users/bo", user_id="ana")

        lines = list(mem.audit_export("permissions", user_id="ana"))

        assert any("set_access_policy" in line and "users/bo" in line for line in lines)


def _deep() -> dict[str, object]:
    """A filter that is as deep as may be, and deeper as it is kept."""
    where: dict[str, object] = {"tags": "x"}
    for _ in range(70):
        where = {"NOT": [where]}
    return where


@pytest.mark.parametrize(
    "what",
    [
        {"metadata.size": {"gt": float("nan")}},
        {"metadata.size": {"lt": float("inf")}},
        {"AND": [{"revision": {"gte": 1, "lte": 5, "ne": 3}}] * 499 + [{"OR": [{"tags": "x"}] * 499}]},
        _deep(),
    ],
)
def test_a_policy_that_could_not_be_read_again_is_refused(mem: MemOS, what: dict[str, object]) -> None:
    """The whole log of rules is read with every call, by everybody."""
    with pytest.raises(InvalidInput, match="rule 'odd'"):
        mem.set_access_policy("odd", {"effect": "deny", "what": what}, user_id="eve")

    assert mem.add("Ana likes tea.", user_id="ana")


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        ({"effect": "allow"}, InvalidInput),
        ({"effect": "permit"}, InvalidInput),
        ({"actions": ["fly"]}, InvalidInput),
        ({"actions": ["read"], "who": ["bo"]}, InvalidInput),
        ({"actions": ["read"], "what": {"state": "archived"}}, UnknownField),
        ({"actions": ["read"], "what": {"colour": "red"}}, UnknownField),
        ({"actions": ["read"], "when": {"tags": "x"}}, UnknownField),
        ({"actions": ["manage"], "what": {"tags": "x"}}, InvalidInput),
        ({"effect": "limit"}, InvalidInput),
        ({"effect": "limit", "rate": {"calls": 0, "per_s": 1}}, InvalidInput),
        ({"effect": "limit", "rate": {"calls": "many"}}, InvalidInput),
        ({"effect": "limit", "rate": {"calls": 1, "per_s": 1}, "what": {"tags": "x"}}, InvalidInput),
        ({"effect": "record", "what": {"tags": "x"}}, InvalidInput),
        ({"effect": "record", "rate": {"calls": 1, "per_s": 1}}, InvalidInput),
        ({"actions": ["read"], "colour": "red"}, InvalidInput),
        ({"actions": ["read"], "starts": "2025-01-02T00:00Z", "expires": "2025-01-01T00:00Z"}, InvalidInput),
        ({"role": "physician", "to": "users/bo"}, InvalidInput),
    ],
)
def test_a_policy_that_would_not_do_what_it_seems_to_is_refused(
    mem: MemOS, policy: dict[str, object], error: type[Exception]
) -> None:
    with pytest.raises(error):
        mem.set_access_policy("p", policy, user_id="ana")


def test_a_permission_opens_one_namespace_and_not_the_store(mem: MemOS) -> None:
    with pytest.raises(InvalidInput, match="opens one namespace"):
        mem.set_access_policy("p", {"actions": ["read"]}, namespace="*")
