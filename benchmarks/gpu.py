"""What one GPU does, in absolute figures: `python -m benchmarks.gpu`.

Prints a table and writes it to `benchmarks/results/gpu.json`, with the machine described. The network is the
`googlenet` variant with random weights at 224 pixels, as `Pretrained.engine` (exact) and `engine_for("fast")` have it.
Each figure is the median of some rounds, after others to warm up, with the range that half of them fell into; the
device has finished when the clock stops.

- `latency`: one picture as the page has it, through the network, its answer and all block outputs in this machine's
  memory: what a visitor waits for.
- `throughput-logits`: photos per second of a batch that lies on the device, answers only.
- `throughput-blocks`: the same with all block outputs kept there.
- `throughput-returned`: the same with all of them brought into this machine's memory.
- `glance`: the table of 36 runs, from the observation's arrays to the finished dataclass.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from inception.explain.ablation import ablation_table
from inception.prediction import predict_crop
from inception.pretrained.pretrained import PRECISIONS, PretrainedModel
from inception.runtime.device import choose_device
from inception.vision.photo import open_photo

from .explain import PHOTO, untrained
from .measure import machine, spread

RESULTS = Path(__file__).parent / "results" / "gpu.json"


@dataclass(frozen=True)
class Figure:
    """One line of the table; `spread` is the range that half of the rounds fell into."""

    name: str
    precision: str
    value: float
    unit: str
    spread: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.spread
        return f"{self.name:20} {self.precision:6} {self.value:10.2f} {self.unit:9} ({low:.2f} to {high:.2f})"


def figures(pretrained: PretrainedModel, batch: int, rounds: int) -> Iterator[Figure]:
    """All of them, for the network on its device."""
    seen = pretrained.preprocessing.apply(open_photo(PHOTO))
    for precision in PRECISIONS:
        engine = pretrained.engine_for(precision)
        x = torch.randn(batch, *pretrained.model.input_shape, device=pretrained.device)
        x = x.contiguous(memory_format=torch.channels_last)
        work: dict[str, Callable[[], object]] = {
            "throughput-logits": lambda engine=engine, x=x: engine.logits(x),
            "throughput-blocks": lambda engine=engine, x=x: engine.trace(x),
            "throughput-returned": lambda engine=engine, x=x: [part.cpu() for part in engine.trace(x).stages.values()],
        }
        taken = seconds_of(lambda precision=precision: predict_crop(pretrained, seen, precision), pretrained, rounds)
        yield _figure("latency", precision, [1000 * one for one in taken], "ms")
        for name, run in work.items():
            yield _figure(name, precision, [batch / one for one in seconds_of(run, pretrained, rounds)], "photos/s")
    prediction = predict_crop(pretrained, seen)
    taken = seconds_of(lambda: ablation_table(pretrained, prediction), pretrained, rounds)
    yield _figure("glance", "exact", [1000 * one for one in taken], "ms")


@torch.inference_mode()
def seconds_of(work: Callable[[], object], pretrained: PretrainedModel, rounds: int) -> list[float]:
    warm_up, taken = max(1, rounds // 3), []
    for _ in range(warm_up + rounds):
        _finish(pretrained)
        begin = time.perf_counter()
        work()
        _finish(pretrained)
        taken.append(time.perf_counter() - begin)
    return taken[warm_up:]


def _finish(pretrained: PretrainedModel) -> None:
    if pretrained.device.type == "cuda":
        torch.cuda.synchronize(pretrained.device)
    elif pretrained.device.type == "mps":
        torch.mps.synchronize()


def _figure(name: str, precision: str, values: Sequence[float], unit: str) -> Figure:
    return Figure(name, precision, statistics.median(values), unit, spread(values))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--batch", type=int, default=256, help="photos in a batch (default: 256)")
    parser.add_argument("--rounds", type=int, default=30, help="how often each is measured (default: 30)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the figures go (default: %(default)s)")
    options = parser.parse_args(arguments)
    device = choose_device(options.device)
    told = f"{device.name}, {machine()}, batch of {options.batch}"
    print(told)
    kept = []
    for figure in figures(untrained(device.torch_device), options.batch, options.rounds):
        print(figure, flush=True)
        kept.append(asdict(figure))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"machine": told, "figures": kept}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
