"""Cost of explanations relative to the prediction that they explain: `python -m benchmarks.explain`.

The unit is one forward pass of torchvision's googlenet, in evaluation mode, eager, in float32, on one photo of 224x224
pixels. Ours is the `googlenet` variant at the same size. Both have random weights, which are as fast as trained ones,
and PyTorch's default number of threads. The prediction is computed beforehand and not timed, as it exists when a
visitor requests an explanation.

Each row covers everything that a caller waits for, from the prediction's arrays to the finished dataclass: copying the
block's output, ablation, the network behind the block, and the arithmetic on its output. Both sides run with the
server's settings of the memory allocator.

- `votes-3a`: a batch of 16 sets of branches from block 3b on, which is most of the network, then Shapley values.
- `votes-4c`: the same 16 from block 4d on, whose maps are small.
- `glance`: 36 ablations in one shared pass. Each block adds its four, so the batch is 4 in block 3b and 32 in 5b.
- `grad-cam`: one photo forward from block 4d on and backward to 4c, then five maps: all branches together, and each.

Each row also shows the arithmetic limit (`Row.limit`) for the multiplications in the blocks behind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from inception.explain.ablation import ablation_table
from inception.explain.attribution import grad_cams
from inception.explain.shapley import branch_votes
from inception.network.blocks import BLOCKS, BRANCHES
from inception.network.compiled import compile_engines
from inception.network.cost import module_costs
from inception.network.inception_v1 import InceptionV1
from inception.prediction import Prediction, predict
from inception.pretrained.description import Provenance
from inception.pretrained.pretrained import PretrainedModel
from inception.runtime.memory import share_freed
from inception.vision.photo import open_photo
from inception.vision.preprocessing import CAFFE

from .measure import Row, arithmetic_limit, compare, machine
from .peers import CLASSES, torchvision_forward

PHOTO = Path(__file__).parents[1] / "examples" / "red_panda.jpg"
BOUNDS = {"votes-3a": 3.0, "votes-4c": 1.25, "glance": 3.1, "grad-cam": 0.5}


def untrained_googlenet(device: str | torch.device = "cpu") -> PretrainedModel:
    """Build the `googlenet` variant with random weights, and with engines compiled as in a server."""
    torch.manual_seed(0)
    model = InceptionV1(variant="googlenet", classes=CLASSES).eval().requires_grad_(False).to(device)
    labels = tuple(f"class {number}" for number in range(CLASSES))
    pretrained = PretrainedModel("untrained", model, CAFFE, labels, Provenance("", "", "", ""))
    compile_engines(model, pretrained.engine, pretrained.fast_engine)
    return pretrained


def explanations(pretrained: PretrainedModel, prediction: Prediction) -> dict[str, Callable[[], object]]:
    """Return the function that each row measures, by the row's name."""
    return {
        "votes-3a": lambda: branch_votes(pretrained, prediction, "3a"),
        "votes-4c": lambda: branch_votes(pretrained, prediction, "4c"),
        "glance": lambda: ablation_table(pretrained, prediction),
        "grad-cam": lambda: grad_cams(pretrained, prediction, "4c"),
    }


def multiplications(model: InceptionV1) -> dict[str, int]:
    """Count the multiplications of each row in the convolutions behind its block."""
    costs = [cost.reduced.multiplications for cost in module_costs(model)]
    behind = {block: sum(costs[number + 1 :]) for number, block in enumerate(BLOCKS)}
    subsets = 2 ** len(BRANCHES) - 1  # the logits with all branches ablated are cached
    return {
        "votes-3a": subsets * behind["3a"],
        "votes-4c": subsets * behind["4c"],
        "glance": len(BRANCHES) * sum(behind.values()),
        "grad-cam": 2 * behind["4c"],  # forward and backward
    }


def rows(rounds: int = 15) -> list[Row]:
    """Compare each explanation with the forward pass of torchvision."""
    share_freed()
    pretrained = untrained_googlenet()
    peer = torchvision_forward()
    work = explanations(pretrained, predict(pretrained, open_photo(PHOTO)))
    counts = multiplications(pretrained.model)
    return [
        replace(compare(name, work[name], peer, bound=bound, rounds=rounds), limit=arithmetic_limit(counts[name], peer))
        for name, bound in BOUNDS.items()
    ]


if __name__ == "__main__":
    print(f"{machine()}, {torch.get_num_threads()} threads")
    for row in rows():
        print(row)
