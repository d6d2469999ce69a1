"""Coverage-guided fuzzing of opening photos: `make fuzz SECONDS=600`.

Every input must become an RGB photo of at most `MAX_SIDE` pixels that can be preprocessed, or a `UserError` without a
path, and take less than `MAX_MEGABYTES`. The seeds are the small files of the corpus. To run it alone:
`python -m support.fuzz_photo SECONDS FOLDER`, which writes failing inputs into the folder.
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

MAX_MEGABYTES = 300  # for one input
MAX_SEED_BYTES = 20_000
MAX_INPUT_BYTES = 40_000
MAX_RSS_MEGABYTES = 4096  # of the fuzzing process


def check(data: bytes) -> None:
    """Open one file and check the result."""
    memory, message = Memory(), ""
    try:
        photo = open_photo(data)
        assert photo.mode == "RGB", photo.mode
        assert min(photo.size) > 0, photo.size
        assert max(photo.size) <= MAX_SIDE, photo.size
        assert TINY_IMAGENET.apply(photo).size == (TINY_IMAGENET.size, TINY_IMAGENET.size)
    except UserError as error:
        message = str(error)
    assert not any(word in message for word in ("/", "\\", "\n", "Traceback")), message
    assert memory.peak < MAX_MEGABYTES, f"{memory.peak:.0f} MB"


def write_seeds(folder: Path) -> None:
    for number, case in enumerate(cases()):
        data = b"" if "megapixel" in case.name or "wide" in case.name else case.make()
        if 0 < len(data) <= MAX_SEED_BYTES:
            (folder / f"{number:03}").write_bytes(data)


def main() -> None:
    seconds, folder = sys.argv[1], Path(sys.argv[2])
    failures, corpus = folder / "found", folder / "begun"
    for subfolder in (failures, corpus):
        subfolder.mkdir(parents=True, exist_ok=True)
    write_seeds(corpus)
    # Some clients send data URLs.
    assert as_source("data:image/png;base64," + b64encode(b"abc").decode()) == b"abc"
    open_photo(EXAMPLES[0])
    Image.init()
    # A process inherits the peak memory of its parent, and libFuzzer counts it towards the limit.
    inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={MAX_INPUT_BYTES}",
        f"-artifact_prefix={failures}/",
        "-timeout=60",
        f"-rss_limit_mb={inherited + MAX_RSS_MEGABYTES}",
        "-print_final_stats=1",
        "-seed=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
