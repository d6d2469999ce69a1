"""`python -m inception`."""

import sys

from .cores import settle

settle()

from .cli import main  # noqa: E402  (may import torch)

sys.exit(main())
