"""What notebooks show of clusters, live, and with which they are started, made larger and stopped."""
