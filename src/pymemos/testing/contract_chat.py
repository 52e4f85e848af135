"""The contract of chat models: subclass it, supply a fixture ``chat``, and pytest runs the rest."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pymemos.ports import ChatModel, ChatOptions, Piece, Utterance

TALK = (
    Utterance("system", "You answer in a few words."),
    Utterance("user", "Hello."),
    Utterance("assistant", "Hello!"),
    Utterance("user", "Say something."),
)
SHORT = ChatOptions(max_tokens=16)
ODD = [
    "",
    " ",
    "\n\n",
    "😀" * 20,
    "\u0000",
    "half a character: \ud83d",
    "<|im_end|>",
    "Ünïcödé 東京 مرحبا",
    "data: [DONE]",
]


class ChatContract:
    """What every ``ChatModel`` does; the one under test has to answer whatever it is asked."""

    def test_an_answer_comes_in_pieces_and_the_last_says_how_it_ended(self, chat: ChatModel) -> None:
        pieces = list(chat.stream(TALK, SHORT))

        assert said(pieces)
        assert pieces[-1].finish in ("stop", "length")
        assert [piece for piece in pieces[:-1] if piece.finish is not None] == []

    def test_the_last_piece_says_what_it_cost(self, chat: ChatModel) -> None:
        usage = list(chat.stream(TALK, SHORT))[-1].usage

        assert usage is not None
        assert usage.prompt > 0
        assert 0 <= usage.cached <= usage.prompt
        assert 0 < usage.completion <= SHORT.max_tokens

    def test_an_answer_is_no_longer_than_it_may_be(self, chat: ChatModel) -> None:
        last = list(chat.stream(TALK, ChatOptions(max_tokens=1)))[-1]

        assert last.usage is None or last.usage.completion <= 1

    def test_the_same_question_has_the_same_answer_at_temperature_0(self, chat: ChatModel) -> None:
        options = ChatOptions(max_tokens=8, seed=7)

        assert said(chat.stream(TALK, options)) == said(chat.stream(TALK, options))

    def test_whoever_has_enough_may_leave(self, chat: ChatModel) -> None:
        answer = chat.stream(TALK, SHORT)
        next(iter(answer))
        close = getattr(answer, "close", None)

        assert close is not None
        close()
        assert said(chat.stream(TALK, SHORT))

    @pytest.mark.parametrize("text", ODD, ids=range(len(ODD)))
    def test_any_text_may_be_asked(self, chat: ChatModel, text: str) -> None:
        assert list(chat.stream([Utterance("user", text)], SHORT))[-1].finish

    def test_the_identity_is_a_name_that_stays(self, chat: ChatModel) -> None:
        assert chat.identity
        assert chat.identity == chat.identity

    def test_the_window_is_a_number_or_not_known(self, chat: ChatModel) -> None:
        assert chat.window is None or chat.window > 0


def said(pieces: Iterable[Piece]) -> str:
    """The text of an answer."""
    return "".join(piece.text for piece in pieces)
