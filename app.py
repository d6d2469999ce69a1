"""Start InceptionLens: `python app.py`, or through Hugging Face Spaces."""

from __future__ import annotations

import argparse
import logging
import os

# Before gradio is imported: nothing is to be asked of or told to anybody on the network.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")


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
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")

    from inception.device import choose_device
    from inception.errors import UserError
    from inception.page.build import build, launch_options
    from inception.page.studio import Studio
    from inception.weights import NAMES

    try:
        device = choose_device(options.device)
    except UserError as error:
        parser.exit(2, f"{error}\n")
    try:
        studio = Studio((options.model, *(name for name in NAMES if name != options.model)), device)
        # Now and not at the first photo: a wrong path should be said at once.
        studio.pretrained(studio.models[0])
    except UserError as error:
        if options.model not in NAMES[1:]:
            parser.exit(2, f"{error}\n")
        # Fetched weights may be had later: until then, on with what is here.
        logging.warning("%s The page begins with %s.", error, NAMES[0])
        studio = Studio(NAMES, device)
    if device.notice:
        logging.warning(device.notice)
    build(studio).launch(**launch_options())


if __name__ == "__main__":
    main()
