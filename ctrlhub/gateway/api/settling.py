"""Answers to who has submitted something: what has come of it in the time that he waits, or that it is accepted."""

from __future__ import annotations

import time
from collections.abc import Sequence

from ctrlhub.gateway.api.handler import ApiHandler
from ctrlhub.gateway.api.outcomes import outcome_of, pieces
from ctrlhub.gateway.api.submissions import Submissions
from ctrlhub.gateway.api.telling import accepted


async def tell(
    handler: ApiHandler, submissions: Submissions, numbers: Sequence[int], wait: float, *, single: bool
) -> None:
    """Answer once requests have ended, or the time is over and they are stored.

    Parameters
    ----------
    handler
        Whose request it is.
    submissions, numbers
        What was submitted.
    wait
        How long (seconds) is waited for.
    single
        Whether one request was submitted as such: its result is told alone.
    """
    until = time.monotonic() + wait
    await handler.waiting(submissions.settled(numbers, wait))
    if wait:
        finding, left = handler.rest.finding, max(0.0, until - time.monotonic())
        ended = await handler.waiting(finding.ended(handler.role, numbers, left))
        if not single:
            await handler.send_rows(numbers, ended)
            return
        [row] = [each async for each in finding.rows(handler.role, numbers, ended)]
        if row is not None:
            await handler.send(pieces(outcome_of(row)))
            handler.has_fetched(row[0])
            return
    handler.answer(accepted(numbers, handler.prefix), 202)
