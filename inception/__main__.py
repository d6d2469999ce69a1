"""`python -m inception`, and the installed command `inception-lens`."""

import sys

from .interrupt import finished, install


def console() -> int:
    """Run the command line in a process of its own."""
    install()
    from .cli import main
    from .cores import settle

    settle()
    status = main()
    finished(status)
    return status


if __name__ == "__main__":
    sys.exit(console())
