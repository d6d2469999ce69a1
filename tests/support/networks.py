"""Networks with random weights, and comparisons of networks."""

from __future__ import annotations

import torch
from torch import nn

from inception.network.inception_v1 import InceptionV1


def lively(model: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and BatchNorm statistics with which activations stay of order one and depend on the photo."""
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor: torch.Tensor, low: float, high: float) -> None:
        tensor.data.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            module.weight.data.copy_(torch.randn(module.weight.shape, generator=generator) * (2 / fan_in) ** 0.5)
            if module.bias is not None:
                draw(module.bias, -0.1, 0.1)
        elif isinstance(module, nn.BatchNorm2d):
            draw(module.weight, 0.8, 1.2)
            draw(module.bias, -0.2, 0.2)
            draw(module.running_mean, -0.2, 0.2)
            draw(module.running_var, 0.7, 1.3)
    return model.eval()


def smooth_copy(variant: str, size: int) -> InceptionV1:
    """Positive weights, no ReLU, mean instead of max pools: then a cell's gradient is nowhere zero in its field."""
    model = InceptionV1(variant=variant, include_top=False, input_shape=(3, size, size)).double().eval()
    for name, module in list(model.named_modules()):
        path, _, child = name.rpartition(".")
        parent = model.get_submodule(path)
        if isinstance(module, nn.Conv2d):
            module.weight.data.fill_(1 / module.weight[0].numel())
        elif isinstance(module, nn.ReLU | nn.LocalResponseNorm):
            parent.add_module(child, nn.Identity())
        elif isinstance(module, nn.MaxPool2d):
            mean = nn.AvgPool2d(module.kernel_size, module.stride, module.padding, module.ceil_mode)
            parent.add_module(child, mean)
    return model


def answers_alike(a: InceptionV1, b: InceptionV1, side: int = 64) -> bool:
    x = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(5)) * 50
    with torch.no_grad():
        return torch.equal(a.trace(x).logits, b.trace(x).logits)
