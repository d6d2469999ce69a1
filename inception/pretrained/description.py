"""The description of a checkpoint, with validation of its JSON form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import quoted
from ..runtime import strict_json
from ..runtime.plain_text import plain, plain_value
from ..vision.preprocessing import Preprocessing

MAX_CLASSES = 100_000
MAX_NAME = 200  # characters of a class name
MAX_TEXT = 2000  # characters of any other text
MAX_CHARACTERS = 32 * 2**20  # of the JSON
# Beyond these, probabilities in float32 are all 0 or 1, or all equal.
MIN_TEMPERATURE, MAX_TEMPERATURE = 0.01, 100.0


@dataclass(frozen=True)
class Provenance:
    """Origin and accuracy of weights, in words."""

    source: str
    licence: str
    training_data: str
    accuracy: str
    notice: str = ""  # caveat for users


@dataclass(frozen=True)
class Description:
    """Everything about a checkpoint but its tensors.

    Stored as JSON in a file beside the checkpoint, or under the key `inception` in the metadata of a safetensors file.
    """

    variant: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    provenance: Provenance
    temperature: float = 1.0  # divides the logits before the softmax (calibration)
    preact: bool = False
    use_bias: bool = True
    training: Mapping[str, Any] = field(default_factory=dict)  # recipe, photos, time and evaluation

    def to_json(self) -> str:
        return strict_json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str, default: Description) -> Description:
        """Inverse of `to_json`. `classes` and `preprocessing` are required; other fields default to those of `default`.

        Texts are reduced to one line of bounded length without control characters and direction marks.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, RecursionError: if the JSON is not of this form.
        """
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"it has more than {MAX_CHARACTERS // 2**20} million characters")
        values = strict_json.loads(text)
        if not isinstance(values, dict):
            raise TypeError(f"{quoted(values)} is not a JSON object")
        classes = _classes(values["classes"])
        if default.classes and len(classes) != len(default.classes):
            raise ValueError(f"it names {len(classes)} classes, but the tensors are for {len(default.classes)}")
        texts = _object("provenance", values.get("provenance", {}))
        provenance = {name: plain(str(value), MAX_TEXT) for name, value in texts.items()}
        return cls(
            variant=plain(str(values.get("variant", default.variant)), MAX_NAME),
            classes=classes,
            preprocessing=Preprocessing.from_dict(_object("preprocessing", values["preprocessing"])),
            provenance=strict_json.built(Provenance, {**asdict(UNKNOWN_PROVENANCE), **provenance}),
            temperature=_temperature(values.get("temperature", 1.0)),
            preact=_bool(values, "preact", default.preact),
            use_bias=_bool(values, "use_bias", default.use_bias),
            training=plain_value(_object("training", values.get("training", {})), MAX_TEXT),
        )


UNKNOWN_PROVENANCE = Provenance("a checkpoint of your own", "unknown", "unknown", "unknown")


def _object(name: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{name} is {quoted(value)}; it must be a JSON object")
    return value


def _classes(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError("classes must be a list of names")
    if len(names) > MAX_CLASSES:
        raise ValueError(f"it names {len(names)} classes, at most {MAX_CLASSES} are allowed")
    # Refuses lone surrogates, which JSON can hold but no text can show.
    "".join(names).encode()
    labels = class_labels(names)
    repeated = next((label for label, count in Counter(labels).items() if count > 1), None)
    if repeated is not None:
        raise ValueError(f"it calls several classes {quoted(repeated)}; each needs a name of its own")
    return labels


def class_labels(names: Sequence[str]) -> tuple[str, ...]:
    """Return class names as printable text of bounded length; a name with nothing printable becomes "class N"."""
    return tuple(plain(name, MAX_NAME) or f"class {index}" for index, name in enumerate(names))


def _temperature(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"temperature is {quoted(value)}; it must be a number")
    # NaN fails every comparison.
    if not MIN_TEMPERATURE <= value <= MAX_TEMPERATURE:
        raise ValueError(f"temperature is {quoted(value)}; it must be from {MIN_TEMPERATURE:g} to {MAX_TEMPERATURE:g}")
    return float(value)


def _bool(values: Mapping[str, Any], name: str, default: bool) -> bool:
    value = values.get(name, default)
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {quoted(value)}; it must be true or false")
    return value
