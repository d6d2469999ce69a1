"""`python -m inception`, and the installed command `inception-lens`."""

import sys

from .interrupt import install


def console() -> int:
    """Run the command line in a process of its own."""
    install()
    from .cli import main
    from .cores import settle

    settle()
    return main()


if __name__ == "__main__":
    sys.exit(console())
