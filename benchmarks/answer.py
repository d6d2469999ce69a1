"""One visitor: `python -m benchmarks.answer`.

- `answer`: from a JPEG's bytes to the five most probable classes and four encoded mosaics of all channels of 4a,
  as the page does it with `--precision fast`, in units of torchvision's forward pass alone.
- `answer-exact`: the same in float32, as the page does it by default.
- `answer-matplotlib`: `answer` in units of torchvision with hooks and a matplotlib grid of all channels.
- `next-block`: another block of a photo that was looked at lately, four encoded mosaics, the slowest of the nine.

The network is the `googlenet` variant with random weights: 224 pixels, the largest maps that the page shows. The
process keeps freed memory as the page's server does, for both.
"""

from __future__ import annotations

from collections.abc import Callable

from inception.network.blocks import BLOCKS
from inception.prediction import Prediction, predict
from inception.pretrained.pretrained import PretrainedModel
from inception.render.branches import ViewOptions, render_branches
from inception.render.maps import SMALL_TILE, encode
from inception.runtime.memory import share_freed
from inception.vision.photo import open_photo

from .explain import PHOTO, untrained
from .measure import Row, compared, machine
from .peers import hooks_and_matplotlib, plain_forward

BLOCK = "4a"


def mosaics(prediction: Prediction, block: str) -> list[bytes]:
    """What the page shows of a block."""
    return [encode(panel.image) for panel in render_branches(prediction, ViewOptions(block), SMALL_TILE).values()]


def answer(pretrained: PretrainedModel, precision: str) -> Callable[[], tuple[object, list[bytes]]]:
    """From the file's bytes to all that the page needs."""
    data = PHOTO.read_bytes()

    def work() -> tuple[object, list[bytes]]:
        prediction = predict(pretrained, open_photo(data), precision)
        return prediction.top(5), mosaics(prediction, BLOCK)

    return work


def rows(rounds: int = 15) -> list[Row]:
    share_freed()
    pretrained, peer = untrained(), plain_forward()
    prediction = predict(pretrained, open_photo(PHOTO))
    fast = answer(pretrained, "fast")
    return [
        compared("answer", fast, peer, bound=0.6, rounds=rounds),
        compared("answer-exact", answer(pretrained, "exact"), peer, bound=0.85, rounds=rounds),
        compared("answer-matplotlib", fast, hooks_and_matplotlib(), bound=0.01, rounds=2, warm_up=1),
        max(
            (
                compared("next-block", lambda block=block: mosaics(prediction, block), peer, bound=0.2, rounds=rounds)
                for block in BLOCKS
            ),
            key=lambda row: row.ratio,
        ),
    ]


if __name__ == "__main__":
    print(machine())
    for row in rows():
        print(row)
