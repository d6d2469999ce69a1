"""One visitor: `python -m benchmarks.answer`.

- `answer`: from a JPEG's bytes to all that the stage is sent of it, as JSON: the logits, 36 mean maps and every channel
  of 4a, as the server does it with `--precision fast`, in units of torchvision's forward pass alone.
- `answer-exact`: the same in float32, as the server does it by default.
- `answer-matplotlib`: `answer` in units of torchvision with hooks and a matplotlib grid of all channels.
- `next-block`: every channel of another block of a photo that was looked at lately, as JSON, the slowest of the nine.

The network is the `googlenet` variant with random weights: 224 pixels, the largest maps that the stage shows. The
process keeps freed memory as the server does, for both.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

from inception.network.blocks import BLOCKS
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.device import choose_device
from inception.runtime.memory import share_freed
from inception.service.service import InferenceService
from inception.web.stage.scene import block_channels, scene

from .classroom import photos
from .explain import untrained
from .measure import Row, compared, machine
from .peers import hooks_and_matplotlib, plain_forward

BLOCK = "4a"
PHOTOS = 60  # more than the service remembers


class OneNetwork(InferenceService):
    """A service of a network that is in memory."""

    def __init__(self, network: PretrainedModel, precision: str) -> None:
        super().__init__((network.name,), choose_device("cpu"), precision=precision)
        self.network = network

    def pretrained(self, name: str) -> PretrainedModel:
        return self.network


def answer(service: InferenceService) -> Callable[[], tuple[str, str]]:
    """From a file's bytes to all that the stage shows first; each time of another photo."""
    camera = itertools.cycle(list(itertools.islice(photos(), PHOTOS)))

    def work() -> tuple[str, str]:
        query = service.query(service.models[0], next(camera))
        return json.dumps(scene(service, query, {})), json.dumps(block_channels(service, query, {}, BLOCK))

    return work


def next_block(service: InferenceService, block: str) -> Callable[[], str]:
    """Another block of a photo that was looked at lately."""
    query = service.query(service.models[0], next(photos()))
    service.prediction(query)
    return lambda: json.dumps(block_channels(service, query, {}, block))


def rows(rounds: int = 15) -> list[Row]:
    share_freed()
    network, peer = untrained(), plain_forward()
    service = OneNetwork(network, "exact")
    fast = answer(OneNetwork(network, "fast"))
    return [
        compared("answer", fast, peer, bound=0.6, rounds=rounds),
        compared("answer-exact", answer(service), peer, bound=0.85, rounds=rounds),
        compared("answer-matplotlib", fast, hooks_and_matplotlib(), bound=0.01, rounds=2, warm_up=1),
        max(
            (compared("next-block", next_block(service, block), peer, bound=0.2, rounds=rounds) for block in BLOCKS),
            key=lambda row: row.ratio,
        ),
    ]


if __name__ == "__main__":
    print(machine())
    for row in rows():
        print(row)
