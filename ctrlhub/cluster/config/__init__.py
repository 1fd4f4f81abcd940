"""What is configured: settings, and what environment and files say of them; for the command, and for `Cluster`."""
