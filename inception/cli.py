"""The command line: `python -m inception models | predict | maps | explain | train | evaluate | summary`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError
from .explain import command as explain_command
from .files import make_folder, write_file
from .training import command as training_command

# torch is imported inside the commands: `--help` should not wait for it.
if TYPE_CHECKING:
    from .observation import Observation
    from .weights import Pretrained


SUMMARY_DEFAULTS = ("batchnorm", 1000, 224)  # variant, classes, size


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, 1 where a photo was refused, or 2 where nothing could be done."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of our output (`| head`) has seen enough.
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inception", description="See how InceptionV1 (GoogLeNet) works.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about)
        sub.set_defaults(run=run)
        return sub

    def add_model(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--model", default="tiny-imagenet", help="a name that `models` lists, or the path of a checkpoint"
        )
        sub.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")

    def add_json(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--json", action="store_true", help="one JSON object per line")

    models = command("models", _models, "List the networks, and whether their weights are on this machine.")
    models.add_argument("--model", help="tell more about this one; it is loaded, and fetched if need be")
    models.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    add_json(models)

    predict = command("predict", _predict, "Print the most probable classes of photos.")
    predict.add_argument("photos", nargs="+", metavar="PHOTO", type=Path)
    predict.add_argument("--top", type=_positive, default=5, metavar="K", help="how many classes (default: 5)")
    add_model(predict)
    add_json(predict)

    maps = command("maps", _maps, "Write pictures of what the four branches of a block computed for photos.")
    maps.add_argument("photos", nargs="+", metavar="PHOTO", type=Path)
    maps.add_argument("--block", required=True, help="3a 3b 4a 4b 4c 4d 4e 5a or 5b")
    maps.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the pictures; made if need be")
    maps.add_argument("--view", default="channels", help="channels, mean or photo (default: channels)")
    maps.add_argument("--scale", default="shared", help="shared, branch or channel (default: shared)")
    maps.add_argument("--colours", default="magma", help="magma, viridis, cividis or gray (default: magma)")
    add_model(maps)
    add_json(maps)

    explain = command(
        "explain", _explain, "Tell why the network gave its answer: what each branch of a block adds to it."
    )
    explain.add_argument("photos", nargs="+", metavar="PHOTO", type=Path)
    explain_command.add_options(explain)
    add_model(explain)
    add_json(explain)

    evaluate = command("evaluate", _evaluate, "Measure a network on labelled photos.")
    evaluate.add_argument("model", metavar="WEIGHTS", help="a name that `models` lists, or the path of a checkpoint")
    evaluate.add_argument(
        "--data",
        required=True,
        help="a folder with one folder for each class, parquet files, or a data set on the Hugging Face hub",
    )
    evaluate.add_argument("--split", default="val", help="which part of the data: train or val (default: val)")
    evaluate.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    add_json(evaluate)

    train = command("train", _train, "Train the network on labelled photos.")
    training_command.add_options(train)

    summary = command("summary", _summary, "Print every layer with its output shape and parameters.")
    summary.add_argument("--model", help="of these weights, instead of a network built from the options below")
    summary.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    summary.add_argument(
        "--variant", default=SUMMARY_DEFAULTS[0], help="batchnorm, googlenet or torchvision (default: batchnorm)"
    )
    summary.add_argument(
        "--classes", type=_positive, default=SUMMARY_DEFAULTS[1], help="how many classes (default: 1000)"
    )
    summary.add_argument(
        "--size", type=_positive, default=SUMMARY_DEFAULTS[2], help="side of the photo in pixels (default: 224)"
    )
    add_json(summary)
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


def _models(options: argparse.Namespace) -> int:
    from .anatomy import parameter_count
    from .weights import NAMES, describe

    if options.model:
        pretrained = _pretrained(options)
        told = {
            "model": pretrained.name,
            "variant": pretrained.model.variant.name,
            "classes": len(pretrained.labels),
            "parameters": parameter_count(pretrained.model),
            "input_size": pretrained.input_size,
            "temperature": pretrained.temperature,
            **vars(pretrained.provenance),
        }
        print(json.dumps(told, ensure_ascii=False) if options.json else _aligned(told.items()))
        return 0
    for name in NAMES:
        row = describe(name)
        state = "on this machine" if row["at_hand"] else "fetched at first use"
        print(json.dumps(row) if options.json else f"{name:14} {state:21} {row['source']}")
    return 0


def _predict(options: argparse.Namespace) -> int:
    from .report import answer_report

    pretrained = _pretrained(options)
    return _each_photo(
        options,
        pretrained,
        report=lambda _photo, observation: answer_report(options.model, observation, options.top),
        lines=lambda report: [f"  {100 * row['probability']:5.1f} %  {row['label']}" for row in report["top"]],
    )


def _maps(options: argparse.Namespace) -> int:
    from .pictures import Picture, draw
    from .render import encode
    from .report import maps_report

    picture = Picture(options.block, options.view, options.scale, options.colours)
    pretrained = _pretrained(options)
    make_folder(options.out)
    taken: set[str] = set()

    def write(photo: Path, observation: Observation) -> dict[str, Any]:
        panels = draw(observation, picture)
        stem = _own_stem(photo, taken)
        report = maps_report(options.model, options.block, panels)
        for branch, panel in panels.items():
            suffix = "png" if panel.image.mode == "P" else "jpg"
            file = options.out / f"{stem}-{options.block}-{branch}-{options.view}.{suffix}"
            write_file(file, encode(panel.image))
            report["branches"][branch]["file"] = str(file)
        return report

    def lines(report: dict[str, Any]) -> Iterator[str]:
        for branch, row in report["branches"].items():
            yield (
                f"  {branch:5} {row['channels']:4} channels of {row['height']}x{row['width']}  "
                f"highest {row['highest']:.3g}  mean {row['mean']:.3g}  {row['silent']} silent  {row['file']}"
            )

    return _each_photo(options, pretrained, report=write, lines=lines)


def _explain(options: argparse.Namespace) -> int:
    from .render import encode

    pretrained = _pretrained(options)
    explain_command.check(options, pretrained)
    if options.out:
        make_folder(options.out)
    taken: set[str] = set()

    def explain(photo: Path, observation: Observation) -> dict[str, Any]:
        report, pictures = explain_command.explained(options, pretrained, observation)
        if options.out is None:
            return report
        stem = _own_stem(photo, taken)
        files = {options.out / f"{stem}-{name}.jpg": encode(image) for name, image in pictures.items()}
        told = options.out / f"{stem}-{options.block}-explain.json"
        report["files"] = [str(file) for file in (*files, told)]
        files[told] = json.dumps({"photo": str(photo), **report}, ensure_ascii=False, indent=1).encode()
        for file, data in files.items():
            write_file(file, data)
        return report

    return _each_photo(options, pretrained, report=explain, lines=explain_command.lines)


def _own_stem(photo: Path, taken: set[str]) -> str:
    """What the names of a photo's files begin with.

    Photos of one name from several folders must not overwrite each other's files.
    """
    stem, number = photo.stem, 1
    while stem in taken:
        number += 1
        stem = f"{photo.stem}-{number}"
    taken.add(stem)
    return stem


def _each_photo(
    options: argparse.Namespace,
    pretrained: Pretrained,
    report: Callable[[Path, Observation], dict[str, Any]],
    lines: Callable[[dict[str, Any]], Any],
) -> int:
    """One report per photo; a photo that is refused is told and the others go on."""
    from .errors import PhotoError
    from .observation import observe
    from .photo import open_photo

    refused = 0
    for photo in options.photos:
        try:
            told = {"photo": str(photo), **report(photo, observe(pretrained, open_photo(photo)))}
        except PhotoError as error:
            refused += 1
            print(f"{photo}: {error}", file=sys.stderr)
            if options.json:
                print(
                    json.dumps({"photo": str(photo), "model": options.model, "error": str(error)}, ensure_ascii=False)
                )
            continue
        print(json.dumps(told, ensure_ascii=False) if options.json else "\n".join([str(photo), *lines(told)]))
    return 1 if refused else 0


def _evaluate(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from tqdm import tqdm

    from .data import labelled_photos, located
    from .evaluation import evaluate

    pretrained = _pretrained(options)
    photos = labelled_photos(located(options.data), options.split)
    told = evaluate(pretrained, photos, lambda batches: tqdm(batches, unit="batch", leave=False, disable=None))
    for name in told.skipped:
        print(f"skipped, cannot be read: {name}", file=sys.stderr)
    if options.json:
        print(json.dumps({"model": options.model, **asdict(told)}, ensure_ascii=False))
        return 0
    print(f"{told.images} photos of {len(told.per_class)} classes, {len(told.skipped)} skipped")
    print(f"top-1 {told.top1:.1%}   top-5 {told.top5:.1%}   calibration error {told.ece:.3f}")
    for name, accuracy in sorted(told.per_class.items(), key=lambda row: (-row[1], row[0])):
        print(f"{accuracy:7.1%}  {name}")
    return 0


def _train(options: argparse.Namespace) -> int:
    return training_command.run(options)


def _summary(options: argparse.Namespace) -> int:
    from .anatomy import layer_table
    from .device import choose_device
    from .model import InceptionV1

    choose_device(options.device)
    if options.model and (options.variant, options.classes, options.size) != SUMMARY_DEFAULTS:
        raise UserError(
            "summary", "--variant, --classes and --size describe a new network; leave them out, or leave out --model."
        )
    try:
        model = (
            _pretrained(options).model
            if options.model
            else InceptionV1(
                variant=options.variant, classes=options.classes, input_shape=(3, options.size, options.size)
            )
        )
    except ValueError as error:
        raise UserError("summary", "{why}", why=str(error)) from error
    table = layer_table(model)
    totals = {
        "input_mb": table.input_mb,
        "forward_backward_mb": table.forward_backward_mb,
        "parameters_mb": table.parameters_mb,
        "total_mb": table.total_mb,
    }
    if options.json:
        for row in table.rows:
            print(
                json.dumps(
                    {
                        "index": row.index,
                        "layer": row.kind,
                        "output_shape": row.output_shape,
                        "parameters": row.parameters,
                    }
                )
            )
        print(json.dumps({"layers": len(table.rows), "parameters": table.parameters, **totals}))
        return 0
    print(f"{'':>4} {'layer':16} {'output':>14} {'parameters':>12}")
    for row in table.rows:
        print(f"{row.index:>4} {row.kind:16} {'x'.join(map(str, row.output_shape)):>14} {row.parameters:>12,}")
    print(f"\n{len(table.rows)} layers, {table.parameters:,} parameters")
    for name, megabytes in zip(("input", "forward/backward", "parameters", "together"), totals.values(), strict=True):
        print(f"{name:17} {megabytes:8.2f} MB")
    return 0


def _pretrained(options: argparse.Namespace) -> Pretrained:
    from .device import choose_device
    from .weights import load

    device = choose_device(options.device)
    if device.notice:
        print(device.notice, file=sys.stderr)
    pretrained = load(options.model, device.torch_device)
    if pretrained.provenance.notice:
        print(pretrained.provenance.notice, file=sys.stderr)
    return pretrained


def _aligned(rows: Any) -> str:
    return "\n".join(f"{name:14} {value}" for name, value in rows)
