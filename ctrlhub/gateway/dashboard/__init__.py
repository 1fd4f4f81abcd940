"""The dashboard: one page, and one stream of figures for all browsers that show it.

What is shown is made from the hub's telemetry, once a second for everybody: `figures` decides (no sockets,
no clock), `feed` sends the same bytes to each browser, and the page draws.
"""
