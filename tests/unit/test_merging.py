"""Merge, fuse and undo: what several memories say as one, who wins where, and the way back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pymemos import MemCube, Merged, errors
from pymemos.cube.header import Access, Lifespan, Priority, Provenance, SemanticType
from pymemos.cube.payload import Plaintext
from pymemos.operation.lineage import stale
from pymemos.operation.merging import Policy, Statement, merge, normal, parents_of
from pymemos.testing.builders import a_cube
from pymemos.testing.doubles import WHEN

DAY = timedelta(days=1)


def at(day: int, content: str, **declared: Any) -> MemCube:
    return a_cube(content, **{"created": WHEN + day * DAY, "semantic_type": SemanticType.FACT, **declared})


def field(merged: Merged, name: str) -> tuple[Any, str]:
    [conflict] = [one for one in merged.conflicts if one.field == name]
    return conflict.kept, conflict.rule


# ── What they say ───────────────────────────────────────────────────────────────────────────────────────────────────


class TestText:
    def test_distinct_statements_stand_in_the_order_of_their_times(self) -> None:
        late, early = at(2, "She moved to Porto."), at(1, "Ana lives in Lisbon.")

        assert merge([late, early], Policy.NEWEST).payload.content == "Ana lives in Lisbon.\nShe moved to Porto."

    @pytest.mark.parametrize(
        "again", ["Ana likes tea.", "ana likes tea", "- Ana  likes\ttea", "Ana likes tea!", "  Ana likes tea. "]
    )
    def test_the_same_line_is_kept_once_as_it_was_said_first(self, again: str) -> None:
        first, second = at(1, "Ana likes tea."), at(2, again)

        merged = merge([first, second], Policy.NEWEST)

        assert merged.payload.content == "Ana likes tea."
        assert merged.statements == (Statement("Ana likes tea.", (first.id, second.id)),)

    @pytest.mark.parametrize(
        "other",
        ["Ana likes tea?", "Ana does not like tea.", "Ana likes tea+", "Ana likes 5 teas.", "Ana likes -5 teas."],
    )
    def test_what_may_mean_something_else_is_kept(self, other: str) -> None:
        assert other in merge([at(1, "Ana likes tea."), at(2, other)], Policy.NEWEST).payload.content

    def test_a_text_that_brings_only_new_lines_stays_as_it_is(self) -> None:
        poem, note = at(1, "Row, row\n\nRow, row\n  your boat"), at(2, "Gently\nrow, row\n\ndown")

        assert merge([poem, note], Policy.NEWEST).payload.content == "Row, row\n\nRow, row\n  your boat\nGently\ndown"

    def test_several_speakers_are_named_and_one_is_not(self) -> None:
        ana, bo = at(1, "I like tea.", speaker="Ana", speaker_role="user"), at(2, "I like tea.", speaker="Bo")
        more = at(3, "And milk.", speaker="Ana", speaker_role="user")

        both, one = merge([ana, bo], Policy.NEWEST), merge([ana, more], Policy.NEWEST)

        assert (both.payload.content, both.speaker, both.speaker_role) == (
            "Ana: I like tea.\nBo: I like tea.",
            None,
            None,
        )
        assert (one.payload.content, one.speaker, one.speaker_role) == ("I like tea.\nAnd milk.", "Ana", "user")

    def test_a_text_that_is_given_is_the_text(self) -> None:
        merged = merge([at(1, "a"), at(2, "b")], Policy.NEWEST, "both")

        assert (merged.payload.content, merged.statements) == ("both", ())

    def test_lines_of_json_are_not_joined(self) -> None:
        one = a_cube(payload=Plaintext(content="{}", format="json"))
        other = a_cube(payload=Plaintext(content="[]", format="json"))

        with pytest.raises(errors.InvalidInput, match="pass content="):
            merge([one, other], Policy.NEWEST)
        assert merge([one, other], Policy.NEWEST, "[{}]").payload == Plaintext(content="[{}]", format="json")
        assert merge([one, replace(one, id="x")], Policy.NEWEST).payload == one.payload


# ── Who wins ────────────────────────────────────────────────────────────────────────────────────────────────────────

OLD = at(1, "a", metadata={"city": "Lisbon", "n": 1}, language="pt", semantic_type=SemanticType.EVENT)
NEW = at(2, "b", metadata={"city": "Porto", "m": True}, language="en", valid_to=WHEN + 90 * DAY)


class TestFields:
    @pytest.mark.parametrize(
        ("policy", "city", "language", "kind", "end"),
        [
            (Policy.NEWEST, "Porto", "en", SemanticType.FACT, WHEN + 90 * DAY),
            (Policy.OLDEST, "Lisbon", "pt", SemanticType.EVENT, None),
            (Policy.KEEP_ALL, ["Lisbon", "Porto"], None, SemanticType.FACT, None),
        ],
    )
    def test_the_policy_says_who_wins_and_the_rest_is_told(
        self, policy: Policy, city: Any, language: Any, kind: Any, end: Any
    ) -> None:
        merged = merge([NEW, OLD], policy)

        assert merged.metadata == {"city": city, "n": 1, "m": True}
        assert (merged.language, merged.semantic_type, merged.valid_to) == (language, kind, end)
        assert [one.field for one in merged.conflicts] == ["valid_to", "type", "language", "metadata.city"]
        assert field(merged, "metadata.city") == (city, policy.value)

    def test_what_was_not_kept_is_told_with_whom_it_is_from(self) -> None:
        merged = merge([NEW, OLD], Policy.NEWEST)

        assert f'metadata.city: "Porto" (newest) instead of "Lisbon" of {OLD.id}' in str(merged)
        assert [one.dropped for one in merge([NEW, OLD], Policy.KEEP_ALL).conflicts if "city" in one.field] == [()]

    def test_to_fail_names_every_field(self) -> None:
        with pytest.raises(errors.MergeConflict, match=r"valid_to, type, language, metadata\.city; choose"):
            merge([NEW, OLD], Policy.FAIL)

    def test_rules_that_never_widen_are_no_reason_to_fail(self) -> None:
        one, other = at(1, "a", priority=Priority.LOW, sensitivity=("x",)), at(2, "b", lifespan=Lifespan(ttl_s=60))

        assert merge([one, other], Policy.FAIL).priority is Priority.MID

    def test_a_flag_is_no_number(self) -> None:
        merged = merge([at(1, "a", metadata={"k": 1}), at(2, "b", metadata={"k": True})], Policy.KEEP_ALL)

        assert field(merged, "metadata.k") == ([1, True], "keep_all")
        assert [type(one) for one in merged.metadata["k"]] == [int, bool]

    def test_what_has_no_winner_is_united(self) -> None:
        one = at(1, "a", tags=("t",), entities=("e",), provenance=Provenance(links=("l1",)))
        other = at(2, "b", tags=("u", "t"), provenance=Provenance(links=("l2",), note="n"), event_time=WHEN + DAY)

        merged = merge([other, one], Policy.FAIL)

        assert (merged.tags, merged.entities, merged.links) == (("t", "u"), ("e",), ("l1", "l2"))
        assert (merged.valid_from, merged.event_time) == (WHEN + DAY, WHEN + DAY)

    def test_a_message_is_no_claim_to_be_one(self) -> None:
        turn = at(1, "a", semantic_type=SemanticType.MESSAGE)

        assert (
            merge([turn, at(2, "b", semantic_type=SemanticType.MESSAGE)], Policy.FAIL).semantic_type
            is SemanticType.FACT
        )
        preference = at(2, "b", semantic_type=SemanticType.PREFERENCE)
        assert merge([turn, preference], Policy.FAIL).semantic_type is SemanticType.PREFERENCE

    def test_rules_are_those_of_the_strictest(self) -> None:
        one = at(
            1,
            "a",
            access=Access(read=("bo", "eve"), write=("bo",), share="public"),
            lifespan=Lifespan(ttl_s=86_400.0, half_life_s=50.0),
            sensitivity=("health",),
            watermark="w1",
        )
        other = at(
            2,
            "b",
            access=Access(read=("eve",), share="public"),
            lifespan=Lifespan(expires=WHEN + 9 * DAY),
            sensitivity=("money",),
            watermark="w2",
            priority=Priority.HIGH,
        )

        merged = merge([one, other], Policy.OLDEST)

        assert merged.access == Access(read=("eve",), share="public")
        assert merged.lifespan == Lifespan(expires=WHEN + 2 * DAY, half_life_s=50.0)
        assert (merged.sensitivity, merged.watermark) == (("health", "money"), "w1, w2")
        assert field(merged, "priority") == (Priority.HIGH, "the highest")
        assert field(merged, "lifespan")[1] == "the strictest"


# ── Laws ────────────────────────────────────────────────────────────────────────────────────────────────────────────

lines = st.sampled_from(
    ["Ana likes tea.", "ana likes  tea", "- Ana likes tea", "Bo?", "Bo.", "", "  x", "…", "ß", "SS"]
)
texts = st.lists(lines, min_size=1, max_size=5).map("\n".join).filter(str.strip)
words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=3, unique=True).map(tuple)
cubes = st.builds(
    lambda day, content, **declared: at(day, content, **declared),
    st.integers(0, 5),
    texts,
    speaker=st.sampled_from([None, "Ana", "Bo"]),
    sensitivity=words,
    tags=words,
    priority=st.sampled_from(list(Priority)),
    metadata=st.dictionaries(
        st.sampled_from(["k", "l"]), st.sampled_from([1, True, "x", ["x", "y"], None]), max_size=2
    ),
    lifespan=st.builds(Lifespan, ttl_s=st.sampled_from([None, 5.0, 60.0]), half_life_s=st.sampled_from([None, 9.0])),
    access=st.builds(Access, read=words, write=words, share=st.sampled_from(["private", "shared"])),
)
several = st.lists(cubes, min_size=2, max_size=5, unique_by=lambda cube: cube.id)
policies = st.sampled_from([Policy.NEWEST, Policy.OLDEST, Policy.KEEP_ALL])


def said(cube: MemCube) -> set[str]:
    """What a memory states, line by line; whose it is, apart."""
    return {normal(line) for line in cube.text.split("\n") if line.strip()}


@given(several, policies)
def test_no_statement_is_lost_and_none_is_invented(sources: list[MemCube], policy: Policy) -> None:
    merged = merge(sources, policy)
    kept = [normal(line) for line in merged.payload.content.split("\n") if line.strip()]

    for cube in sources:
        speaker = cube.header.descriptive.speaker
        for line in (line for line in cube.text.split("\n") if line.strip()):
            assert normal(line) in kept or normal(f"{speaker}: {line}") in kept
    assert {normal(one.text) for one in merged.statements} == set(kept)
    assert all(one.sources for one in merged.statements)
    assert {id for one in merged.statements for id in one.sources} == {cube.id for cube in sources}


@given(several)
def test_every_value_of_the_metadata_is_kept_by_keep_all(sources: list[MemCube]) -> None:
    held = merge(sources, Policy.KEEP_ALL).metadata

    for cube in sources:
        for key, value in cube.header.descriptive.metadata.items():
            kept = held[key] if isinstance(held[key], list) else [held[key]]
            assert {repr(one) for one in (value if isinstance(value, list) else [value])} <= {repr(one) for one in kept}


@given(cubes, policies, st.integers(2, 4))
def test_equal_memories_merge_to_what_each_says(cube: MemCube, policy: Policy, times: int) -> None:
    merged = merge([replace(cube, id=f"{cube.id}{n}") for n in range(times)], policy)

    assert merged.payload == cube.payload
    assert merged.conflicts == ()
    assert merged.metadata == cube.header.descriptive.metadata


@given(several, policies)
def test_merging_a_source_again_says_nothing_new(sources: list[MemCube], policy: Policy) -> None:
    once = merge(sources, policy)
    whole = at(9, once.payload.content, speaker=once.speaker, valid_from=once.valid_from)

    again = merge([replace(whole, id="0"), *sources], policy)

    assert said(whole) == {normal(one.text) for one in again.statements}


@given(several, policies)
def test_the_order_of_naming_changes_nothing(sources: list[MemCube], policy: Policy) -> None:
    assert merge(sources, policy) == merge(sources[::-1], policy)


@given(several, policies)
def test_governance_only_narrows(sources: list[MemCube], policy: Policy) -> None:
    merged = merge(sources, policy)

    for rules, created in ((c.header.governance, c.header.descriptive.created) for c in sources):
        assert set(rules.sensitivity) <= set(merged.sensitivity)
        assert set(merged.access.read) <= set(rules.access.read)
        assert set(merged.access.write) <= set(rules.access.write)
        assert merged.access.share in ("private", rules.access.share)
        assert list(Priority).index(rules.priority) <= list(Priority).index(merged.priority)
        end = rules.lifespan.ends(created)
        assert end is None or (merged.lifespan.expires or end + DAY) <= end
        half = rules.lifespan.half_life_s
        assert half is None or (merged.lifespan.half_life_s or half + 1) <= half


def test_the_parents_are_the_version_before_what_it_was_made_from_and_the_others() -> None:
    grandparent, other = a_cube("g"), a_cube("o")
    target = a_cube("t", parents=(grandparent.pin(),))

    pins = parents_of(target, [other])

    assert pins == (grandparent.pin(), target.pin(), other.pin())
    newer = target.derive(payload=Plaintext(content="t\no"), parents=pins)
    assert stale(newer, {one.id: one for one in (grandparent, other, newer)}, WHEN) == ()
    assert [pin.id for pin in parents_of(newer, [])] == [grandparent.id, target.id, other.id]
    assert newer.pin() in parents_of(newer, [])
