"""InceptionLens: see how GoogLeNet works, branch by branch.

from inception import load, observe, open_photo
pretrained = load("tiny-imagenet")
print(observe(pretrained, open_photo("photo.jpg")).top(5))
"""

from __future__ import annotations

from importlib import import_module

# As typing's, which takes as long to import as all that comes before Ctrl+C is handled (`interrupt.install`).
TYPE_CHECKING = False
if TYPE_CHECKING:
    from .errors import DeviceError, PhotoError, UserError, WeightsError
    from .model import InceptionBlock, InceptionV1
    from .observation import Observation, intermediates, observe
    from .photo import open_photo
    from .preprocessing import Frame, Preprocessing
    from .weights import Pretrained, load

# Fetched at first use (PEP 562), so that `python -m inception --help` need not wait for torch.
_HOME = {
    "DeviceError": "errors",
    "Frame": "preprocessing",
    "InceptionBlock": "model",
    "InceptionV1": "model",
    "Observation": "observation",
    "PhotoError": "errors",
    "Preprocessing": "preprocessing",
    "Pretrained": "weights",
    "UserError": "errors",
    "WeightsError": "errors",
    "intermediates": "observation",
    "load": "weights",
    "observe": "observation",
    "open_photo": "photo",
}

__version__ = "0.1.0"
__all__ = [
    "DeviceError",
    "Frame",
    "InceptionBlock",
    "InceptionV1",
    "Observation",
    "PhotoError",
    "Preprocessing",
    "Pretrained",
    "UserError",
    "WeightsError",
    "intermediates",
    "load",
    "observe",
    "open_photo",
]


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)
