"""Views: what they name, what a reader sees through them, and that they are memories like any other."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymemos import MemOS, SemanticType, errors
from pymemos.adapters.memory import MemoryBlobs, MemoryStore
from pymemos.cube.cube import MemCube
from pymemos.cube.filters import Compare, matches, parse
from pymemos.interface.transfer import from_line
from pymemos.operation.views import View, both, parts
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import WHEN, FrozenClock, HashingEmbedder

ANA, BO, TEAM = "users/ana", "users/bo", "agents/team"
WORK = {"tags": {"contains": "work"}}


class Filled:
    """A store with memories of Ana, Bo and an agent, by their texts."""

    def __init__(self, mem: MemOS) -> None:
        self.mem = mem
        self.ids: dict[str, str] = {}
        for text, owner, tags in [
            ("tea at work", {"user_id": "ana"}, ["work"]),
            ("tea at home", {"user_id": "ana"}, ["home"]),
            ("Bo's tea at work", {"user_id": "bo"}, ["work"]),
            ("Bo's tea at home", {"user_id": "bo"}, ["home"]),
            ("tea of the team", {"agent_id": "team"}, ["work"]),
        ]:
            self.ids[text] = mem.add(text, tags=tags, **owner).ids[0]

    def found(self, view: str, query: str = "tea", mem: MemOS | None = None, **options: Any) -> set[str]:
        hits = (mem or self.mem).search(query, view=view, **options)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        return {hit.cube.text for hit in hits}

    def listed(self, view: str, mem: MemOS | None = None, **options: Any) -> list[str]:
        return [cube.text for cube in (mem or self.mem).list(view=view, **options)]


@pytest.fixture
def filled(mem: MemOS) -> Filled:
    return Filled(mem)


# ── The pure part ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_namespace_is_looked_at_once_with_its_condition() -> None:
    view = View(name="v", namespaces=(ANA, BO), where=WORK, ids=("1", "2", "3", "4"))

    found = dict(parts(view, {"1": BO, "2": TEAM, "3": TEAM}))

    assert list(found) == [ANA, BO, TEAM]
    assert found[ANA] == parse(WORK)
    assert found[BO] == parse({"OR": [WORK, {"id": {"in": ["1"]}}]})
    assert found[TEAM] == Compare("id", "in", ("2", "3"))


def test_a_whole_namespace_has_no_condition_and_holds_its_single_memories_anyway() -> None:
    assert parts(View(name="v", namespaces=(ANA,), ids=("1",)), {"1": ANA}) == ((ANA, None),)


spaces = st.sampled_from([ANA, BO, TEAM])
where = st.sampled_from([None, WORK, {"tags": {"contains": "home"}}, {"NOT": WORK}])
cubes = st.builds(
    lambda space, tags: a_cube("x", space, tags=tags), spaces, st.sampled_from([(), ("work",), ("home",)])
)


@given(st.lists(cubes, max_size=6), st.lists(spaces, unique=True), where, st.sets(st.integers(0, 5)))
def test_a_view_shows_just_what_it_names(
    held: list[MemCube], named: list[str], where: dict[str, Any] | None, single: set[int]
) -> None:
    ids = tuple(cube.id for place, cube in enumerate(held) if place in single)
    view = View(name="v", namespaces=tuple(named), where=where, ids=ids)

    looks = parts(view, {cube.id: cube.namespace for cube in held})

    shown = [c.id for c in held for space, on in looks if c.namespace == space and (on is None or matches(on, c))]
    wanted = [
        c.id for c in held if c.id in ids or (c.namespace in named and (where is None or matches(parse(where), c)))
    ]
    assert shown == wanted  # each once
    assert len({space for space, _ in looks}) == len(looks)


def test_conditions_are_joined_where_there_are_several() -> None:
    one, other = parse(WORK), parse({"kind": "plaintext"})

    assert (both(None, None), both(one, None), both(None, other)) == (None, one, other)
    assert both(one, other) == parse({"AND": [WORK, {"kind": "plaintext"}]})


# ── Composing ───────────────────────────────────────────────────────────────────────────────────────────────────────


class TestComposing:
    def test_a_view_is_a_memory_that_no_words_find(self, filled: Filled) -> None:
        mem = filled.mem

        view = mem.compose("tea", namespaces=[ANA], filters=WORK, user_id="ana")

        assert view.header.descriptive.semantic_type is SemanticType.VIEW
        assert view.text == '{"filter":{"tags":{"contains":"work"}},"name":"tea","namespaces":["users/ana"]}'
        assert (view.parents, view.stale, view.namespace) == ((), (), ANA)
        assert mem.get(view.id, user_id="ana").version == view.version
        assert view.id not in [hit.cube.id for hit in mem.search("tea filter namespaces", user_id="ana")]
        assert view.id not in [cube.id for cube in mem.list(user_id="ana")]
        assert [cube.id for cube in mem.list(user_id="ana", episodes=True, filters={"type": "view"})] == [view.id]
        assert mem.jobs() == [job for job in mem.jobs() if job.kind != "embed"]

    def test_a_filter_alone_is_about_ones_own(self, filled: Filled) -> None:
        filled.mem.compose("work", filters=WORK, user_id="bo")

        assert filled.found("work", user_id="bo") == {"Bo's tea at work"}

    def test_composed_again_it_gets_its_next_version_and_the_same_again_none(self, filled: Filled) -> None:
        mem = filled.mem
        first = mem.compose("v", filters=WORK, user_id="ana")

        newer = mem.compose("v", filters={"tags": {"contains": "home"}}, user_id="ana", expected=1)

        assert (newer.id, newer.revision) == (first.id, 2)
        assert mem.compose("v", filters={"tags": {"contains": "home"}}, user_id="ana").version == newer.version
        assert len(mem.history(first.id)) == 2
        assert filled.found("v", user_id="ana") == {"tea at home"}
        with pytest.raises(errors.StaleVersion):
            mem.compose("v", filters=WORK, user_id="ana", expected=1)
        with pytest.raises(errors.StaleVersion):
            mem.compose("other", filters=WORK, user_id="ana", expected=1)
        assert mem.compose("v", filters=WORK, user_id="bo").id != first.id

    def test_undo_goes_back_a_version_and_then_deletes(self, filled: Filled) -> None:
        mem = filled.mem
        id = mem.compose("v", filters=WORK, user_id="ana").id
        mem.compose("v", namespaces=[ANA], user_id="ana")

        assert mem.undo(id).undone == "compose"
        assert filled.found("v", user_id="ana") == {"tea at work"}
        mem.delete(id)
        mem.restore(id)
        assert filled.found("v", user_id="ana") == {"tea at work"}

        other = mem.compose("w", filters=WORK, user_id="ana").id
        assert mem.undo(other).cube is None
        with pytest.raises(errors.UnknownMemory):
            filled.found("w", user_id="ana")

    def test_it_travels_with_its_history(self, filled: Filled, tmp_path: Path) -> None:
        filled.mem.compose("v", namespaces=[ANA], user_id="ana")
        filled.mem.compose("v", namespaces=[ANA], filters=WORK, user_id="ana")
        with MemOS(tmp_path / "copy", store=MemoryStore(), blobs=MemoryBlobs()) as copy:
            copy.import_records(from_line(line) for line in filled.mem.export_lines())

            assert [cube.text for cube in copy.list(view="v", user_id="ana")] == ["tea at work"]

    def test_a_repeated_call_with_a_key_gives_the_first_result(self, filled: Filled) -> None:
        mem = filled.mem
        first = mem.compose("v", filters=WORK, user_id="ana", idempotency_key="k")
        mem.compose("v", namespaces=[ANA], user_id="ana")

        assert mem.compose("v", filters=WORK, user_id="ana", idempotency_key="k").version == first.version

    def test_a_filter_is_kept_as_json(self, mem: MemOS) -> None:
        where = MappingProxyType({"created": {"gte": WHEN}, "tags": {"in": ("a",)}})

        view = mem.compose("v", filters=where)

        assert parse(View.of(view).where) == parse(where)

    def test_a_view_is_neither_edited_nor_merged(self, filled: Filled) -> None:
        mem = filled.mem
        view, text = mem.compose("v", namespaces=[ANA], user_id="ana").id, filled.ids["tea at work"]
        for act in (
            lambda: mem.update(view, "x"),
            lambda: mem.append(view, "x"),
            lambda: mem.merge(text, [view]),
            lambda: mem.fuse([text, view]),
            lambda: mem.compose("w", ids=[view], user_id="ana"),
            lambda: mem.add("x", type="view"),
            lambda: mem.search("tea", view=text, user_id="ana"),
        ):
            with pytest.raises(errors.InvalidInput, match=r"compose|is no view"):
                act()
        mem.freeze(view)
        with pytest.raises(errors.NotAllowed, match="frozen"):
            mem.compose("v", filters=WORK, user_id="ana")

    @pytest.mark.parametrize(
        ("act", "error", "match"),
        [
            (lambda m: m.compose("v"), errors.EmptyScope, "show nothing"),
            (lambda m: m.compose("v", namespaces=[]), errors.EmptyScope, "name ids"),
            (lambda m: m.compose("", filters={}), errors.InvalidInput, "1 to 256"),
            (lambda m: m.compose(m.add("x").ids[0], filters={}), errors.InvalidInput, "looks like an id"),
            (lambda m: m.compose("v", filters={"tag": 1}), errors.UnknownField, "tag"),
            (lambda m: m.compose("v", filters={"uses": {"gt": float("nan")}}), errors.InvalidInput, "None"),
            (lambda m: m.compose("v", namespaces="users/ana"), errors.InvalidInput, "list of texts"),
            (lambda m: m.compose("v", namespaces=[f"n{n}" for n in range(101)]), errors.InvalidInput, "at most 100"),
            (lambda m: m.compose("v", ids=["nobody"]), errors.UnknownMemory, "deleted or unknown"),
            (lambda m: m.search("x", view="v"), errors.UnknownMemory, "no such memory"),
            (lambda m: m.compose("v", namespaces=["ana"]), errors.InvalidInput, "no memories can live in 'ana'"),
            (lambda m: m.search("x", view="v", namespaces="*"), errors.InvalidInput, "not both"),
            (lambda m: m.list(view=""), errors.InvalidInput, "view must hold"),
        ],
    )
    def test_what_is_asked_wrongly_is_said(
        self, mem: MemOS, act: Callable[[MemOS], Any], error: type[Exception], match: str
    ) -> None:
        with pytest.raises(error, match=match):
            act(mem)


# ── Reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


class TestReading:
    def test_several_namespaces_are_ranked_as_one(self, filled: Filled) -> None:
        mem = filled.mem
        mem.compose("all", namespaces=[ANA, BO, TEAM])

        hits = mem.search("Bo's tea at home", view="all")

        assert hits[0].cube.text == "Bo's tea at home"
        assert {hit.cube.text for hit in hits} == set(filled.ids)
        alone = [hit for user in ("ana", "bo") for hit in mem.search("Bo's tea at home", user_id=user)]
        scores = {hit.cube.id: hit.score for hit in hits}
        assert {hit.cube.id: hit.score for hit in alone}.items() <= scores.items()
        assert [hit.cube.id for hit in mem.search("Bo's tea at home", view="all", limit=2)] == [
            hit.cube.id for hit in hits[:2]
        ]

    def test_conditions_and_single_memories_are_united(self, filled: Filled) -> None:
        ids = [filled.ids[text] for text in ("tea at home", "tea of the team")]
        view = filled.mem.compose("v", ids=ids, namespaces=[BO], filters=WORK)

        wanted = ["tea at home", "Bo's tea at work", "tea of the team"]
        assert filled.found("v") == filled.found(view.id) == set(wanted)
        assert filled.listed("v") == wanted
        assert filled.listed("v", filters={"tags": {"contains": "work"}}) == wanted[1:]
        assert filled.found("v", filters={"tags": {"contains": "home"}}) == {"tea at home"}

    def test_it_is_listed_page_by_page(self, filled: Filled) -> None:
        filled.mem.compose("all", namespaces=[BO, ANA, TEAM])
        pages, after = [], None
        while True:
            page = filled.mem.list(view="all", limit=2, after=after)
            pages.append([cube.text for cube in page])
            if (after := page.after) is None:
                break

        assert pages == [list(filled.ids)[:2], list(filled.ids)[2:4], list(filled.ids)[4:]]

    def test_it_shows_what_is_there_when_it_is_read(self, filled: Filled, clock: FrozenClock) -> None:
        mem = filled.mem
        mem.compose("v", filters=WORK, ids=[filled.ids["tea at home"]], user_id="ana")
        clock.advance(timedelta(hours=1))

        mem.add("more tea", tags=["work"], user_id="ana")
        mem.archive(filled.ids["tea at work"])
        mem.delete(filled.ids["tea at home"])

        assert filled.found("v", user_id="ana") == {"more tea"}
        assert filled.found("v", user_id="ana", states=["archived"]) == {"tea at work"}
        then = clock() - timedelta(minutes=1)
        assert filled.found("v", user_id="ana", known_at=then) == {"tea at work", "tea at home"}

    def test_a_filter_that_names_a_state_reaches_it(self, filled: Filled) -> None:
        filled.mem.archive(filled.ids["tea at work"])
        filled.mem.compose("old", filters={"state": "archived"}, user_id="ana")

        assert filled.found("old", user_id="ana") == {"tea at work"}
        assert filled.listed("old", user_id="ana") == ["tea at work"]

    def test_what_is_merged_away_leaves_the_view_and_comes_back(self, filled: Filled) -> None:
        mem = filled.mem
        mem.compose("v", namespaces=[ANA], user_id="ana")
        target, other = filled.ids["tea at work"], filled.ids["tea at home"]

        mem.merge(target, [other])
        assert filled.listed("v", user_id="ana") == ["tea at work\ntea at home"]
        mem.undo(target)
        assert filled.listed("v", user_id="ana") == ["tea at work", "tea at home"]

    def test_a_scope_narrows_it_further(self, mem: MemOS) -> None:
        mem.add("tea one", user_id="ana", session_id="s1")
        mem.add("tea two", user_id="ana", session_id="s2")
        mem.compose("v", namespaces=[ANA], user_id="ana")

        assert [hit.cube.text for hit in mem.search("tea", view="v", user_id="ana", session_id="s2")] == ["tea two"]
        assert [cube.text for cube in mem.list(view="v", user_id="ana", session_id="s1")] == ["tea one"]

    def test_meaning_counts_through_a_view_as_without(self, tmp_path: Path) -> None:
        with MemOS(tmp_path, store=MemoryStore(), blobs=MemoryBlobs(), embedder=HashingEmbedder()) as mem:
            filled = Filled(mem)
            mem.compose("v", namespaces=[ANA], user_id="ana")

            through, without = (mem.search("tea at work", user_id="ana", view=view) for view in ("v", None))

            assert [(hit.cube.id, hit.why) for hit in through] == [(hit.cube.id, hit.why) for hit in without]
            assert filled.ids["tea at work"] == through[0].cube.id

    def test_a_question_is_embedded_once_for_all_namespaces(self, tmp_path: Path) -> None:
        asked: list[str] = []

        class Counting(HashingEmbedder):
            def embed(self, texts: Any, *, queries: bool = False) -> Any:
                asked.extend(texts if queries else [])
                return super().embed(texts, queries=queries)

        with MemOS(tmp_path, store=MemoryStore(), blobs=MemoryBlobs(), embedder=Counting()) as mem:
            Filled(mem)
            mem.compose("all", namespaces=[ANA, BO, TEAM])
            mem.search("tea at work", view="all")

        assert asked == ["tea at work"]

    def test_a_use_through_a_view_counts(self, filled: Filled) -> None:
        filled.mem.compose("v", filters=WORK, user_id="ana")

        filled.found("v", user_id="ana")
        [entry] = filled.mem.log(user_id="ana", operation="search")

        assert entry.memories == (filled.ids["tea at work"],)


class TestRights:
    def test_a_view_shows_nothing_that_its_reader_may_not_read(self, filled: Filled) -> None:
        ana = filled.mem.bind(user_id="ana")
        view = ana.compose("all", namespaces=[ANA, BO, TEAM, "users/nobody"])

        hits = ana.search("Bo's tea at home", view="all")

        assert {hit.cube.text for hit in hits} == {"tea at work", "tea at home"}
        assert hits.decision is not None
        assert hits.decision.namespaces == (ANA,)
        assert BO not in hits.explain()
        assert filled.listed("all", ana) == ["tea at work", "tea at home"]
        assert filled.found(view.id) == set(filled.ids)  # the steward reads the very same view

    def test_it_is_told_of_nothing_whether_it_is_there(self, filled: Filled) -> None:
        """A view over what is private to Bo reads as one over what nobody has."""
        ana = filled.mem.bind(user_id="ana")
        ana.compose("bo", namespaces=[BO], filters={"content": {"contains": "tea"}})
        ana.compose("nobody", namespaces=["users/nobody"], filters={"content": {"contains": "tea"}})

        of_bo, of_nobody = (ana.search("tea", view=name) for name in ("bo", "nobody"))

        assert list(of_bo) == list(of_nobody) == []
        assert of_bo.explain() == of_nobody.explain()
        assert list(ana.list(view="bo")) == list(ana.list(view="nobody")) == []

    def test_what_is_shared_shows_as_long_and_as_far_as_it_is_shared(self, filled: Filled) -> None:
        ana, bo = filled.mem.bind(user_id="ana"), filled.mem.bind(user_id="bo")
        one = filled.ids["Bo's tea at home"]
        ana.compose("bo", namespaces=[BO])
        assert filled.found("bo", mem=ana) == set()

        policy = bo.share(to="users/ana", filters={"tags": "work"})
        assert filled.found("bo", mem=ana) == {"Bo's tea at work"}
        assert filled.listed("bo", ana) == ["Bo's tea at work"]
        assert filled.found("bo", mem=ana, filters={"tags": "home"}) == set()
        bo.share(one, to="users/ana")
        ana.compose("one", ids=[one])
        assert filled.found("bo", mem=ana) == {"Bo's tea at work", "Bo's tea at home"}

        bo.unshare(policy.name)
        assert filled.found("bo", mem=ana) == filled.found("one", mem=ana) == {"Bo's tea at home"}
        bo.set_access_policy("none", {"effect": "deny", "who": ["users/ana"]})
        assert filled.found("bo", mem=ana) == filled.found("one", mem=ana) == set()

    def test_a_shared_view_lends_no_rights_of_its_composer(self, filled: Filled) -> None:
        ana, bo = filled.mem.bind(user_id="ana"), filled.mem.bind(user_id="bo")
        view = ana.compose("mine", namespaces=[ANA, BO]).id

        ana.share(view, to="users/bo")

        assert filled.found(view, mem=bo) == {"Bo's tea at work", "Bo's tea at home"}
        hits = bo.search("tea at work", view=view)
        assert hits.decision is not None
        assert {"tea at work", "tea at home"}.isdisjoint(hit.cube.text for hit in hits)

    def test_what_is_fused_from_the_shared_closes_with_it(self, filled: Filled) -> None:
        ana, bo = filled.mem.bind(user_id="ana"), filled.mem.bind(user_id="bo")
        mine, other = filled.ids["tea at work"], filled.ids["Bo's tea at work"]
        policy = bo.share(other, to="users/ana")
        fused, merged = ana.fuse([mine, other]), ana.merge(filled.ids["tea at home"], [other])
        ana.compose("v", namespaces=[ANA])
        assert filled.listed("v", ana) == ["tea at work", merged.text, fused.text]

        bo.unshare(policy.name)

        assert filled.listed("v", ana) == ["tea at work"]
        with pytest.raises(errors.UnknownMemory):
            ana.undo(merged.id)
        assert filled.mem.undo(merged.id).brought_back == ()  # the steward can; and Bo's memory had stayed where it was
        assert filled.listed("v", ana) == ["tea at work", "tea at home"]

    def test_single_memories_of_somebody_else_are_as_good_as_unknown(self, filled: Filled) -> None:
        ana = filled.mem.bind(user_id="ana")

        with pytest.raises(errors.UnknownMemory) as foreign:
            ana.compose("v", ids=[filled.ids["Bo's tea at work"]])
        with pytest.raises(errors.UnknownMemory) as unknown:
            ana.compose("v", ids=["0196b02e-8180-7000-8000-000000000000"])

        strip = str.maketrans("", "", "0123456789abcdef-")
        assert str(foreign.value).translate(strip) == str(unknown.value).translate(strip)

    def test_somebody_elses_view_is_as_good_as_unknown_by_name_and_by_id(self, filled: Filled) -> None:
        view = filled.mem.compose("v", namespaces=[ANA], user_id="ana")
        bo = filled.mem.bind(user_id="bo")

        for named in ("v", view.id, "nothing", "0196b02e-8180-7000-8000-000000000000"):
            for read in (lambda named=named: bo.search("tea", view=named), lambda named=named: bo.list(view=named)):
                with pytest.raises(errors.UnknownMemory) as refused:
                    read()
                assert str(refused.value) == str(errors.UnknownMemory())
        assert {entry.rule for entry in filled.mem.log(user_id="bo") if not entry.allowed} == {"unknown"}
