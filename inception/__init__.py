"""InceptionLens: see how GoogLeNet works, branch by branch.

from inception import branch_votes, load, open_photo, predict
pretrained = load("tiny-imagenet")
prediction = predict(pretrained, open_photo("photo.jpg"))
print(prediction.top(5), branch_votes(pretrained, prediction, "4c").votes)
"""

from __future__ import annotations

from importlib import import_module

# As typing's, which takes as long to import as all that comes before Ctrl+C is handled (`interrupt.install`).
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import DeviceError, PhotoError, UserError, WeightsError
    from .explain.ablation import ablate, ablation_table
    from .explain.attribution import evidence, grad_cam, grad_cams
    from .explain.convolution import trace_convolution
    from .explain.readout import channel_readout
    from .explain.receptive_field import cell_square, effective_field
    from .explain.shapley import branch_votes
    from .network.blocks import InceptionBlock
    from .network.inception_v1 import InceptionV1
    from .prediction import Prediction, intermediates, predict
    from .pretrained.pretrained import PretrainedModel
    from .pretrained.zoo import load
    from .render.branches import ViewOptions, render_branches
    from .vision.photo import open_photo
    from .vision.preprocessing import Crop, Preprocessing
    from .web.mount import mount

# Fetched at first use (PEP 562), so that `python -m inception --help` need not wait for torch.
_HOME = {
    "Crop": "vision.preprocessing",
    "DeviceError": "errors",
    "InceptionBlock": "network.blocks",
    "InceptionV1": "network.inception_v1",
    "PhotoError": "errors",
    "Prediction": "prediction",
    "Preprocessing": "vision.preprocessing",
    "PretrainedModel": "pretrained.pretrained",
    "UserError": "errors",
    "ViewOptions": "render.branches",
    "WeightsError": "errors",
    "ablate": "explain.ablation",
    "ablation_table": "explain.ablation",
    "branch_votes": "explain.shapley",
    "cell_square": "explain.receptive_field",
    "channel_readout": "explain.readout",
    "effective_field": "explain.receptive_field",
    "evidence": "explain.attribution",
    "grad_cam": "explain.attribution",
    "grad_cams": "explain.attribution",
    "intermediates": "prediction",
    "load": "pretrained.zoo",
    "mount": "web.mount",
    "open_photo": "vision.photo",
    "predict": "prediction",
    "render_branches": "render.branches",
    "trace_convolution": "explain.convolution",
}

__version__ = "0.1.0"
__all__ = [
    "Crop",
    "DeviceError",
    "InceptionBlock",
    "InceptionV1",
    "PhotoError",
    "Prediction",
    "Preprocessing",
    "PretrainedModel",
    "UserError",
    "ViewOptions",
    "WeightsError",
    "ablate",
    "ablation_table",
    "branch_votes",
    "cell_square",
    "channel_readout",
    "effective_field",
    "evidence",
    "grad_cam",
    "grad_cams",
    "intermediates",
    "load",
    "mount",
    "open_photo",
    "predict",
    "render_branches",
    "trace_convolution",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
