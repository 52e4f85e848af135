"""The prefix tree against an oracle that looks at every token: the longest chain, without a gap, of what fits."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pymemos.cube.segment import INT8, tokens_digest
from pymemos.operation.prefixes import PrefixTree, Segment, chain, digests, shortened

Text = tuple[int, ...]
words = st.lists(st.integers(0, 2), min_size=1, max_size=10).map(
    tuple
)  # few tokens, so that prompts have much in common


def segment_of(prompt: Text, start: int, end: int, id: str, *, known: bool = True, **fields: Any) -> Segment:
    """The segment of ``prompt[start:end]``."""
    own = prompt[start:end]
    return Segment(
        id=id,
        blob=id,
        start=start,
        length=len(own),
        before=tokens_digest(prompt[:start]),
        through=tokens_digest(prompt[:end]),
        tokens=own if known else None,
        **fields,
    )


@st.composite
def trees(draw: st.DrawFn, *, known: bool | None = None) -> tuple[PrefixTree, dict[str, Text]]:
    """Segments of several prompts, with all the tokens through the end of each."""
    prompts = draw(st.lists(words, min_size=1, max_size=4))
    segments, through = [], {}
    for number in range(draw(st.integers(0, 12))):
        prompt = draw(st.sampled_from(prompts))
        end = draw(st.integers(1, len(prompt)))
        start = draw(st.integers(0, end - 1))
        has_tokens = draw(st.booleans()) if known is None else known
        one = segment_of(
            prompt, start, end, f"s{number}", known=has_tokens, form=draw(st.sampled_from(["exact", INT8]))
        )
        segments.append(one)
        through[one.id] = prompt[:end]
    return PrefixTree(segments), through


def fits(one: Segment, through: Text, prompt: Text, place: int) -> bool:
    """Whether a segment can give the keys of one token of a prompt: every token up to it is the same."""
    whole = through == prompt[: one.end]
    alike = one.tokens is not None and through[: place + 1] == prompt[: place + 1]
    return one.start <= place < one.end and (whole or alike)


def reach(segments: list[Segment], through: dict[str, Text], prompt: Text) -> int:
    """The first token that no segment can give."""
    for place in range(len(prompt)):
        if not any(fits(one, through[one.id], prompt, place) for one in segments):
            return place
    return len(prompt)


@given(trees(), words)
def test_the_chain_is_as_long_as_any_can_be(tree: tuple[PrefixTree, dict[str, Text]], prompt: Text) -> None:
    index, through = tree

    found = index.longest(prompt)

    assert reach(list(index.segments.values()), through, prompt) == found.length


@given(trees(), words)
def test_the_links_are_the_beginning_of_the_prompt_without_a_gap(
    tree: tuple[PrefixTree, dict[str, Text]], prompt: Text
) -> None:
    index, through = tree
    place = 0

    for link in index.longest(prompt).links:
        assert link.segment.start == place
        assert 0 < link.take <= link.segment.length
        place += link.take
        assert through[link.segment.id][:place] == prompt[:place]


@given(trees(known=True), words, st.data())
def test_what_may_not_be_used_is_as_if_it_were_not_there_and_is_named(
    tree: tuple[PrefixTree, dict[str, Text]], prompt: Text, data: st.DataObject
) -> None:
    index, through = tree
    closed = {id for id in index.segments if data.draw(st.booleans())}

    found = index.longest(prompt, lambda one: "closed" if one.id in closed else "")

    assert reach([one for one in index.segments.values() if one.id not in closed], through, prompt) == found.length
    assert {one.id for one in found.refused} <= closed
    assert closed.isdisjoint(link.segment.id for link in found.links)


@given(trees(), words)
def test_no_shorter_cover_exists(tree: tuple[PrefixTree, dict[str, Text]], prompt: Text) -> None:
    """By dynamic programming over places: the fewest segments that reach as far."""
    index, _ = tree
    found = index.longest(prompt)
    fewest = {0: 0}
    for place in range(1, found.length + 1):
        counts = [
            fewest[start]
            for one in index.matches(prompt)
            if one.segment.start < place <= one.end
            for start in range(one.segment.start, place)
            if start in fewest
        ]
        fewest[place] = min(counts) + 1

    assert fewest[found.length] == len(found.links)


@given(words, st.lists(st.integers(0, 10)))
def test_digests_in_one_pass_are_those_of_the_file_format(prompt: Text, lengths: list[int]) -> None:
    wanted = [length for length in lengths if length <= len(prompt)]

    assert {length: tokens_digest(prompt[:length]) for length in wanted} == digests(prompt, wanted)


@given(trees(), words, st.integers(0, 10))
def test_a_chain_that_is_shortened_has_just_so_many_tokens(
    tree: tuple[PrefixTree, dict[str, Text]], prompt: Text, length: int
) -> None:
    found = tree[0].longest(prompt)

    kept = shortened(found.links, length)

    assert sum(link.take for link in kept) == min(length, found.length)
    assert all(0 < link.take <= link.segment.length for link in kept)
    assert [link.segment for link in kept] == [link.segment for link in found.links[: len(kept)]]


def test_an_exact_segment_comes_before_a_lossy_one() -> None:
    exact = segment_of((1, 2, 3), 0, 3, "z")
    lossy = replace(exact, id="a", form=INT8)

    [link] = PrefixTree([lossy, exact]).longest((1, 2, 3, 4)).links

    assert link.segment.id == "z"


def test_a_longer_prompt_goes_on_behind_a_shorter_one_and_divergence_cuts() -> None:
    head, note = segment_of((7, 8), 0, 2, "head"), segment_of((7, 8, 1, 2, 3), 2, 5, "note")
    tree = PrefixTree([head, note])

    longer, other = tree.longest((7, 8, 1, 2, 3, 4)), tree.longest((7, 8, 1, 9))

    assert [(link.segment.id, link.take) for link in longer.links] == [("head", 2), ("note", 3)]
    assert [(link.segment.id, link.take, link.is_cut) for link in other.links] == [
        ("head", 2, False),
        ("note", 1, True),
    ]


def test_a_tree_that_changes_is_another_one() -> None:
    head, note = segment_of((7, 8), 0, 2, "head"), segment_of((7, 8, 1), 2, 3, "note")
    tree = PrefixTree([head])

    assert tree.changed([note], ["head"]).segments == {"note": note}
    assert tree.segments == {"head": head}


def test_nothing_fits_nothing() -> None:
    assert chain([]).length == 0
    assert PrefixTree().longest((1,)).links == ()
