"""A ``/chat/completions`` endpoint on this machine, over a scripted double: streamed as servers do it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pymemos.ports import ChatOptions, Utterance
from pymemos.testing.scripted import ScriptedChat

Script = Sequence[str] | Callable[[Sequence[Mapping[str, str]]], str]


class ChatServer(ThreadingHTTPServer):
    """``refusals`` are given before it works; ``events`` replaces the stream; ``hush`` holds it up until it is set.

    With ``lingers`` it says nothing more behind an answer, and does not hang up either until that is set.
    """

    daemon_threads = True

    def __init__(self, script: Script) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.inside = ScriptedChat(script)
        self.refusals: list[tuple[int, str, dict[str, str]]] = []
        self.events: list[str] | None = None
        self.hush: threading.Event | None = None
        self.lingers: threading.Event | None = None
        self.content_type = "text/event-stream"
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@contextmanager
def chat_server(script: Script) -> Iterator[ChatServer]:
    with ChatServer(script) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            for held in (server.hush, server.lingers):
                if held is not None:
                    held.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.requests.append(body)
        self.server.keys.append(self.headers.get("authorization"))
        if self.server.refusals:
            self._refuse(*self.server.refusals.pop(0))
            return
        if self.server.hush is not None:
            self.server.hush.wait(10)
        self.send_response(200)
        self.send_header("content-type", self.server.content_type)
        self.end_headers()
        try:
            for line in self.server.events if self.server.events is not None else self._events(body):
                self.wfile.write(f"{line}\n\n".encode())
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            return  # whoever asked has left
        if self.server.lingers is not None:
            self.server.lingers.wait(10)

    def _events(self, body: dict[str, Any]) -> Iterator[str]:
        limit = body.get("max_tokens") or body.get("max_completion_tokens")
        yield ": a comment, which servers send to keep the line open"
        yield _event(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}])
        said = [Utterance(one["role"], one["content"]) for one in body["messages"]]
        for piece in self.server.inside.stream(said, ChatOptions(max_tokens=limit, temperature=body["temperature"])):
            if piece.text:
                yield _event(choices=[{"index": 0, "delta": {"content": piece.text}, "finish_reason": None}])
            if piece.finish:
                yield _event(choices=[{"index": 0, "delta": {}, "finish_reason": piece.finish}])
            if piece.usage:
                yield _event(
                    choices=[],
                    usage={
                        "prompt_tokens": piece.usage.prompt,
                        "completion_tokens": piece.usage.completion,
                        "prompt_tokens_details": {"cached_tokens": piece.usage.cached},
                    },
                )
        yield "data: [DONE]"

    def _refuse(self, status: int, text: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: Any) -> None:
        return


def _event(**fields: Any) -> str:
    return f"data: {json.dumps({'object': 'chat.completion.chunk', **fields})}"
