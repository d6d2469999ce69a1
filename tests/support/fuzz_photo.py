"""A coverage-guided search for files that the upload path does not take as it should: `make fuzz SECONDS=600`.

Every input must come out as an RGB picture of at most `MAX_SIDE` pixels that a network can see, or as a `UserError`
without a path, and take less than `MOST_MEGABYTES` on the way. It begins with the small files of the corpus.
Called by itself: `python -m support.fuzz_photo SECONDS FOLDER`, and what it finds lies in that folder.
"""

from __future__ import annotations

import resource
import sys
from base64 import b64encode
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["PIL", "inception.vision.metadata", "inception.vision.photo"]):
    from PIL import Image

    from inception.vision.photo import MAX_SIDE, open_photo

from inception.errors import UserError
from inception.web.api.inputs import as_source
from support.corpus.cases import cases
from support.entry_points import EXAMPLES
from support.memory import Memory
from support.preprocessing import TINY_IMAGENET

MOST_MEGABYTES = 300
SEED_BYTES = 20_000
LONGEST = 40_000  # bytes of an input
MOST_RESIDENT = 4096  # megabytes of the whole search


def one(data: bytes) -> None:
    """What becomes of one file."""
    memory, said = Memory(), ""
    try:
        photo = open_photo(data)
        assert photo.mode == "RGB", photo.mode
        assert min(photo.size) > 0, photo.size
        assert max(photo.size) <= MAX_SIDE, photo.size
        assert TINY_IMAGENET.apply(photo).size == (TINY_IMAGENET.size, TINY_IMAGENET.size)
    except UserError as error:
        said = str(error)
    assert not any(word in said for word in ("/", "\\", "\n", "Traceback")), said
    assert memory.highest < MOST_MEGABYTES, f"{memory.highest:.0f} MB"


def seeds(folder: Path) -> None:
    for number, case in enumerate(cases()):
        data = b"" if "megapixel" in case.name or "wide" in case.name else case.make()
        if 0 < len(data) <= SEED_BYTES:
            (folder / f"{number:03}").write_bytes(data)


def main() -> None:
    seconds, folder = sys.argv[1], Path(sys.argv[2])
    found, begun = folder / "found", folder / "begun"
    for part in (found, begun):
        part.mkdir(parents=True, exist_ok=True)
    seeds(begun)
    # The way by which some clients send: what comes back must be the same bytes.
    assert as_source("data:image/png;base64," + b64encode(b"abc").decode()) == b"abc"
    open_photo(EXAMPLES[0])
    Image.init()
    # Linux hands the peak of the process that started this one on to it, and libFuzzer takes it for its own.
    inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={found}/",
        "-timeout=60",
        f"-rss_limit_mb={inherited + MOST_RESIDENT}",
        "-print_final_stats=1",
        "-seed=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(begun)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
