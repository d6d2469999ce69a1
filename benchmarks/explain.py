"""What an explanation costs beside the answer that it explains: `python -m benchmarks.explain`.

The unit is one forward pass of torchvision's googlenet, in evaluation, eagerly, in float32, on one photo of 224x224
pixels: what an answer costs anybody. Ours is the `googlenet` variant at the same size. Both have random weights, which
cost what trained ones do, and as many threads as PyTorch takes. The observation is made before and not timed: it is
there when somebody asks why.

Each row holds all that a caller waits for, from the observation's arrays to the finished dataclass: copying the
block's output, switching off, the network behind the block, and the arithmetic on what comes out. The process keeps
freed memory as the page's server does, for both.

- `votes-3a`: a batch of 16 sets of branches from block 3b on, which is most of the network, then Shapley values.
- `votes-4c`: the same 16 from block 4d on, whose maps are small.
- `glance`: 36 runs that share one pass. Each block adds its four, so 4 go through block 3b and 32 through 5b.
- `grad-cam`: one photo forward from block 4d on and back to 4c, then the five maps, of all branches and of each.

Beside each stands the limit of the machine's arithmetic (`Row.limit`) for the multiplications in the blocks behind.
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

from .measure import Row, arithmetic_limit, compared, machine
from .peers import CLASSES, plain_forward

PHOTO = Path(__file__).parents[1] / "examples" / "red_panda.jpg"
BOUNDS = {"votes-3a": 3.0, "votes-4c": 1.25, "glance": 3.1, "grad-cam": 0.5}


def untrained(device: str | torch.device = "cpu") -> PretrainedModel:
    """The `googlenet` variant with random weights, and with the engines that a server uses after its first seconds."""
    torch.manual_seed(0)
    model = InceptionV1(variant="googlenet", classes=CLASSES).eval().requires_grad_(False).to(device)
    labels = tuple(f"class {number}" for number in range(CLASSES))
    pretrained = PretrainedModel("untrained", model, CAFFE, labels, Provenance("", "", "", ""))
    compile_engines(model, pretrained.engine, pretrained.fast_engine)
    return pretrained


def explanations(pretrained: PretrainedModel, prediction: Prediction) -> dict[str, Callable[[], object]]:
    """The work of each row."""
    return {
        "votes-3a": lambda: branch_votes(pretrained, prediction, "3a"),
        "votes-4c": lambda: branch_votes(pretrained, prediction, "4c"),
        "glance": lambda: ablation_table(pretrained, prediction),
        "grad-cam": lambda: grad_cams(pretrained, prediction, "4c"),
    }


def multiplications(model: InceptionV1) -> dict[str, int]:
    """The multiplications of each row, in the convolutions behind the blocks."""
    costs = [cost.reduced.multiplications for cost in module_costs(model)]
    behind = {block: sum(costs[number + 1 :]) for number, block in enumerate(BLOCKS)}
    subsets = 2 ** len(BRANCHES) - 1  # the logits of the empty one are known
    return {
        "votes-3a": subsets * behind["3a"],
        "votes-4c": subsets * behind["4c"],
        "glance": len(BRANCHES) * sum(behind.values()),
        "grad-cam": 2 * behind["4c"],  # there and back
    }


def rows(rounds: int = 15) -> list[Row]:
    """Each explanation in units of the plain forward pass, with which it takes turns."""
    share_freed()
    pretrained = untrained()
    peer = plain_forward()
    work = explanations(pretrained, predict(pretrained, open_photo(PHOTO)))
    counted = multiplications(pretrained.model)
    return [
        replace(
            compared(name, work[name], peer, bound=bound, rounds=rounds), limit=arithmetic_limit(counted[name], peer)
        )
        for name, bound in BOUNDS.items()
    ]


if __name__ == "__main__":
    print(f"{machine()}, {torch.get_num_threads()} threads")
    for row in rows():
        print(row)
