"""What several engines print at once: whole lines, and what is unfinished in nobody's way."""

from __future__ import annotations

from ctrlhub.client.lines import ALONE, AMONG_OTHERS, LONGEST, NEVER, Lines


class Screen:
    """What was shown, and the lines that it comes from."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, str]] = []
        self.lines = Lines(lambda name, text, engine: self.shown.append((engine, text)))

    def write(self, engine: int, text: str, now: float = 0.0, name: str = "stdout") -> None:
        """Let an engine print."""
        self.lines.write(name, text, engine, now)

    def taken(self) -> list[tuple[int, str]]:
        """Take what was shown."""
        shown, self.shown = self.shown, []
        return shown


def test_lines_of_several_engines_stay_whole() -> None:
    """Each is shown when it is complete."""
    screen = Screen()
    screen.write(0, "step ")
    screen.write(1, "step ")
    screen.write(0, "1 ")
    screen.write(1, "1 done\nstep ")
    screen.write(0, "done\n")

    assert screen.taken() == [(1, "step 1 done\n"), (0, "step 1 done\n")]


def test_streams_of_one_engine_are_several_lines_too() -> None:
    """What goes to the error stream does not end a line of the other."""
    screen = Screen()
    screen.write(0, "a")
    screen.write(0, "e\n", name="stderr")
    screen.write(0, "b\n")

    assert screen.taken() == [(0, "e\n"), (0, "ab\n")]


def test_who_is_alone_is_shown_in_a_moment_and_from_then_on_at_once() -> None:
    """As a terminal does."""
    screen = Screen()
    screen.write(0, ".", 10.0)
    assert (screen.taken(), screen.lines.due) == ([], 10.0 + ALONE)
    screen.lines.look(10.0 + ALONE / 2)
    assert screen.taken() == []

    screen.lines.look(10.0 + ALONE)
    screen.write(0, ".", 10.5)
    screen.write(0, ".\n", 10.6)
    assert screen.taken() == [(0, "."), (0, "."), (0, ".\n")]
    assert screen.lines.due == NEVER


def test_one_line_that_is_not_completed_for_long_is_shown_among_others() -> None:
    """Lines of others go above the rest of it."""
    screen = Screen()
    screen.write(0, "loading ", 0.0)
    screen.write(1, "waiting ", 0.1)
    assert screen.lines.due == AMONG_OTHERS

    screen.lines.look(AMONG_OTHERS)
    assert screen.taken() == [(0, "loading ")]
    assert screen.lines.due == NEVER
    screen.write(0, "more ", 1.1)
    screen.write(1, "is over\n", 1.2)
    screen.write(0, "and done\n", 1.3)
    assert screen.taken() == [(0, "more "), (1, "waiting is over\n"), (0, "and done\n")]


def test_a_progress_bar_of_one_engine_is_shown_as_it_comes() -> None:
    """Lines of others go above it."""
    screen = Screen()
    screen.write(0, "\r10%")
    screen.write(0, "\r20%")
    screen.write(1, "hello\n")
    screen.write(0, "\r30%")
    screen.write(0, "\r100%\n")

    assert screen.taken() == [
        (0, "\r10%"), (0, "\r20%"), (1, "hello\n"), (0, "\r20%"), (0, "\r30%"), (0, "\r100%\n")
    ]  # fmt: skip


def test_of_several_progress_bars_one_is_shown() -> None:
    """The next one when it is complete, as it is then; those that were complete are lines."""
    screen = Screen()
    screen.write(0, "\r 1%")
    screen.write(1, "\r 2%")
    screen.write(2, "\r 3%")
    screen.write(1, "\r50%")
    screen.write(2, "\r99%\r100%\n")
    assert screen.taken() == [(0, "\r 1%"), (2, "\r100%\n"), (0, "\r 1%")]

    screen.write(0, "\r100%\n")
    assert screen.taken() == [(0, "\r100%\n"), (1, "\r50%")]


def test_what_ends_without_an_end_of_line_is_shown() -> None:
    """Both streams of that engine, and none of others."""
    screen = Screen()
    screen.write(0, "a")
    screen.write(0, "b", name="stderr")
    screen.write(1, "c")

    screen.lines.end(0)
    assert screen.taken() == [(0, "a"), (0, "b")]
    screen.lines.end(0)
    assert screen.taken() == []


def test_a_line_without_an_end_is_bounded() -> None:
    """It is shown in pieces."""
    screen = Screen()
    screen.write(1, "x")
    screen.write(0, "y" * LONGEST)
    screen.write(0, "z")

    assert screen.taken() == [(0, "y" * LONGEST + "z")]


def test_ends_of_lines_of_another_system_are_no_progress_bars() -> None:
    """Even where they come in two pieces."""
    screen = Screen()
    screen.write(0, "a\r")
    screen.write(1, "b\n")
    screen.write(0, "\n")

    assert screen.taken() == [(1, "b\n"), (0, "a\r\n")]
