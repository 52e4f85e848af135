"""Every chat model keeps the contract: the double, and an endpoint on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest
from tests.contracts.chat_server import ChatServer, chat_server

from pymemos.errors import ChatFailed, InvalidInput
from pymemos.models.chat.endpoint import EndpointChat
from pymemos.models.http import LONGEST_LINE
from pymemos.ports import ChatModel, ChatOptions, Usage, Utterance
from pymemos.testing.contracts import ChatContract, said
from pymemos.testing.scripted import ScriptedChat

HELLO = [Utterance("user", "Hello.")]
SHORT = ChatOptions(max_tokens=16)
ANSWER = "I remember that you like tea."


def answering(_):
    return ANSWER


class TestScriptedChat(ChatContract):
    @pytest.fixture
    def chat(self) -> ChatModel:
        return ScriptedChat(answering)

    def test_it_fails_where_it_is_told_to(self, chat):
        chat.down = 2
        heard = []

        with pytest.raises(ChatFailed, match="as a test asked for"):
            heard.extend(piece.text for piece in chat.stream(HELLO, SHORT))

    def test_what_a_prompt_shares_with_the_one_before_it_is_read_once(self, chat):
        first = list(chat.stream(HELLO, SHORT))[-1].usage
        longer = [*HELLO, Utterance("assistant", ANSWER), Utterance("user", "And coffee?")]
        second = list(chat.stream(longer, SHORT))[-1].usage

        assert (first.cached, second.cached) == (0, first.prompt)


class TestEndpointChat(ChatContract):
    @pytest.fixture
    def server(self) -> Iterator[ChatServer]:
        with chat_server(answering) as server:
            yield server

    @pytest.fixture
    def waits(self) -> list[float]:
        return []

    @pytest.fixture
    def chat(self, server, waits) -> ChatModel:
        return EndpointChat(server.url, "a-model", key="secret", sleep=waits.append)

    def test_what_is_asked_for_is_in_the_request(self, chat, server):
        options = ChatOptions(max_tokens=9, temperature=0.5, stop=("\n",), seed=3)
        list(chat.stream(HELLO, options))

        [body] = server.requests
        assert body["messages"] == [{"role": "user", "content": "Hello."}]
        asked = [body[name] for name in ("model", "max_tokens", "temperature", "stop", "seed", "stream")]
        assert asked == ["a-model", 9, 0.5, ["\n"], 3, True]
        assert "response_format" not in body
        assert server.keys == ["Bearer secret"]

    def test_a_schema_is_asked_for_as_a_format(self, chat, server):
        schema = {"type": "object", "properties": {"city": {"type": "string"}}}
        list(chat.stream(HELLO, ChatOptions(schema=schema)))

        form = server.requests[0]["response_format"]
        assert (form["type"], form["json_schema"]["schema"]) == ("json_schema", schema)

    def test_pieces_come_while_the_answer_is_made(self, chat, server):
        pieces = [piece.text for piece in chat.stream(HELLO, SHORT)]

        assert len(pieces) > 3
        assert "".join(pieces) == ANSWER

    def test_cached_tokens_are_counted(self, chat, server):
        first, again = (list(chat.stream(HELLO, SHORT))[-1].usage for _ in range(2))

        assert (first.cached, again.cached) == (0, first.prompt)

    def test_what_passes_is_tried_again_as_late_as_the_server_asks(self, chat, server, waits):
        server.refusals = [(429, "later", {"retry-after": "7"}), (503, "not now", {})]

        assert said(chat.stream(HELLO, SHORT)) == ANSWER
        assert waits == [7.0, 1.0]

    def test_what_does_not_pass_is_told_at_once(self, chat, server, waits):
        server.refusals = [(401, "no such key", {})]

        with pytest.raises(ChatFailed, match="status 401: no such key") as raised:
            list(chat.stream(HELLO, SHORT))
        assert waits == []
        assert "secret" not in str(raised.value) + chat.identity

    def test_it_gives_up_in_the_end(self, chat, server, waits):
        server.refusals = [(500, "broken", {})] * 9

        with pytest.raises(ChatFailed, match="status 500"):
            list(chat.stream(HELLO, SHORT))
        assert (len(server.requests), waits) == (3, [0.5, 1.0])

    def test_nobody_there_is_an_error(self, waits):
        with pytest.raises(ChatFailed, match="check its address"):
            list(EndpointChat("http://127.0.0.1:9/v1", "m", sleep=waits.append).stream(HELLO, SHORT))
        assert waits == [0.5, 1.0]

    def test_a_silence_that_is_too_long_is_not_asked_for_again(self, server, waits):
        server.hush = threading.Event()
        chat = EndpointChat(server.url, "m", patience=0.1, sleep=waits.append)

        with pytest.raises(ChatFailed, match="ReadTimeout"):
            list(chat.stream(HELLO, SHORT))
        assert (len(server.requests), waits) == (1, [])

    def test_a_model_that_names_the_limit_otherwise_gets_it_so(self, chat, server):
        refusal = json.dumps({"error": {"message": "'max_tokens' is not supported; use 'max_completion_tokens'"}})
        server.refusals = [(400, refusal, {})]

        assert said(chat.stream(HELLO, SHORT)) == said(chat.stream(HELLO, SHORT)) == ANSWER
        assert ["max_completion_tokens" in body for body in server.requests] == [False, True, True]

    @pytest.mark.parametrize(
        "events",
        [
            ['data: {"choices": [{"delta": {"content": "I rem"}}]}'],  # and no end
            ["data: <html>"],
            ["data: 5"],
            ['data: {"data": 5}'],
            ['data: {"choices": 5}'],
            ['data: {"choices": [5]}'],
            ['data: {"choices": [{"delta": 5}]}'],
            ['data: {"choices": [{"delta": {"content": 5}}]}'],
            ['data: {"error": {"message": "out of memory"}}'],
            ['{"error": "out of memory"}'],
            ["<html>", "</html>"],
            [],
            ["data: " + "[" * 200_000],
            ['data: {"choices": [{"delta": {"content": "Hi"}, "finish_reason": {"a": 1}}]}'],
            ['data: {"choices": [], "usage": {"prompt_tokens": ' + "9" * 5_000 + "}}"],
        ],
        ids=range(15),
    )
    def test_a_strange_or_unfinished_answer_is_an_error(self, chat, server, events, waits):
        server.events = events

        with pytest.raises(ChatFailed):
            list(chat.stream(HELLO, SHORT))
        assert (len(server.requests), waits) == (1, [])

    def test_an_answer_that_is_not_streamed_is_taken_too(self, chat, server):
        message = {
            "choices": [{"message": {"content": ANSWER}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 4},
        }
        server.events = [json.dumps(message)]

        *pieces, last = chat.stream(HELLO, SHORT)
        assert (said(pieces), last.finish, last.usage) == (ANSWER, "stop", Usage(prompt=4))

    @pytest.mark.parametrize("sign", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c", "é"])
    def test_a_sign_that_ends_lines_elsewhere_is_part_of_the_answer(self, chat, server, sign):
        server.events = [event(f"one{sign}two", finish="stop")]
        server.content_type = "text/event-stream; charset=utf-16"  # events are UTF-8, whatever they are called

        assert said(chat.stream(HELLO, SHORT)) == f"one{sign}two"

    def test_an_event_may_have_several_lines_and_a_stream_a_mark_before_it(self, chat, server):
        many = event("Hi").replace(", ", ", \r\ndata: ")
        server.events = [f"\ufeff{many}", f"{event(' you', finish='stop')}\r\ndata: [DONE]"]

        assert "\n" in many
        assert said(chat.stream(HELLO, SHORT)) == "Hi you"

    @pytest.mark.parametrize(
        "usage", [{"prompt_tokens": 4, "completion_tokens": True}, {"prompt_tokens": 10**30}, None]
    )
    def test_what_is_no_count_is_none(self, chat, server, usage):
        server.events = [event("Hi", finish="stop", usage=usage)]

        told = list(chat.stream(HELLO, SHORT))[-1].usage
        assert told == (None if usage is None else Usage(prompt=usage["prompt_tokens"] % 10**30))

    def test_an_answer_that_does_not_end_is_stopped(self, chat, server):
        server.events = [event("x" * 2 * LONGEST_LINE)]

        with pytest.raises(ChatFailed, match="more than an answer can be"):
            list(chat.stream(HELLO, SHORT))

    def test_what_is_finished_and_counted_is_at_its_end(self, server):
        server.events, server.lingers = [event(ANSWER, finish="stop", usage={"prompt_tokens": 4})], threading.Event()

        *pieces, last = EndpointChat(server.url, "m", patience=5).stream(HELLO, SHORT)
        assert (said(pieces), last.finish, last.usage) == (ANSWER, "stop", Usage(prompt=4))

    def test_a_finished_answer_is_not_lost_where_nothing_follows(self, server):
        server.events, server.lingers = [event(ANSWER, finish="length")], threading.Event()

        *pieces, last = EndpointChat(server.url, "m", patience=0.1).stream(HELLO, SHORT)
        assert (said(pieces), last.finish) == (ANSWER, "length")

        server.events = [event(ANSWER)]
        with pytest.raises(ChatFailed, match="broke off in the middle"):
            list(EndpointChat(server.url, "m", patience=0.1).stream(HELLO, SHORT))

    @pytest.mark.parametrize(
        ("asked", "requests"),
        [
            ("Wed, 21 Oct 2199 07:28:00 GMT", 1),
            ("Wed, 21 Oct 2015 07:28:00 GMT", 2),
            ("Wed, 99 Oct 2015", 2),
            ("9" * 5_000, 1),
        ],
    )
    def test_a_wait_may_be_asked_for_by_its_end(self, chat, server, waits, asked, requests):
        server.refusals = [(429, "later", {"retry-after": asked})]

        if requests == 1:  # far too long
            with pytest.raises(ChatFailed, match="status 429"):
                list(chat.stream(HELLO, SHORT))
        else:
            assert said(chat.stream(HELLO, SHORT)) == ANSWER
        assert (len(server.requests), waits) == (requests, [0.5] * (requests - 1))

    def test_a_setting_without_a_model_is_refused(self):
        with pytest.raises(InvalidInput, match="#model"):
            EndpointChat.from_setting("https://host/v1")

    def test_a_password_is_not_repeated(self):
        with pytest.raises(InvalidInput, match="PYMEMOS_CHAT_KEY") as raised:
            EndpointChat.from_setting("https://me:secret@host/v1#m")
        assert "secret" not in str(raised.value)


def event(text: str, **more) -> str:
    """An event of a stream, with every character as it is."""
    usage = {"usage": more.pop("usage")} if more.get("usage") else {}
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": more.get("finish")}
    return f"data: {json.dumps({'choices': [choice], **usage}, ensure_ascii=False)}"
