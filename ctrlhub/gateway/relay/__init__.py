"""The whole protocol over a WebSocket: messages between one peer and the hub, moved and not read."""
