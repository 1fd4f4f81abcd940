"""The client: views on a running cluster, and futures for what they are asked."""
