"""What is typed into the form that starts a cluster."""

from __future__ import annotations

import pytest

from ctrlhub.cluster.wanted import options_in


def test_options_are_lines() -> None:
    """Each line is an option; one that is named twice has two lines; a value may hold anything."""
    text = "queue = short\n\n extra=--gres=gpu:1\nprologue = module load a\nprologue = module load b\n"
    assert options_in(text) == {
        "queue": "short",
        "extra": "--gres=gpu:1",
        "prologue": "module load a\nmodule load b",
    }


@pytest.mark.parametrize("text", ["queue", "a = 1\n= 2", "a = 1\nb"])
def test_a_line_that_is_none(text: str) -> None:
    """What is no option is refused with the number of its line."""
    with pytest.raises(ValueError, match=r"line [12] of the options is not NAME = VALUE"):
        options_in(text)
