"""Answers to one visitor: `python -m benchmarks.answer`.

- `answer`: from a JPEG's bytes to the JSON that the stage first receives (logits, 36 mean maps, all channels of 4a), as
  the server computes it with `--precision fast`, in units of torchvision's forward pass alone.
- `answer-exact`: the same in float32, the server's default.
- `answer-matplotlib`: `answer` in units of torchvision with hooks and a matplotlib grid of all channels.
- `next-block`: all channels of another block of a photo whose prediction is cached, as JSON; the slowest block.

The network is the `googlenet` variant with random weights: 224 pixels, the largest maps that the stage shows. Both
sides run with the server's settings of the memory allocator.
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

from .classroom import random_photos
from .explain import untrained_googlenet
from .measure import Row, compare, machine
from .peers import hooks_and_matplotlib, torchvision_forward

BLOCK = "4a"
PHOTOS = 60  # more than the service caches


class InMemoryService(InferenceService):
    """Service of a network that is already in memory."""

    def __init__(self, network: PretrainedModel, precision: str) -> None:
        super().__init__((network.name,), choose_device("cpu"), precision=precision)
        self.network = network

    def pretrained(self, name: str) -> PretrainedModel:
        return self.network


def answer_work(service: InferenceService) -> Callable[[], tuple[str, str]]:
    """Return a function that computes what the stage first shows of a photo; each call takes another photo."""
    photos = itertools.cycle(list(itertools.islice(random_photos(), PHOTOS)))

    def work() -> tuple[str, str]:
        query = service.query(service.models[0], next(photos))
        return json.dumps(scene(service, query, {})), json.dumps(block_channels(service, query, {}, BLOCK))

    return work


def next_block_work(service: InferenceService, block: str) -> Callable[[], str]:
    """Return a function that computes the channels of a block of a photo whose prediction is cached."""
    query = service.query(service.models[0], next(random_photos()))
    service.prediction(query)
    return lambda: json.dumps(block_channels(service, query, {}, block))


def rows(rounds: int = 15) -> list[Row]:
    share_freed()
    network, peer = untrained_googlenet(), torchvision_forward()
    service = InMemoryService(network, "exact")
    fast = answer_work(InMemoryService(network, "fast"))
    return [
        compare("answer", fast, peer, bound=0.6, rounds=rounds),
        compare("answer-exact", answer_work(service), peer, bound=0.85, rounds=rounds),
        compare("answer-matplotlib", fast, hooks_and_matplotlib(), bound=0.01, rounds=2, warm_up=1),
        max(
            (
                compare("next-block", next_block_work(service, block), peer, bound=0.2, rounds=rounds)
                for block in BLOCKS
            ),
            key=lambda row: row.ratio,
        ),
    ]


if __name__ == "__main__":
    print(machine())
    for row in rows():
        print(row)
