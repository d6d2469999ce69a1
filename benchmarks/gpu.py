"""Latency and throughput of one GPU, in absolute figures: `python -m benchmarks.gpu`.

Prints a table and writes it to `benchmarks/results/gpu.json`, with a description of the machine. The network is the
`googlenet` variant with random weights at 224 pixels, as `PretrainedModel.engine` (exact) and `engine_for("fast")`.
Each figure is the median of some rounds after a warm-up, with the interquartile range; the device is synchronised
before the clock stops.

- `latency`: prediction of one photo, with the logits and all block outputs copied to the host's memory, as a visitor of
  the page experiences it.
- `throughput-logits`: photos per second of a batch that is on the device, logits only.
- `throughput-blocks`: the same with all block outputs kept on the device.
- `throughput-returned`: the same with all block outputs copied to the host's memory.
- `glance`: the table of 36 ablations, from the prediction's arrays to the finished dataclass.
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

from .explain import PHOTO, untrained_googlenet
from .measure import machine, spread

RESULTS = Path(__file__).parent / "results" / "gpu.json"


@dataclass(frozen=True)
class Measurement:
    """Row of the table; `value` is a median, `spread` the interquartile range."""

    name: str
    precision: str
    value: float
    unit: str
    spread: tuple[float, float]

    def __str__(self) -> str:
        low, high = self.spread
        return f"{self.name:20} {self.precision:6} {self.value:10.2f} {self.unit:9} ({low:.2f} to {high:.2f})"


def measurements(pretrained: PretrainedModel, batch: int, rounds: int) -> Iterator[Measurement]:
    """Yield all measurements of a network on its device."""
    crop = pretrained.preprocessing.apply(open_photo(PHOTO))
    for precision in PRECISIONS:
        engine = pretrained.engine_for(precision)
        x = torch.randn(batch, *pretrained.model.input_shape, device=pretrained.device)
        x = x.contiguous(memory_format=torch.channels_last)
        work: dict[str, Callable[[], object]] = {
            "throughput-logits": lambda engine=engine, x=x: engine.logits(x),
            "throughput-blocks": lambda engine=engine, x=x: engine.trace(x),
            "throughput-returned": lambda engine=engine, x=x: [
                output.cpu() for output in engine.trace(x).stages.values()
            ],
        }
        times = seconds_of(lambda precision=precision: predict_crop(pretrained, crop, precision), pretrained, rounds)
        yield _measurement("latency", precision, [1000 * seconds for seconds in times], "ms")
        for name, run in work.items():
            yield _measurement(
                name, precision, [batch / seconds for seconds in seconds_of(run, pretrained, rounds)], "photos/s"
            )
    prediction = predict_crop(pretrained, crop)
    times = seconds_of(lambda: ablation_table(pretrained, prediction), pretrained, rounds)
    yield _measurement("glance", "exact", [1000 * seconds for seconds in times], "ms")


@torch.inference_mode()
def seconds_of(work: Callable[[], object], pretrained: PretrainedModel, rounds: int) -> list[float]:
    """Measure `work` after a warm-up; return the seconds of each round."""
    warm_up, times = max(1, rounds // 3), []
    for _ in range(warm_up + rounds):
        _synchronise(pretrained)
        begin = time.perf_counter()
        work()
        _synchronise(pretrained)
        times.append(time.perf_counter() - begin)
    return times[warm_up:]


def _synchronise(pretrained: PretrainedModel) -> None:
    if pretrained.device.type == "cuda":
        torch.cuda.synchronize(pretrained.device)
    elif pretrained.device.type == "mps":
        torch.mps.synchronize()


def _measurement(name: str, precision: str, values: Sequence[float], unit: str) -> Measurement:
    return Measurement(name, precision, statistics.median(values), unit, spread(values))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument("--batch", type=int, default=256, help="photos in a batch (default: 256)")
    parser.add_argument("--rounds", type=int, default=30, help="rounds of each measurement (default: 30)")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file to write the figures to (default: %(default)s)")
    options = parser.parse_args(arguments)
    device = choose_device(options.device)
    description = f"{device.name}, {machine()}, batch of {options.batch}"
    print(description)
    entries = []
    for measurement in measurements(untrained_googlenet(device.torch_device), options.batch, options.rounds):
        print(measurement, flush=True)
        entries.append(asdict(measurement))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"machine": description, "figures": entries}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
