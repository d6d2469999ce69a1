"""`explain`: options derived from the declared explanations, and the report of one photo."""

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from ..explain.catalogue import EXPLANATIONS
from ..explain.catalogue.branch_votes import branch_votes
from ..explain.registry import ABLATIONS, CLASS_LETTERS, Argument, Explanation, PhotoSubject
from ..runtime.files import as_text, make_folder, write_file
from .explain_text import lines
from .numbers import refused, whole, with_default
from .options import Block, Json, Model, OneDevice, Photos, choice_option, one_of, path_option
from .photos import Report, Stems, each_photo

# What needs torch is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from ..prediction import Prediction
    from ..pretrained.pretrained import PretrainedModel

MAX_INDEX = 9999  # of channels, rows and columns; the network knows which of them exist
_index = whole(0, MAX_INDEX)

Options = dict[str, Any]  # by the names of `_parameters`
# The votes are always part of the report. Their arguments hold for every explanation that takes them.
SHARED = {argument.name for argument in branch_votes.arguments}
OTHERS = tuple(one for one in EXPLANATIONS.values() if one is not branch_votes)


def _class(text: str) -> str:
    if len(text) > CLASS_LETTERS:
        raise refused(text, f"a class's name, of at most {CLASS_LETTERS} characters, or its number")
    return text


def _drawn(*, slow: bool) -> list[str]:
    """Return the options of the explanations that have pictures."""
    return [f"--{one.option}" for one in OTHERS if one.has_maps and one.is_slow is slow]


Target = Annotated[
    str | None,
    typer.Option(
        "--class",
        parser=_class,
        metavar="NAME_OR_NUMBER",
        help=with_default(
            f"The class whose logit is explained, in at most {CLASS_LETTERS} characters.", "the most probable one"
        ),
    ),
]
Ablation = Annotated[
    str,
    choice_option(
        "--off",
        ABLATIONS,
        "Output of a branch that is off: zero, or mean, its mean over training photos, where the weights have it.",
        metavar="ABLATION",
    ),
]
Subsets = Annotated[bool, typer.Option("--subsets", help="The answer for all sixteen sets of branches.")]
Out = Annotated[
    Path | None,
    path_option(
        "--out",
        "DIR",
        f"Folder for the pictures and for the JSON; made if need be. It turns on {' and '.join(_drawn(slow=False))}; "
        f"{' and '.join(_drawn(slow=True))} are drawn if asked for.",
    ),
]


def own_arguments(one: Explanation) -> tuple[Argument, ...]:
    """Return the arguments that an explanation does not share with the votes."""
    return tuple(argument for argument in one.arguments if argument.name not in SHARED)


def _parameters(one: Explanation) -> list[Parameter]:
    """Return the option that asks for an explanation: a flag, or a value for its own arguments.

    Lists have one option each (`--channels 3,17`), single values share one (`--cell 3x3:17:4:5`).
    """
    own = own_arguments(one)
    if not own:
        return [_parameter(one.name, bool, typer.Option(f"--{one.option}", help=one.summary), False)]
    if all(argument.is_list for argument in own):
        return [_parameter(argument.name, Any, _list_option(argument), None) for argument in own]
    metavar = "|".join(own[0].choices) if len(own) == 1 else ":".join(argument.name.upper() for argument in own)
    bounds = f" Numbers from 0 to {MAX_INDEX}." if any(argument.type is int for argument in own) else ""
    option = typer.Option(f"--{one.option}", parser=_values_parser(own), metavar=metavar, help=one.summary + bounds)
    return [_parameter(one.name, Any, option, None)]


def _parameter(name: str, kind: Any, option: Any, default: Any) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, annotation=Annotated[kind, option], default=default)


def _list_option(argument: Argument) -> Any:
    option = f"--{argument.option or argument.name}"
    if get_args(argument.type) != (int,):
        help = f"{argument.sentence[:-1]}: any of {', '.join(argument.choices)}."
        check = one_of(argument.choices)
        return typer.Option(
            option,
            parser=lambda text: tuple(map(check, _names(text))),
            metavar=f"{argument.metavar}[,{argument.metavar}]",
            help=help,
        )
    maximum = argument.max_length or MAX_INDEX

    def parse(text: str) -> tuple[int, ...]:
        try:
            numbers = tuple(map(_index, text.split(",")))
        except typer.BadParameter:
            numbers = ()
        if not 1 <= len(numbers) <= maximum:
            raise refused(text, f"of the form 3,17,42: at most {maximum} numbers, each from 0 to {MAX_INDEX}")
        return numbers

    return typer.Option(
        option, parser=parse, metavar="N[,N]", help=f"{argument.sentence[:-1]}: at most {maximum} numbers."
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


def _values_parser(arguments: tuple[Argument, ...]) -> Callable[[str], Options]:
    """Return a parser of one value for each argument, with colons between them."""
    metavar = ":".join(argument.name.upper() for argument in arguments)
    example = ":".join(str(argument.example or argument.default) for argument in arguments)

    def parse(text: str) -> Options:
        try:
            values = {
                argument.name: _index(value) if argument.type is int else value
                for argument, value in zip(arguments, text.split(":"), strict=True)
            }
        except (ValueError, typer.BadParameter) as error:
            raise refused(
                text, f"of the form {metavar}, for instance {example}, the numbers from 0 to {MAX_INDEX}"
            ) from error
        for argument in arguments:
            if argument.choices:
                one_of(argument.choices)(str(values[argument.name]))
        return values

    return parse


def _signature() -> Signature:
    """Return the parameters of the command, in the order of its help."""

    def parameter(name: str, annotation: Any, default: Any = Parameter.empty) -> Parameter:
        return Parameter(name, Parameter.KEYWORD_ONLY, annotation=annotation, default=default)

    return Signature(
        [
            parameter("photos", Photos),
            parameter("block", Block),
            parameter("class_name", Target, None),
            parameter("off", Ablation, "zero"),
            parameter("subsets", Subsets, False),
            *(parameter for one in OTHERS for parameter in _parameters(one)),
            parameter("out", Out, None),
            parameter("model", Model, "tiny-imagenet"),
            parameter("device", OneDevice, "auto"),
            parameter("json", Json, False),
        ]
    )


def explain(**options: Any) -> int:
    """Explain the answer for each photo: what each branch of a block adds to a class's logit."""
    model, out, block = options["model"], options["out"], options["block"]
    requests = _requests(options)
    stems = Stems()

    def prepare(pretrained: PretrainedModel) -> Callable[[Path, Prediction], Report]:
        for one, arguments in requests.items():
            EXPLANATIONS[one].check(pretrained, **arguments)
        if out is not None:
            make_folder(out)

        def report(photo: Path, prediction: Prediction) -> Report:
            result: Report = {"model": model}
            maps: list[dict[str, np.ndarray]] = []
            for name, arguments in requests.items():
                one = EXPLANATIONS[name]
                explained = one(PhotoSubject(pretrained, prediction), **arguments)
                result |= explained.to_dict() if one is branch_votes else {one.key: explained.to_dict()}
                if one.has_maps and out is not None:
                    maps.append(explained.signed_maps())  # type: ignore[attr-defined]
            if not options["subsets"]:
                del result["subsets"]
            if out is not None:
                pictures = {name: image for group in maps for name, image in _overlays(prediction, group).items()}
                _write(result, pictures, photo, f"{out / stems.take(photo)}", block)
            return result

        return report

    return each_photo(options["photos"], model, options["device"], prepare, json=options["json"], lines=lines)


explain.__signature__ = _signature()  # type: ignore[attr-defined]
explain.__annotations__ = {name: one.annotation for name, one in _signature().parameters.items()}


def _requests(options: Options) -> dict[str, Options]:
    """Return the arguments of each explanation that the options ask for, by its name: the votes first."""
    shared = {
        "block": options["block"],
        "class_name": "" if options["class_name"] is None else options["class_name"],
        "off": options["off"],
    }
    requests = {}
    for one in (branch_votes, *OTHERS):
        lists = {argument.name: options[argument.name] or () for argument in own_arguments(one) if argument.is_list}
        value = options.get(one.name)  # True for a flag, else the values of its arguments
        is_pictured = one.has_maps and not one.is_slow and options["out"] is not None
        if one is branch_votes or value or any(lists.values()) or is_pictured:
            values = {**shared, **lists, **(value if isinstance(value, dict) else {})}
            requests[one.name] = {argument.name: values[argument.name] for argument in one.arguments}
    return requests


def _write(report: Report, pictures: dict[str, Image.Image], photo: Path, stem: str, block: str) -> None:
    """Write the pictures and the report, which then names all files."""
    from ..render.maps import encode
    from ..runtime import strict_json

    files = {Path(f"{stem}-{name}.jpg"): encode(image) for name, image in pictures.items()}
    json_file = Path(f"{stem}-{block}-explain.json")
    report["files"] = [as_text(file) for file in (*files, json_file)]
    files[json_file] = strict_json.dumps({"photo": as_text(photo), **report}, ensure_ascii=False, indent=1).encode()
    for file, data in files.items():
        write_file(file, data)


def _overlays(prediction: Prediction, maps: dict[str, np.ndarray]) -> dict[str, Image.Image]:
    """Return signed maps (H, W) over the photo, all on one scale, so that equal colours are equal values."""
    from ..render.maps import Limits, overlay

    reach = max(float(abs(values).max()) for values in maps.values())
    return {name: overlay(prediction.image, values, Limits(-reach, reach)) for name, values in maps.items()}
