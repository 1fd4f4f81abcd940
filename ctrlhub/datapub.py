"""Data that reaches the client while the code that makes it runs: ``result.data``."""

from __future__ import annotations

from ctrlhub.engine.publishing import publish_data as publish_data
