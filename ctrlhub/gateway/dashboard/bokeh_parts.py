"""What the page takes from Bokeh: its script, and the plots, still empty, that the page fills."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ctrlhub.gateway.dashboard.errors import NoBokeh

if TYPE_CHECKING:
    from bokeh.plotting import figure

SCRIPT = "bokeh.min.js"
FONT = "system-ui, sans-serif"

DECADES = {
    1e-6: "1 µs", 1e-5: "10 µs", 1e-4: "0.1 ms", 1e-3: "1 ms", 1e-2: "10 ms", 1e-1: "0.1 s",
    1.0: "1 s", 1e1: "10 s", 1e2: "100 s", 1e3: "1000 s", 1e4: "3 h", 1e5: "28 h",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a plot.

    Parameters
    ----------
    field
        The column it shows.
    label
        Its name for people.
    color
        Its colour, by name: the page has others in the light than in the dark.
    dash
        How it is drawn, so that lines differ in more than colour.
    """

    field: str
    label: str
    color: str
    dash: str = "solid"


LINES: dict[str, tuple[Line, ...]] = {
    "throughput": (
        Line("submitted", "submitted/s", "orange", "dashed"),
        Line("done", "done/s", "blue"),
        Line("failed", "failed/s", "red", "dotted"),
    ),
    "latency": (
        Line("p99", "99 %", "red", "dotted"),
        Line("p95", "95 %", "orange", "dashed"),
        Line("p50", "median", "blue"),
    ),
    "queue": (Line("queued", "queued", "orange", "dashed"), Line("running", "running", "green")),
}


@cache
def script() -> tuple[bytes, str]:
    """Return Bokeh's script for browsers, packed by gzip, and its version.

    Raises
    ------
    NoBokeh
        It is not installed.
    """
    try:
        import bokeh
    except ImportError as error:
        raise NoBokeh from error
    place = Path(bokeh.__file__).parent / "server" / "static" / "js" / SCRIPT
    return gzip.compress(place.read_bytes(), 6, mtime=0), str(bokeh.__version__)


@cache
def document() -> bytes:
    """Return the plots as Bokeh's script takes them, and the lines of each for its legend.

    Raises
    ------
    NoBokeh
        It is not installed.
    """
    try:
        import bokeh
        from bokeh.embed import json_item
    except ImportError as error:
        raise NoBokeh from error
    plots = {
        "throughput": _over_time("throughput"),
        "latency": _latency(),
        "queue": _over_time("queue"),
        "stream": _stream(),
    }
    legends = {
        name: [{"field": line.field, "label": line.label, "color": line.color, "dash": line.dash} for line in lines]
        for name, lines in LINES.items()
    }
    items = {name: json_item(plot) for name, plot in plots.items()}
    return json.dumps({"version": bokeh.__version__, "plots": items, "legends": legends}).encode()


def _plot(name: str, tools: str = "", **more: Any) -> figure:
    from bokeh.models import DatetimeTickFormatter, NoOverlap, Range1d
    from bokeh.plotting import figure as make

    plot = make(
        name=name,
        x_axis_type="datetime",
        x_range=Range1d(start=0, end=1),
        sizing_mode="stretch_both",
        toolbar_location=None,
        min_border=2,
        tools=tools,
        **more,
    )
    plot.xgrid.grid_line_color = None
    plot.outline_line_color = None
    plot.xaxis.formatter = DatetimeTickFormatter(
        milliseconds="%H:%M:%S.%3N", seconds="%H:%M:%S", minsec="%H:%M:%S", minutes="%H:%M:%S", hourmin="%H:%M:%S",
    )  # fmt: skip
    plot.xaxis.major_label_policy = NoOverlap(min_distance=8)  # where the page is narrow
    for axis in plot.axis:
        axis.major_label_text_font = FONT
        axis.major_label_text_font_size = "11px"
        axis.minor_tick_line_color = None
        axis.major_tick_line_color = None
        axis.axis_line_color = None
    return plot


def _draw(plot: figure, lines: Sequence[Line]) -> None:
    """Draw lines of one source, which is named after the plot; all are told where the pointer is."""
    from bokeh.models import ColumnDataSource, HoverTool

    fields: dict[str, list[Any]] = {"time": [], "clock": []}
    for line in lines:
        fields |= {line.field: [], f"{line.field}_text": []}
    source = ColumnDataSource(fields, name=f"{plot.name}-data")
    drawn: list[Any] = [
        plot.line("time", line.field, source=source, line_width=2, line_dash=line.dash, name=line.field)
        for line in lines
    ]
    said = [("at", "@clock"), *((line.label, f"@{line.field}_text") for line in lines)]
    plot.add_tools(HoverTool(renderers=drawn[-1:], tooltips=said, mode="vline", visible=False))


def _over_time(name: str) -> figure:
    from bokeh.models import BasicTicker, NumeralTickFormatter, Range1d

    plot = _plot(name, y_range=Range1d(start=0, end=1))
    plot.yaxis.formatter = NumeralTickFormatter(format="0.[0]a")
    plot.yaxis.ticker = BasicTicker(desired_num_ticks=4)
    _draw(plot, LINES[name])
    return plot


def _latency() -> figure:
    from bokeh.models import FixedTicker, Range1d

    plot = _plot("latency", y_axis_type="log", y_range=Range1d(start=1e-3, end=1))
    plot.yaxis.ticker = FixedTicker(ticks=list(DECADES))
    plot.ygrid.ticker = FixedTicker(ticks=list(DECADES))
    plot.yaxis.major_label_overrides = dict[Any, Any](DECADES)
    _draw(plot, LINES["latency"])
    return plot


def _stream() -> figure:
    """Make the plot of what ran where: a row for each engine, a bar for each task."""
    from bokeh.models import (
        BasicTicker,
        ColumnDataSource,
        HoverTool,
        NumeralTickFormatter,
        Range1d,
        WheelZoomTool,
    )

    plot = _plot("stream", y_range=Range1d(start=-0.5, end=3.5), tools="pan,reset")
    wheel = WheelZoomTool(dimensions="width")
    plot.add_tools(wheel)
    plot.toolbar.active_scroll = wheel  # it is off until somebody turns it on, and there is no toolbar for that
    fields: dict[str, list[Any]] = {
        name: [] for name in ("engine", "left", "right", "color", "what", "where", "took", "how", "error", "begun")
    }
    bars = plot.hbar(
        y="engine", left="left", right="right", height=0.8, fill_color="color", line_color="color",
        source=ColumnDataSource(fields, name="stream-data"),
    )  # fmt: skip
    plot.yaxis.ticker = BasicTicker(min_interval=1, desired_num_ticks=8, num_minor_ticks=0)
    plot.yaxis.formatter = NumeralTickFormatter(format="0")
    plot.ygrid.grid_line_color = None
    said = [("task", "@what"), ("engine", "@where"), ("took", "@took"), ("begun", "@begun"), ("status", "@how"), ("error", "@error")]
    plot.add_tools(HoverTool(renderers=[bars], tooltips=said, limit=1, visible=False))
    return plot
