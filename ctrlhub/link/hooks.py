"""What the session of an engine, a nanny or a client may add to a membership."""

from __future__ import annotations

from ctrlhub.wire.ids import Ranges
from ctrlhub.wire.messages import Beat, Message, Refused, Registered, Stream


class Hooks:
    """Called by `Membership` as things happen; here, nothing follows from them."""

    def on_joined(self, registered: Registered, now: float) -> None:
        """Take a new or resumed session: say everything again that was not answered.

        Hello is on its way on every stream; what is sent now follows it. `registered.resumed` and
        `same_epoch` tell what the hub still knows.
        """

    def on_welcome(self, stream: Stream, now: float) -> None:
        """Take back a stream whose connection was lost and bound again while we stayed joined.

        What was sent on it and not answered may be lost. The hellos that belong to a joining do
        not come here: `on_joined` says everything again already.
        """

    def on_message(self, stream: Stream, message: Message, now: float) -> None:
        """Take a message that is not about membership."""

    def no_room(self, stream: Stream, message: Message, now: float) -> None:
        """Take a message whose frames are empty, since there was no memory for them."""

    def on_silent(self, now: float) -> None:
        """Take note that the hub has been silent for too long; we keep trying."""

    def on_refused(self, refused: Refused) -> None:
        """Take note that the hub does not let us in; the state is `State.GONE`."""

    def last_received(self) -> Ranges:
        """Tell which results we have of which the hub may not know, for `Goodbye`."""
        return ()

    def held(self, stream: Stream) -> Ranges:
        """Tell which requests of a stream we have, for `Hello`."""
        return ()

    def beat(self) -> Beat:
        """Make a beat; a nanny names the processes it vouches for."""
        return Beat()
