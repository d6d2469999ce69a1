"""What must be known of a network beside its tensors; in JSON, and nothing of it believed unchecked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..errors import quoted
from ..runtime import strict_json
from ..runtime.plain_text import plain, plain_value
from ..vision.preprocessing import Preprocessing

MAX_CLASSES = 100_000  # more than any data set of photos has
MAX_NAME = 200  # characters of a class's name
MAX_TEXT = 2000  # characters of any other text
MAX_CHARACTERS = 32 * 2**20  # of the JSON
# Beyond these, every answer is sure or every class equally probable, as far as float32 can tell.
LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.01, 100.0


@dataclass(frozen=True)
class Provenance:
    """Where weights come from and what may be expected of them, in words."""

    source: str
    licence: str
    training_data: str
    accuracy: str
    notice: str = ""  # what a user should know before trusting them


@dataclass(frozen=True)
class Description:
    """What must be known beside the tensors. It is the JSON beside a checkpoint, or the value of
    `inception` in the metadata of a safetensors file."""

    variant: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    provenance: Provenance
    temperature: float = 1.0  # logits are divided by it before the softmax, to calibrate them
    preact: bool = False
    use_bias: bool = True
    training: Mapping[str, Any] = field(default_factory=dict)  # how they came about: recipe, photos, time, figures

    def to_json(self) -> str:
        return strict_json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @classmethod
    def from_json(cls, text: str, guessed: Description) -> Description:
        """The inverse of `to_json`. Only `classes` and `preprocessing` must be there; the rest is as `guessed`.

        Its texts come out in one line each, without control characters and direction marks, and not too long.

        Raises:
            ValueError, TypeError, KeyError, AttributeError, RecursionError: if the JSON is not of this form.
        """
        if len(text) > MAX_CHARACTERS:
            raise ValueError(f"it has more than {MAX_CHARACTERS // 2**20} million characters")
        values = strict_json.loads(text)
        if not isinstance(values, dict):
            raise TypeError(f"{quoted(values)} is no JSON object")
        classes = _classes(values["classes"])
        if guessed.classes and len(classes) != len(guessed.classes):
            raise ValueError(f"it names {len(classes)} classes, the tensors are for {len(guessed.classes)}")
        told = {name: plain(str(value), MAX_TEXT) for name, value in values.get("provenance", {}).items()}
        return cls(
            variant=plain(str(values.get("variant", guessed.variant)), MAX_NAME),
            classes=classes,
            preprocessing=Preprocessing.from_dict(values["preprocessing"]),
            provenance=strict_json.built(Provenance, {**asdict(UNKNOWN_PROVENANCE), **told}),
            temperature=_temperature(values.get("temperature", 1.0)),
            preact=_truth(values, "preact", guessed.preact),
            use_bias=_truth(values, "use_bias", guessed.use_bias),
            training=plain_value(dict(values.get("training", {})), MAX_TEXT),
        )


UNKNOWN_PROVENANCE = Provenance("a checkpoint of your own", "unknown", "unknown", "unknown")


def _classes(told: object) -> tuple[str, ...]:
    if not isinstance(told, list) or not told or not all(isinstance(name, str) for name in told):
        raise ValueError("classes must be a list of names")
    if len(told) > MAX_CLASSES:
        raise ValueError(f"it names {len(told)} classes, at most {MAX_CLASSES} are allowed")
    # Half a character, which JSON can hold, could not be shown.
    "".join(told).encode()
    return class_labels(told)


def class_labels(names: Sequence[str]) -> tuple[str, ...]:
    """Names of classes as they can be shown anywhere; a number where nothing of one is left."""
    return tuple(plain(name, MAX_NAME) or f"class {index}" for index, name in enumerate(names))


def _temperature(told: object) -> float:
    # Not a number fails every comparison, and integers of any length can be compared.
    if isinstance(told, bool | str) or not isinstance(told, int | float):
        raise ValueError(f"temperature is {quoted(told)}; it must be a number")
    if not LEAST_TEMPERATURE <= told <= MOST_TEMPERATURE:
        raise ValueError(
            f"temperature is {quoted(told)}; it must be from {LEAST_TEMPERATURE:g} to {MOST_TEMPERATURE:g}"
        )
    return float(told)


def _truth(values: Mapping[str, Any], name: str, otherwise: bool) -> bool:
    told = values.get(name, otherwise)
    if not isinstance(told, bool):
        raise ValueError(f"{name} is {quoted(told)}; it must be true or false")
    return told
