"""InceptionLens: see how GoogLeNet works, branch by branch.

from inception import load, open_photo, predict
pretrained = load("tiny-imagenet")
print(predict(pretrained, open_photo("photo.jpg")).top(5))
"""

from __future__ import annotations

from importlib import import_module

# As typing's, which takes as long to import as all that comes before Ctrl+C is handled (`interrupt.install`).
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import DeviceError, PhotoError, UserError, WeightsError
    from .network.blocks import InceptionBlock
    from .network.inception_v1 import InceptionV1
    from .prediction import Prediction, intermediates, predict
    from .pretrained.pretrained import PretrainedModel
    from .pretrained.zoo import load
    from .vision.photo import open_photo
    from .vision.preprocessing import Crop, Preprocessing

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
    "WeightsError": "errors",
    "intermediates": "prediction",
    "load": "pretrained.zoo",
    "open_photo": "vision.photo",
    "predict": "prediction",
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
    "WeightsError",
    "intermediates",
    "load",
    "open_photo",
    "predict",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
