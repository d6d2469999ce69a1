"""Start InceptionLens: `python app.py`, or through Hugging Face Spaces."""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import replace

from inception.cores import settle
from inception.memory import settle_down, share_freed
from inception.serving.options import add_options, chosen, scale_of

# Before gradio is imported: nothing is to be asked of or told to anybody on the network.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
settle()
share_freed()


def positive(text: str) -> float:
    """A number above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number above 0")
    return number


def main(arguments: list[str] | None = None) -> None:
    """Serve the page until SIGINT or SIGTERM; what was asked before is answered, and the exit status is 0."""
    parser = argparse.ArgumentParser(
        description="InceptionLens: see what each branch of an Inception block computes. "
        "Host and port follow GRADIO_SERVER_NAME and GRADIO_SERVER_PORT."
    )
    parser.add_argument(
        "--model",
        default="tiny-imagenet",
        help="network to begin with: tiny-imagenet, googlenet, torchvision, or the path of your own checkpoint",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (default: auto)")
    parser.add_argument(
        "--precision",
        default="exact",
        choices=["exact", "fast"],
        help="fast answers photos in bfloat16 where that is faster here; explanations stay exact (default: exact)",
    )
    parser.add_argument(
        "--keep-minutes",
        type=positive,
        default=60.0,
        metavar="M",
        help="how long a photo that was sent, and what an idle page shows of it, is kept (default: 60)",
    )
    add_options(parser)
    options = parser.parse_args(arguments)
    try:
        scale = scale_of(options)
    except ValueError as error:
        parser.error(str(error))
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")

    from inception.device import choose_device
    from inception.errors import UserError
    from inception.page.build import build, launch_options
    from inception.page.ending import serve
    from inception.page.studio import Studio
    from inception.page.uploads import SESSIONS, own_folder, swept
    from inception.serving.errors import ServingError
    from inception.weights import NAMES

    try:
        device = choose_device(options.device)
    except UserError as error:
        parser.exit(2, f"{error}\n")
    models = (options.model, *(name for name in NAMES if name != options.model))
    try:
        studio = Studio(models, device, precision=options.precision)
        # Now and not at the first photo: a wrong path should be said at once.
        studio.pretrained(studio.models[0])
    except UserError as error:
        if options.model not in NAMES[1:]:
            parser.exit(2, f"{error}\n")
        # Fetched weights may be had later: until then, on with what is here.
        logging.warning("%s The page begins with %s.", error, NAMES[0])
        models = NAMES
        studio = Studio(models, device, precision=options.precision)
    if device.notice:
        logging.warning(device.notice)
    if scale is not None:
        studio.device = replace(device, name=f"{'GPU' if scale.gpus else 'CPU'}, Ray")
    keep = options.keep_minutes * 60
    try:
        # The page ends before what it asks.
        with chosen(options, models, scale) as studio.runner, own_folder() as folder:
            page = build(studio, keep)
            settle_down()
            tidy = {"state_session_capacity": SESSIONS, "app_kwargs": {"lifespan": swept(folder, keep)}}
            finished = serve(page, **launch_options(), **tidy)
    except ServingError as error:
        parser.exit(2, f"{error}\n")
    if not finished:
        # Threads that still compute, for nobody any more, would hold the process.
        logging.shutdown()
        os._exit(0)


if __name__ == "__main__":
    main()
