"""The page, served until it is stopped: `python app.py`, or `inception-lens serve`."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec

from ..errors import UserError
from ..runtime.address import HOST, LOCAL, MAX_PORT, PORT, address, port_number
from ..runtime.files import one_line
from ..runtime.interrupt import LINE, STATUS
from ..runtime.memory import freeze_garbage_collector, share_freed
from ..runtime.terminal import Parser
from ..runtime.threads import configure_threads
from ..service.spaces import on_spaces, on_zero_gpu
from ..web.http.logs import clean_output
from .backend_options import add_options as add_serving_options
from .backend_options import chosen, scale_of
from .numbers import real

ABOUT = "InceptionLens: see what each branch of an Inception block computes."
positive = real(0, 525_600, above=True)  # minutes; a year at most


def add_options(parser: argparse.ArgumentParser) -> None:
    """What `serve` understands."""
    parser.add_argument(
        "--model",
        default="tiny-imagenet",
        help="network to begin with: tiny-imagenet, googlenet, torchvision, or the path of your own checkpoint",
    )
    parser.add_argument(
        "--host",
        help=f"address to listen at: 0.0.0.0 for the whole network (default: {HOST}, else {LOCAL}, for this machine)",
    )
    parser.add_argument(
        "--port",
        type=port_number,
        metavar="N",
        help=f"port to listen at, 1 to {MAX_PORT} (default: {PORT}, else the first free one from 7860 on)",
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
    parser.add_argument(
        "--mcp",
        action="store_true",
        # Spaces installs what it needs by itself.
        default=on_spaces() and find_spec("mcp") is not None,
        help="also be an MCP server, for assistants and agents, at /gradio_api/mcp/ (needs requirements-mcp.txt)",
    )
    add_serving_options(parser)


def serve(options: argparse.Namespace) -> int:
    """Serve the page until SIGINT or SIGTERM; what was asked before is answered. Returns the exit status, 0.

    Raises:
        UserError: if it cannot begin as `options` have it.
    """
    with clean_output():
        return _serve(options)


def _serve(options: argparse.Namespace) -> int:
    where = address(options.host, options.port)
    # Before gradio is imported, which reads them then, and tries out no address of IPv6.
    os.environ[HOST] = LOCAL if ":" in where.host else where.host
    if where.port is not None:
        os.environ[PORT] = str(where.port)
    # Likewise: nothing is to be asked of or told to anybody on the network.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Gradio asks matplotlib at each event for its backend. Where none was named, the first time takes a second, in
    # which nobody is answered: windows are looked for.
    os.environ.setdefault("MPLBACKEND", "agg")
    share_freed()
    try:
        scale = scale_of(options)
    except ValueError as error:
        raise UserError("options", "{why}", why=str(error)) from error
    # As in every Gradio app, the environment can ask for it too.
    mcp = options.mcp or os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true"
    if mcp and find_spec("mcp") is None:
        raise UserError("options", "--mcp needs the package mcp; please run pip install -r requirements-mcp.txt first.")
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of every form that is refused

    lent = on_zero_gpu() and scale is None
    if lent:
        import spaces  # noqa: F401 - before torch, which it makes ready for a GPU that comes and goes

    from ..pretrained.zoo import MODEL_NAMES
    from ..runtime.device import choose_device
    from ..service.service import InferenceService
    from ..web.blocks import build, launch_options
    from ..web.http.shutdown import serve as serve_page
    from ..web.http.uploads import cleanup_lifespan, temporary_upload_folder

    device = choose_device("cpu" if lent else options.device)
    models = (options.model, *(name for name in MODEL_NAMES if name != options.model))
    try:
        service = InferenceService(models, device, precision=options.precision)
        # Now and not at the first photo: a wrong path should be said at once.
        service.pretrained(service.models[0])
    except UserError as error:
        if options.model not in MODEL_NAMES[1:]:
            raise
        # Fetched weights may be had later: until then, on with what is here.
        logging.warning("%s The page begins with %s.", error, MODEL_NAMES[0])
        models = MODEL_NAMES
        service = InferenceService(models, device, precision=options.precision)
    if lent:
        service.device = replace(device, name="ZeroGPU")
    if scale is not None:
        service.device = replace(device, name=f"{'GPU' if scale.gpus else 'CPU'}, Ray")
    keep = options.keep_minutes * 60
    # The page ends before what it asks.
    with chosen(options, models, scale) as service.backend, temporary_upload_folder() as folder:
        page, launched = build(service, keep, gradio_cleanup=False), launch_options()
        freeze_garbage_collector()
        launched["app_kwargs"] = {**launched["app_kwargs"], "lifespan": cleanup_lifespan(folder, keep)}
        if mcp:
            from ..web.mcp.server import with_tools

            launched = with_tools(launched, page, service.backend.at_once)
        finished = serve_page(page, **launched, server_name=where.host, server_port=where.port)
    if not finished:
        # Threads that still compute, for nobody any more, would hold the process.
        logging.shutdown()
        os._exit(0)
    return 0


def main(arguments: Sequence[str] | None = None) -> None:
    """What `python app.py` runs, in a process of its own."""
    configure_threads()
    parser = Parser(description=ABOUT)
    add_options(parser)
    try:
        serve(parser.parse_args(arguments))
    except UserError as error:
        parser.exit(2, f"{one_line(str(error))}\n")
    except KeyboardInterrupt:
        parser.exit(STATUS, f"{LINE}\n")
