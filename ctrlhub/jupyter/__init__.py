"""The dashboard behind a Jupyter server: what jupyter-server-proxy starts, and hands requests to."""
