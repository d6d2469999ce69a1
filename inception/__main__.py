"""`python -m inception`, and the installed command `inception-lens`."""

import sys

from .runtime.interrupt import finished, install


def console() -> int:
    """Run the command line in a process of its own."""
    install()
    from .cli.main import main
    from .runtime.threads import configure_threads

    configure_threads()
    status = main()
    finished(status)
    return status


if __name__ == "__main__":
    sys.exit(console())
