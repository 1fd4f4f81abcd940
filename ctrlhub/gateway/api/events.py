"""REST: live events and output, as server-sent events or over a WebSocket, at one path."""

from __future__ import annotations

import json
import time
from asyncio import Event, create_task, get_running_loop, wait_for
from collections.abc import Iterable, Mapping
from secrets import token_hex
from typing import Any, ClassVar

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from ctrlhub.gateway.access.json_limits import checked_json
from ctrlhub.gateway.api import resources as shapes
from ctrlhub.gateway.api.failing import log_failure
from ctrlhub.gateway.api.fanout import (
    ENGINES,
    MOST_OF_ONE,
    TASKS,
    TOPICS,
    Fanout,
    NoRoom,
    Subscriber,
    TooMany,
    Topic,
)
from ctrlhub.gateway.api.handler import refusal_of
from ctrlhub.gateway.api.jobs import REQUEST_ID
from ctrlhub.gateway.api.operation import EVENT_STREAM, Answer, Operation
from ctrlhub.gateway.api.rest import Rest, rest_of
from ctrlhub.gateway.api.schema import ListOf, Record, Text, Unfit
from ctrlhub.gateway.api.sources import OUTPUT_OF, REQUEST, Sources
from ctrlhub.gateway.api.turns import Turns
from ctrlhub.gateway.context import Gateway
from ctrlhub.gateway.handlers import MOST_REASON, Refusal, SocketHandler, too_many
from ctrlhub.gateway.route import Route
from ctrlhub.wire.closing import FAILED, NO_ROOM, TOO_SLOW
from ctrlhub.wire.ids import number_of

HEARTBEAT = 15.0
"""After so many seconds without an event a comment is sent: proxies close what is silent."""

PATIENCE = 10.0
"""How long (seconds) a subscriber who was dropped is given to read that."""

IDS = ListOf(REQUEST_ID, MOST_OF_ONE)
MARK = Text(60)
WISH = Record(
    {},
    {"follow": IDS, "unfollow": IDS, "output": IDS, "no_output": IDS},
    about="What a subscriber of a WebSocket may say",
)

class Live:
    """The events of a gateway, and their sources.

    Attributes
    ----------
    turns : Turns
        Those of subscribers who say something.
    """

    def __init__(self, rest: Rest) -> None:
        self.turns = Turns()
        self.fanout = Fanout(token_hex(4))
        self.sources = Sources(self.fanout, rest)
        rest.on_submitted, rest.on_ended = self.sources.submitted, self.sources.came


def live_of(gateway: Gateway) -> Live:
    """Return the events of a gateway."""
    return gateway.parts.one(_made_live, gateway)


def _made_live(gateway: Gateway) -> Live:
    return Live(rest_of(gateway))


class Events(SocketHandler):
    """A subscriber: over a WebSocket if that is asked for, else server-sent events."""

    operations: ClassVar[Mapping[str, Operation]] = {
        "GET": Operation(
            {200: Answer("Events, without an end, until who asks goes away", shapes.EVENT, (EVENT_STREAM,))},
            query={
                "topics": ListOf(Text(choices=TOPICS), 8, about="What to be told of: engines and tasks, if not said"),
                "follow": ListOf(REQUEST_ID, MOST_OF_ONE, about="Requests whose end is to be told"),
                "output": ListOf(REQUEST_ID, MOST_OF_ONE, about="Requests whose output is to be told"),
                "last_event_id": Text(60, about="The last event that is known, as the header Last-Event-ID says it"),
                "token": Text(200, about="The token, where no header can be given"),
            },
            headers={"Last-Event-ID": MARK},
        )
    }  # fmt: skip

    _subscriber: Subscriber | None = None
    _why: str = ""
    _gone: bool = False

    def initialize(self, gateway: Gateway, route: Route) -> None:
        """Take what the router hands over."""
        super().initialize(gateway, route)
        self._news = Event()

    async def get(self, **path: str) -> None:
        """Subscribe."""
        header = self.request.headers.get("Last-Event-ID", "")
        try:
            asked = self.operations["GET"].read_query(self.request.query_arguments)
            MARK.check(header, "Last-Event-ID")
        except Unfit as error:
            raise Refusal(400, "invalid_request", str(error)) from None
        self._topics = topics_of(asked)
        self._last = asked.get("last_event_id", header)
        live = live_of(self.gateway)
        if live.fanout.is_full:
            raise too_many(10.0)
        try:
            live.fanout.check_room(self._topics)
            await live.sources.start(self._topics)
        except TooMany as error:
            raise Refusal(400, "invalid_request", str(error)) from None
        except NoRoom:
            raise too_many(10.0) from None
        except Exception as error:
            refusal = refusal_of(error)
            raise (error if refusal is None else refusal) from error
        if self.request.headers.get("Upgrade", "").lower() == "websocket":
            await super().get(**path)
        else:
            await self._stream()

    def _subscribe(self) -> Subscriber:
        live = live_of(self.gateway)
        self._subscriber = live.fanout.subscribe(self._topics, self._wake, time.time(), self._last)
        live.sources.joined(self._topics)
        return self._subscriber

    def _wake(self) -> None:
        """Take note that there is something to send; or that this one is to be dropped, read it or not."""
        self._news.set()
        if self._subscriber is not None and self._subscriber.reason:
            get_running_loop().call_later(PATIENCE, self._cut)

    def _cut(self) -> None:
        """Cut off who was dropped and has not read it."""
        if not self._gone:
            stream = getattr(self.ws_connection or self.request.connection, "stream", None)
            if stream is not None:
                stream.close()

    def on_connection_close(self) -> None:
        """Take note that who subscribed has gone."""
        self._gone = True
        self._leave()
        self._news.set()
        super().on_connection_close()

    def _leave(self) -> None:
        if self._subscriber is not None:
            live_of(self.gateway).fanout.leave(self._subscriber)

    def end(self, reason: str) -> None:
        """Close it, and say why."""
        if self.ws_connection is not None:
            super().end(reason)
        else:
            self._why = reason
            self._news.set()

    # ------------------------------------------------------------ server-sent events

    async def _stream(self) -> None:
        self.need_a_place()
        try:
            subscriber = self._subscribe()
            self.gateway.sockets.add(self)
            self.set_header("Content-Type", EVENT_STREAM)
            self.set_header("X-Accel-Buffering", "no")  # proxies are to pass it on as it comes
            self.write("retry: 2000\n\n")
            await self.flush()
            while not self._gone:
                await self._news_or_heartbeat()
                reason = subscriber.reason or self._why
                if reason:
                    text = json.dumps({"event": "dropped", "data": {"reason": reason}})
                    self.write(f"event: dropped\ndata: {text}\n\n")
                    break
                events = subscriber.take()
                self.write("".join(event.framed for event in events) or ": here\n\n")
                await self.flush()
                subscriber.sent()
            await self.finish()
        except NoRoom:  # others were quicker
            raise too_many(10.0) from None
        except StreamClosedError:
            pass  # gone
        finally:
            self._gone = True
            self._leave()
            self.gateway.sockets.discard(self)

    async def _news_or_heartbeat(self) -> None:
        try:
            await wait_for(self._news.wait(), HEARTBEAT)
        except TimeoutError:
            return
        self._news.clear()

    # ------------------------------------------------------------ WebSocket

    async def open(self, *args: str, **kwargs: str) -> None:
        """Begin to tell."""
        try:
            subscriber = self._subscribe()
        except NoRoom as error:  # others were quicker
            self.close(NO_ROOM, str(error)[:MOST_REASON])
            return
        self._telling = create_task(self._tell(subscriber))
        self._telling.add_done_callback(log_failure)

    async def _tell(self, subscriber: Subscriber) -> None:
        try:
            while self.ws_connection is not None:
                await self._news.wait()
                self._news.clear()
                if subscriber.reason:
                    self.close(TOO_SLOW, subscriber.reason[:MOST_REASON])
                    return
                events = subscriber.take()
                if events:
                    await self._send(b"".join(event.frame for event in events))
                subscriber.sent()
        except (WebSocketClosedError, StreamClosedError):
            pass  # gone, which `on_close` sees to
        finally:
            self._leave()
            self.close(FAILED, "the gateway failed: see its log")  # unless it is closed

    async def _send(self, frames: bytes) -> None:
        """Send messages that are framed already: once for all subscribers, which is most of what telling them costs."""
        connection = self.ws_connection
        if connection is None or connection.stream is None or connection.is_closing():
            raise WebSocketClosedError
        await connection.stream.write(frames)

    async def said(self, message: str | bytes) -> None:
        """Follow more, or less, when it is this one's turn; what it says next waits until then."""
        async with live_of(self.gateway).turns.next():
            self._heed(message)

    def _heed(self, message: str | bytes) -> None:
        fanout, subscriber = live_of(self.gateway).fanout, self._subscriber
        if subscriber is None or subscriber.reason:
            return
        try:
            wish = checked_json(message if isinstance(message, bytes) else message.encode())
            WISH.check(wish)
            less = _named(wish, "unfollow", REQUEST) + _named(wish, "no_output", OUTPUT_OF)
            more = _named(wish, "follow", REQUEST) + _named(wish, "output", OUTPUT_OF)
            fanout.remove_topics(subscriber, less)
            fanout.add_topics(subscriber, more)
        except (ValueError, UnicodeError) as error:
            fanout.tell(subscriber, "refused", {"reason": str(error)[:1000]}, time.time())
            return
        live_of(self.gateway).sources.joined(more)

    def on_close(self) -> None:
        """Forget it."""
        self._gone = True
        self._leave()
        self._news.set()


def topics_of(asked: Mapping[str, Any]) -> list[Topic]:
    """Return what somebody wants to be told of."""
    some = _named(asked, "follow", REQUEST) + _named(asked, "output", OUTPUT_OF)
    whole: Iterable[Topic] = asked.get("topics", () if some else (ENGINES, TASKS))
    return [*whole, *some]


def _named(wish: Mapping[str, Any], name: str, word: str) -> list[Topic]:
    return [(word, number_of(each)) for each in wish.get(name, ())]
