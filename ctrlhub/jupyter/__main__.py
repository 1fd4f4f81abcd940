"""``python -m ctrlhub.jupyter SOCKET``: the door, as jupyter-server-proxy starts it."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path

from ctrlhub.jupyter.door import run


async def _until_told(socket: Path) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await run(socket)
    except asyncio.CancelledError:
        logging.getLogger(__name__).info("ended")


if __name__ == "__main__":
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    asyncio.run(_until_told(Path(sys.argv[1])))
