"""The language that hub, engines and clients share: messages, codec, keys, errors."""
