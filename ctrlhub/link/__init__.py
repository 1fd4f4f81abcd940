"""How peers stay connected: what hub, engines and clients need of a connection alike."""
