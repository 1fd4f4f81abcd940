"""Templates of scripts: text with ``{{names}}``, which the user can see and change."""

from __future__ import annotations

import re
from collections.abc import Mapping

_NAME = re.compile(r"\{\{([a-z_]+)\}\}")


def render(template: str, values: Mapping[str, str]) -> str:
    """Put values in the places of their names; a line of nothing but an empty one goes.

    Raises
    ------
    ValueError
        The template has a name that there is no value for; the message says which there are.
    """
    unknown = sorted(set(_NAME.findall(template)) - values.keys())
    if unknown:
        raise ValueError(
            f"the template has {', '.join(f'{{{{{name}}}}}' for name in unknown)}; "
            f"there are: {', '.join(f'{{{{{name}}}}}' for name in sorted(values))}"
        )
    lines = []
    for line in template.splitlines():
        filled = _NAME.sub(lambda found: values[found[1]], line)
        if filled.strip() or not _NAME.search(line):
            lines.append(filled)
    return "\n".join(lines) + "\n"
