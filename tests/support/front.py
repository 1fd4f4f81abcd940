"""A Jupyter frontend as far as widgets go: their models, and what a person does with them. By real messages."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from tests.support.notebook import PATIENCE, Kernel

Model = dict[str, Any]


class Front:
    """The models of a kernel's widgets.

    Parameters
    ----------
    kernel
        Runs; what it says is taken here from now on.

    Attributes
    ----------
    models : dict of str to dict
        The state of each widget, by id.
    displayed : list of str
        The widgets that cells have shown.
    printed : str
        What the last cell has written.
    running : bool
        Whether a cell runs.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.models: dict[str, Model] = {}
        self.displayed: list[str] = []
        self.printed = ""
        self.errors: list[str] = []
        self.running = False

    def begin(self, code: str) -> None:
        """Begin a cell."""
        self._kernel.start(code)
        self.printed = ""
        self.running = True

    def run(self, code: str) -> None:
        """Run a cell that raises nothing."""
        self.begin(code)
        self.until(lambda: not self.running, code)
        assert self.errors == []

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Take in what the kernel says until something is so."""
        end = time.monotonic() + PATIENCE
        while not condition():
            with suppress(queue.Empty):
                self._take(self._kernel.client.get_iopub_msg(timeout=1.0))
            if time.monotonic() > end:
                raise TimeoutError(f"{what}: {self.texts()}")

    def _take(self, message: dict[str, Any]) -> None:
        content = message["content"]
        match message["msg_type"]:
            case "comm_open":
                self.models[content["comm_id"]] = dict(content["data"].get("state", {}))
            case "comm_msg" if content["data"].get("method") == "update":
                self.models[content["comm_id"]].update(content["data"]["state"])
            case "comm_close":
                self.models.pop(content["comm_id"], None)
            case "display_data" | "execute_result":
                view = content["data"].get("application/vnd.jupyter.widget-view+json", {})
                if "model_id" in view:
                    self.displayed.append(view["model_id"])
            case "stream":
                self.printed += content["text"]
            case "error":
                self.errors.append("\n".join(content["traceback"]))
            case "status" if message["parent_header"].get("msg_type") == "execute_request":
                self.running = content["execution_state"] != "idle"

    # ------------------------------------------------------------ what is seen

    def below(self, model: str) -> list[str]:
        """Return a widget and all that stand in it."""
        children = self.models[model].get("children", [])
        return [model, *(each for child in children for each in self.below(child.removeprefix("IPY_MODEL_")))]

    def texts(self) -> str:
        """Return all that HTML widgets show."""
        return "\n".join(each["value"] for each in self.models.values() if each.get("_model_name") == "HTMLModel")

    def text_of(self, model: str) -> str:
        """Return what the HTML widgets in one show."""
        shown = (self.models[each] for each in self.below(model))
        return "\n".join(each["value"] for each in shown if each.get("_model_name") == "HTMLModel")

    def find(self, model: str, description: str) -> str:
        """Return the one widget in another one that has this description."""
        [found] = [each for each in self.below(model) if self.models[each].get("description") == description]
        return found

    def around(self, model: str, *descriptions: str) -> str:
        """Return the innermost widget in which widgets of all these descriptions stand."""
        return [each for each in self.below(model) if all(self.finds(each, text) for text in descriptions)][-1]

    def finds(self, model: str, description: str) -> bool:
        """Say whether there is one."""
        return any(self.models[each].get("description") == description for each in self.below(model))

    # ------------------------------------------------------------ what a person does

    def update(self, model: str, **state: Any) -> None:
        """Change a widget, as its view does."""
        self._say(model, {"method": "update", "state": state, "buffer_paths": []})
        self.models[model].update(state)

    def click(self, model: str) -> None:
        """Press a button."""
        self._say(model, {"method": "custom", "content": {"event": "click"}})

    def _say(self, model: str, data: dict[str, Any]) -> None:
        client = self._kernel.client
        client.shell_channel.send(client.session.msg("comm_msg", {"comm_id": model, "data": data}))
