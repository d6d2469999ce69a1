"""The command line: `python -m inception models | predict | maps | explain | train | evaluate | summary | serve`.

Installed as a package, it is called `inception-lens`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import UserError
from ..runtime import strict_json
from ..runtime.files import as_text, is_file, is_folder, make_folder, write_file
from ..runtime.interrupt import LINE, STATUS
from ..runtime.terminal import Parser, discard, err, json_line, out, short_path
from ..runtime.wording import counted
from . import explain as explain_command
from . import serve as app
from . import train as training_command
from .numbers import MAX_CLASSES, MAX_SIDE, MIN_SIDE, refused, whole

# torch is imported inside the commands: `--help` should not wait for it.
if TYPE_CHECKING:
    from torch import Tensor

    from ..network.inception_v1 import InceptionV1
    from ..prediction import Prediction
    from ..pretrained.pretrained import PretrainedModel
    from ..pretrained.rejection import RejectionMeasurement


COMMAND = "inception-lens"
MOST_PHOTOS_AT_ONCE = 1024
MOST_THREADS = 256
MOST_TO_LIMIT = 10**9
MOST_WORDS = 200  # characters of --outside
REFUSALS_SHOWN = 10  # of a folder's photos; the file has all
SUMMARY_DEFAULTS = ("batchnorm", 1000, 224)  # variant, classes, size


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0, 1 where a photo was refused (of a folder, all), 2 where nothing could be done, or 130 after Ctrl+C.
    """
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except UserError as error:
        err(str(error))
        return 2
    except BrokenPipeError:
        # The reader of our output (`| head`) has seen enough.
        discard(sys.stdout)
        return 0
    except KeyboardInterrupt as interrupt:
        line = str(interrupt) or LINE
    # Not within the handler: while the exception lives, so does the progress bar that this would be written beside.
    err(line)
    return STATUS


def _run(options: argparse.Namespace) -> int:
    """The command, and on the CPU what is left of it when the device's memory is full."""
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except RuntimeError as error:
        from ..runtime.device import choose_device, is_out_of_memory, without_memory

        if not is_out_of_memory(error):
            raise
        if run is _train:
            raise UserError(
                "train_memory",
                "The memory of the device is full; please choose a larger --accumulate, a smaller --batch or --device "
                "cpu. With --resume the training goes on from what it saved last.",
            ) from error
        notice = without_memory(choose_device(options.device)).notice
    # Not within the handler: while the error lives, so does what lies in the device's memory.
    err(notice)
    options.device = "cpu"
    return run(options)


def _parser() -> argparse.ArgumentParser:
    installed = Path(sys.argv[0]).stem == COMMAND
    parser = Parser(
        prog=COMMAND if installed else "python -m inception", description="See how InceptionV1 (GoogLeNet) works."
    )
    parser.add_argument("--version", action="version", version=f"{COMMAND} {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], about: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=about, description=about)
        sub.set_defaults(run=run, refused=False)
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

    predict = command(
        "predict", _predict, "Print the most probable classes of photos, or write those of a folder's photos to a file."
    )
    predict.add_argument("photos", nargs="+", metavar="PHOTO", type=Path, help="photos, or one folder of them")
    predict.add_argument(
        "--top", type=whole(1, MAX_CLASSES), default=5, metavar="K", help="how many classes (default: 5)"
    )
    predict.add_argument(
        "--out",
        type=Path,
        metavar="FILE.parquet",
        help="where the answers for a folder go; the same command again goes on where it was interrupted",
    )
    predict.add_argument(
        "--batch",
        type=whole(1, MOST_PHOTOS_AT_ONCE),
        metavar="N",
        help="of a folder's photos, at once (default: 16, on a GPU 64)",
    )
    predict.add_argument(
        "--workers",
        type=whole(1, MOST_THREADS),
        metavar="N",
        help="threads for a folder's photos (default: one for each core)",
    )
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
    evaluate.add_argument(
        "--limit",
        type=whole(1, MOST_TO_LIMIT),
        metavar="N",
        help="look at no more than N photos, taken evenly from all of them",
    )
    evaluate.add_argument(
        "--unknown",
        type=Path,
        metavar="DIR",
        help="photos that are none of the classes: also find below which probability a photo is probably none of them",
    )
    evaluate.add_argument(
        "--keep", action="store_true", help="with --unknown: lay that rule beside the weights, so that it is applied"
    )
    evaluate.add_argument(
        "--outside", type=_words, default="", metavar="WORDS", help="with --unknown: say what those photos are"
    )
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
        "--classes", type=whole(1, MAX_CLASSES), default=SUMMARY_DEFAULTS[1], help="how many classes (default: 1000)"
    )
    summary.add_argument(
        "--size",
        type=whole(MIN_SIDE, MAX_SIDE),
        default=SUMMARY_DEFAULTS[2],
        help="side of the photo in pixels (default: 224)",
    )
    add_json(summary)

    app.add_options(command("serve", app.serve, app.ABOUT))
    return parser


def _words(text: str) -> str:
    if len(text) > MOST_WORDS:
        raise refused(text, f"words of at most {MOST_WORDS} characters")
    return text


def _models(options: argparse.Namespace) -> int:
    from ..network.anatomy import parameter_count
    from ..pretrained.zoo import MODEL_NAMES, describe

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
        out(*([json_line(told)] if options.json else (f"{name:14} {value}" for name, value in told.items())))
        return 0
    for name in MODEL_NAMES:
        row = describe(name)
        state = "on this machine" if row["at_hand"] else "fetched at first use"
        out(json_line(row) if options.json else f"{name:14} {state:21} {row['source']}")
    return 0


def _predict(options: argparse.Namespace) -> int:
    from ..export.report import answer_report

    if options.out or any(is_folder(photo) for photo in options.photos):
        return _predict_folder(options)
    pretrained = _pretrained(options)
    return _each_photo(
        options,
        pretrained,
        report=lambda _photo, prediction: answer_report(options.model, prediction, options.top),
        lines=_answer_lines,
    )


def _answer_lines(report: dict[str, Any]) -> Iterator[str]:
    for row in report["top"]:
        yield f"  {100 * row['probability']:5.1f} %  {row['label']}"
    if report["probably_none"]:
        rule = report["rule"]
        yield (
            f"  probably none of the classes: the evidence is weak (a rule that doubts {rule['caught']:.0%} "
            f"of the photos outside and {rule['doubted']:.0%} of those inside)"
        )


def _predict_folder(options: argparse.Namespace) -> int:
    """Returns 0 even where photos were refused, which the file tells, and 1 only where all were.

    Raises:
        KeyboardInterrupt: with what to do next.
    """
    from ..export.folder import predict_folder, the_folder

    folder = the_folder(options.photos, options.out)
    try:
        told = predict_folder(
            _pretrained(options), folder, options.out, top=options.top, batch=options.batch, workers=options.workers
        )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("Interrupted; the same command goes on from here.") from None
    for name in told.unreadable:
        err(f"skipped, cannot be read: {short_path(name)}")
    for name, error in list(told.refused.items())[:REFUSALS_SHOWN]:
        err(f"{short_path(name)}: {error}")
    if len(told.refused) > REFUSALS_SHOWN:
        err(f"and {len(told.refused) - REFUSALS_SHOWN} more; the column error has them all")
    counts = {"photos": told.photos, "known_before": told.known, "refused": len(told.refused)}
    file = as_text(options.out)
    out(
        json_line({"model": options.model, "file": file, **counts})
        if options.json
        else f"{file}: {counted(told.photos, 'photo')}, {told.known} known before, {len(told.refused)} refused"
    )
    return 1 if len(told.refused) == told.photos else 0


def _maps(options: argparse.Namespace) -> int:
    from ..export.report import maps_report
    from ..render.branches import ViewOptions, render_branches
    from ..render.maps import encode

    picture = ViewOptions(options.block, options.view, options.scale, options.colours)
    pretrained = _pretrained(options)
    make_folder(options.out)
    taken: set[str] = set()

    def write(photo: Path, prediction: Prediction) -> dict[str, Any]:
        panels = render_branches(prediction, picture)
        stem = _own_stem(photo, taken)
        report = maps_report(options.model, options.block, panels)
        for branch, panel in panels.items():
            suffix = "png" if panel.image.mode == "P" else "jpg"
            file = options.out / f"{stem}-{options.block}-{branch}-{options.view}.{suffix}"
            write_file(file, encode(panel.image))
            report["branches"][branch]["file"] = as_text(file)
        return report

    def lines(report: dict[str, Any]) -> Iterator[str]:
        for branch, row in report["branches"].items():
            yield (
                f"  {branch:5} {row['channels']:4} channels of {row['height']}x{row['width']}  "
                f"highest {row['highest']:.3g}  mean {row['mean']:.3g}  {row['silent']} silent  {row['file']}"
            )

    return _each_photo(options, pretrained, report=write, lines=lines)


def _explain(options: argparse.Namespace) -> int:
    from ..render.maps import encode

    pretrained = _pretrained(options)
    explain_command.check(options, pretrained)
    if options.out:
        make_folder(options.out)
    taken: set[str] = set()

    def explain(photo: Path, prediction: Prediction) -> dict[str, Any]:
        report, pictures = explain_command.explained(options, pretrained, prediction)
        if options.out is None:
            return report
        stem = _own_stem(photo, taken)
        files = {options.out / f"{stem}-{name}.jpg": encode(image) for name, image in pictures.items()}
        told = options.out / f"{stem}-{options.block}-explain.json"
        report["files"] = [as_text(file) for file in (*files, told)]
        files[told] = strict_json.dumps({"photo": as_text(photo), **report}, ensure_ascii=False, indent=1).encode()
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
    pretrained: PretrainedModel,
    report: Callable[[Path, Prediction], dict[str, Any]],
    lines: Callable[[dict[str, Any]], Any],
) -> int:
    """One report per photo; a photo that is refused is told and the others go on."""
    from ..errors import PhotoError
    from ..prediction import predict
    from ..vision.photo import open_photo

    while options.photos:
        photo = options.photos[0]
        name = as_text(photo)
        try:
            told = {"photo": name, **report(photo, predict(pretrained, open_photo(photo)))}
        except PhotoError as error:
            options.refused = True
            err(f"{short_path(name)}: {error}")
            if options.json:
                out(json_line({"photo": name, "model": options.model, "error": str(error)}))
        else:
            out(*([json_line(told)] if options.json else [name, *lines(told)]))
        # Should the device be full with a later one, this one is done.
        options.photos = options.photos[1:]
    return 1 if options.refused else 0


def _evaluate(options: argparse.Namespace) -> int:
    from dataclasses import asdict, replace

    from tqdm import tqdm

    from ..training.datasets import labelled_photos, located, unlabelled_photos
    from ..training.evaluation import answers, answers_to_unknown, judged
    from ..training.matching import known_photos

    if options.keep and not options.unknown:
        raise UserError("keep", "--keep keeps what --unknown DIR measures; please name that folder.")
    pretrained = _pretrained(options)
    photos, left_out = known_photos(pretrained, labelled_photos(located(options.data), options.split))
    if options.limit and options.limit < len(photos):
        photos = photos.subset([number * len(photos) // options.limit for number in range(options.limit)])
    outside = unlabelled_photos(options.unknown) if options.unknown else None

    def progress(batches: Iterable[int]) -> Iterable[int]:
        return tqdm(batches, unit="batch", leave=False, disable=None)

    heard = answers(pretrained, photos, progress)
    told = replace(judged(pretrained, photos, heard), left_out=left_out)
    skipped, measured = told.skipped, None
    if outside is not None:
        strange, unreadable = answers_to_unknown(pretrained, outside, progress)
        skipped += unreadable
        measured = _measured(options, pretrained, heard.logits, strange)
    for name in skipped:
        err(f"skipped, cannot be read: {short_path(name)}")
    if left_out.photos:
        err(str(left_out))
    if options.json:
        unknown = {} if measured is None else {"unknown": asdict(measured)}
        out(json_line({"model": options.model, **asdict(told), **unknown}))
        return 0
    classes = counted(len(told.per_class), "class", "classes")
    out(f"{counted(told.images, 'photo')} of {classes}, {len(told.skipped)} skipped")
    out(f"top-1 {told.top1:.1%}   top-5 {told.top5:.1%}   calibration error {told.ece:.3f}")
    for name, accuracy in sorted(told.per_class.items(), key=lambda row: (-row[1], row[0])):
        out(f"{accuracy:7.1%}  {name}")
    if measured is not None:
        out(*_unknown_lines(measured))
    return 0


def _measured(
    options: argparse.Namespace, pretrained: PretrainedModel, inside: Tensor, outside: Tensor
) -> RejectionMeasurement:
    """When to doubt; kept beside the weights if that was asked for."""
    from ..pretrained.checkpoint import rejection_file
    from ..pretrained.rejection import measure_rejection
    from ..pretrained.zoo import EMBEDDED, MODEL_NAMES

    try:
        measured = measure_rejection(inside, outside, pretrained.temperature, options.outside)
    except ValueError as error:
        raise UserError("unknown", "This cannot be measured: {why}.", why=str(error)) from error
    if options.keep:
        path = EMBEDDED if options.model == MODEL_NAMES[0] else Path(options.model)
        if not is_file(path):
            raise UserError("keep", "The weights of {name} lie in no file of yours.", name=options.model)
        write_file(rejection_file(path), measured.rejection.to_json().encode(), durable=True)
    return measured


def _unknown_lines(measured: RejectionMeasurement) -> Iterator[str]:
    rejection = measured.rejection
    yield ""
    below = f"best probability below {rejection.threshold:.3f}"
    yield f"probably none of the classes: {below}, chosen on half of the photos"
    yield f"on the others, {rejection.inside} inside and {rejection.outside} outside:"
    yield f"{'score':12} {'AUROC':>6} {'inside doubted':>15} {'outside caught':>15}"
    for name, score in measured.scores.items():
        yield f"{name:12} {score.auroc:6.3f} {score.doubted:15.1%} {score.caught:15.1%}"


def _train(options: argparse.Namespace) -> int:
    return training_command.run(options)


def _summary(options: argparse.Namespace) -> int:
    from ..network.anatomy import layer_table
    from ..runtime.device import choose_device

    choose_device(options.device)
    if options.model and (options.variant, options.classes, options.size) != SUMMARY_DEFAULTS:
        raise UserError(
            "summary", "--variant, --classes and --size describe a new network; leave them out, or leave out --model."
        )
    try:
        model = (
            _pretrained(options).model if options.model else _planned(options.variant, options.classes, options.size)
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
        out(
            *(
                json_line(
                    {
                        "index": row.index,
                        "layer": row.kind,
                        "output_shape": row.output_shape,
                        "parameters": row.parameters,
                    }
                )
                for row in table.rows
            ),
            json_line({"layers": len(table.rows), "parameters": table.parameters, **totals}),
        )
        return 0
    out(f"{'':>4} {'layer':16} {'output':>14} {'parameters':>12}")
    for row in table.rows:
        out(f"{row.index:>4} {row.kind:16} {'x'.join(map(str, row.output_shape)):>14} {row.parameters:>12,}")
    out("", f"{counted(len(table.rows), 'layer')}, {table.parameters:,} parameters")
    for name, megabytes in zip(("input", "forward/backward", "parameters", "together"), totals.values(), strict=True):
        out(f"{name:17} {megabytes:8.2f} MB")
    return 0


def _planned(variant: str, classes: int, size: int) -> InceptionV1:
    """A network with shapes and no numbers: its size costs no memory."""
    from torch import device

    from ..network.inception_v1 import InceptionV1

    with device("meta"):
        return InceptionV1(variant=variant, classes=classes, input_shape=(3, size, size))


def _pretrained(options: argparse.Namespace) -> PretrainedModel:
    from ..pretrained.zoo import load
    from ..runtime.device import choose_device

    pretrained = load(options.model, choose_device(options.device).torch_device)
    if pretrained.provenance.notice:
        err(pretrained.provenance.notice)
    return pretrained
