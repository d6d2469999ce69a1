"""Networks with random or constant weights, and comparisons of networks."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import nn

from inception.network.inception_v1 import InceptionV1
from inception.prediction import input_batch
from inception.pretrained.checkpoint import save_checkpoint
from inception.pretrained.description import Description
from inception.pretrained.zoo import load


def randomise(model: nn.Module, seed: int = 0) -> nn.Module:
    """Set random weights and BatchNorm statistics that keep activations of order one; return the model in eval mode."""
    generator = torch.Generator().manual_seed(seed)

    def fill_uniform(tensor: torch.Tensor, low: float, high: float) -> None:
        tensor.data.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.data.copy_(torch.randn(module.weight.shape, generator=generator) * (2 / fan_in) ** 0.5)
            if module.bias is not None:
                fill_uniform(module.bias, -0.1, 0.1)
        elif isinstance(module, nn.BatchNorm2d):
            fill_uniform(module.weight, 0.8, 1.2)
            fill_uniform(module.bias, -0.2, 0.2)
            fill_uniform(module.running_mean, -0.2, 0.2)
            fill_uniform(module.running_var, 0.7, 1.3)
    return model.eval()


def linear_network(variant: str, size: int) -> InceptionV1:
    """Return a network with positive weights, no ReLU, and average pooling instead of max pooling.

    A cell's gradient is therefore nonzero in all of its receptive field.
    """
    model = InceptionV1(variant=variant, include_top=False, input_shape=(3, size, size)).double().eval()
    for name, module in list(model.named_modules()):
        path, _, child = name.rpartition(".")
        parent = model.get_submodule(path)
        if isinstance(module, nn.Conv2d):
            module.weight.data.fill_(1 / module.weight[0].numel())
        elif isinstance(module, nn.ReLU | nn.LocalResponseNorm):
            parent.add_module(child, nn.Identity())
        elif isinstance(module, nn.MaxPool2d):
            average = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
            parent.add_module(child, average)
    return model


def have_equal_logits(a: InceptionV1, b: InceptionV1, side: int = 64) -> bool:
    """Whether two networks have the same logits for a random input."""
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(5)) * 50
    with torch.no_grad():
        return torch.equal(a.trace(x).logits, b.trace(x).logits)


def overflowing_on_red(path: Path) -> Path:
    """Save the embedded network, changed so that its logits overflow on a plain red photo; return `path`."""
    embedded = load()
    photos = [Image.new("RGB", (160, 160), colour) for colour in ("red", "black", "blue", "grey", "white")]
    photos.append(Image.effect_noise((160, 160), 64).convert("RGB"))
    x = input_batch(embedded, [embedded.preprocessing.apply(photo) for photo in photos])
    features = embedded.engine.trace(x).features.mean(dim=(2, 3))
    direction = features[0] - features[1:].mean(dim=0)
    red, *others = (features @ direction).tolist()
    state = {name: tensor.clone() for name, tensor in embedded.model.state_dict().items()}
    # The first hidden unit is 10 for the red photo and 0 for the others.
    state["head.hidden.weight"][0] = direction * 20 / (red - max(others))
    state["head.hidden.bias"][0] = -10 * (red + max(others)) / (red - max(others))
    state["head.classifier.weight"][:, 0] = 3e38
    description = Description(embedded.model.variant.name, embedded.labels, embedded.preprocessing, embedded.provenance)
    save_checkpoint(path, state, description)
    return path
