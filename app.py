"""Start InceptionLens: `python app.py`, or through Hugging Face Spaces."""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import replace

from inception.cores import settle
from inception.memory import share_freed
from inception.serving.options import add_options, chosen, scale_of

# Before gradio is imported: nothing is to be asked of or told to anybody on the network.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
settle()
share_freed()


def main(arguments: list[str] | None = None) -> None:
    """Serve the page until it is stopped."""
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
    from inception.page.studio import Studio
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
    try:
        with chosen(options, models, scale) as studio.runner:
            page = build(studio)
            try:
                page.launch(**launch_options())
            finally:
                page.close(verbose=False)  # before what it asks
    except ServingError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
