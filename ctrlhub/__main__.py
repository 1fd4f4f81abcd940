"""``python -m ctrlhub`` is the ``ctrl-hub`` command."""

from ctrlhub.cli import main

if __name__ == "__main__":
    main()
