"""`serve`, and `python app.py`: the page, until it is stopped."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from ..runtime.address import HOST, LOCAL, MAX_PORT, PORT, address, port_number
from ..runtime.memory import freeze_garbage_collector, share_freed
from ..runtime.resources import install_command
from ..runtime.threads import configure_threads
from ..service.spaces import on_spaces, on_zero_gpu
from ..web.http.starting import StartingPage
from .backend_options import Name, RayAddress, ReplicaCpus, ReplicaGpus, Replicas, running_backend, scale_of
from .main import load_command, run
from .numbers import real_option, with_default
from .options import MODELS, YEAR_MINUTES, OneDevice, choice_option, text_option

# What needs torch or Gradio is imported inside the functions: `--help` must not import it.
if TYPE_CHECKING:
    from ..service.ray.scale import Scale
    from ..service.service import InferenceService


@dataclass(frozen=True)
class Request:
    """How to serve the page."""

    model: str | None
    host: str | None
    port: int | None
    device: str
    precision: str
    keep_seconds: float
    mcp: bool
    scale: Scale | None
    ray_address: str | None


def _port(text: str) -> int:
    try:
        return port_number(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from error


def serve(
    model: Annotated[
        str | None,
        text_option(
            "--model",
            f"Network to start with: {', '.join(MODELS)}, or the path of your own checkpoint.",
            values=MODELS,
            metavar="MODEL",
            default=f"googlenet if its weights are here, else {MODELS[0]}",
        ),
    ] = None,
    host: Annotated[
        str | None,
        text_option(
            "--host",
            "Address to listen on: 0.0.0.0 for the whole network.",
            metavar="HOST",
            default=f"{HOST}, else {LOCAL}, for this machine",
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            parser=_port,
            metavar="N",
            help=with_default(
                f"Port to listen on: from 1 to {MAX_PORT}.", f"{PORT}, else the first free one from 7860 on"
            ),
        ),
    ] = None,
    device: OneDevice = "auto",
    precision: Annotated[
        str,
        choice_option(
            "--precision",
            ("exact", "fast"),
            "fast answers photos in bfloat16 where that is faster here; explanations stay exact.",
        ),
    ] = "exact",
    keep_minutes: Annotated[
        float,
        real_option(
            "--keep-minutes",
            0,
            YEAR_MINUTES,
            "How long an uploaded photo, and what an idle page shows of it, is kept",
            above=True,
            metavar="M",
        ),
    ] = 60,
    mcp: Annotated[
        bool,
        typer.Option(
            "--mcp",
            help="Also be an MCP server, for assistants and agents, at /gradio_api/mcp/ (needs the package mcp).",
        ),
    ] = False,
    backend: Name = "local",
    replicas: Replicas = None,
    replica_cpus: ReplicaCpus = None,
    replica_gpus: ReplicaGpus = None,
    ray_address: RayAddress = None,
) -> int:
    """Serve the page until SIGINT or SIGTERM; pending requests are answered first.

    Raises:
        UserError: if it cannot be served with these options.
    """
    from ..web.http.logs import clean_output

    scale = scale_of(backend, replicas, replica_cpus, replica_gpus, ray_address)
    # Every Gradio app takes the environment variable; a Space installs `mcp` by itself.
    wants_mcp = mcp or os.environ.get("GRADIO_MCP_SERVER", "").lower() == "true"
    has_mcp = find_spec("mcp") is not None
    if wants_mcp and not has_mcp:
        command = install_command("mcp")
        raise UserError("options", "--mcp needs the package mcp; please run {command} first.", command=command)
    with_mcp = wants_mcp or (on_spaces() and has_mcp)
    with clean_output():
        return _serve(Request(model, host, port, device, precision, keep_minutes * 60, with_mcp, scale, ray_address))


def _serve(request: Request) -> int:
    with closing(StartingPage(address(request.host, request.port))) as starting:
        return _serve_after(starting, request)


def _serve_after(starting: StartingPage, request: Request) -> int:
    """Load everything, then serve the page on the starting page's socket."""
    listen_on = starting.address
    # Importing Gradio fails if this variable is set, but empty or no number, also where --port replaces it.
    os.environ[PORT] = str(listen_on.port)
    # Set before the import, too: neither Gradio nor the hub's client sends telemetry.
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Gradio asks matplotlib for its backend at each event. Without a name, the first time blocks all answers for a
    # second, while matplotlib looks for a display.
    os.environ.setdefault("MPLBACKEND", "agg")
    share_freed()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns about every refused form

    zero_gpu = on_zero_gpu() and request.scale is None
    if zero_gpu:
        import spaces  # noqa: F401 - before torch, which it prepares for a GPU that comes and goes

    from ..runtime.device import compute_in_full_float32
    from ..web.blocks import build, launch_options
    from ..web.http.shutdown import serve as serve_page
    from ..web.http.uploads import cleanup_lifespan, temporary_upload_folder

    compute_in_full_float32()
    service, models = service_for(request, zero_gpu=zero_gpu)
    # The page stops before its back end does.
    with (
        running_backend(models, request.scale, request.ray_address, request.precision) as service.backend,
        temporary_upload_folder() as folder,
    ):
        page, launched = build(service, request.keep_seconds, gradio_cleanup=False), launch_options()
        freeze_garbage_collector()
        launched["app_kwargs"] = {**launched["app_kwargs"], "lifespan": cleanup_lifespan(folder, request.keep_seconds)}
        if request.mcp:
            from ..web.mcp.server import with_tools

            launched = with_tools(launched, page, service.backend.at_once)
        starting.stop()
        finished = serve_page(
            page, starting.listener, **launched, server_name=listen_on.host, server_port=listen_on.port
        )
    if not finished:
        # Threads whose results no client waits for would keep the process alive.
        logging.shutdown()
        os._exit(0)
    return 0


def service_for(request: Request, *, zero_gpu: bool = False) -> tuple[InferenceService, tuple[str, ...]]:
    """Return the service, its first network loaded, and the names or paths of its networks.

    Raises:
        UserError: if the first network cannot be loaded, and is none that can be downloaded later.
    """
    from ..pretrained.zoo import MODEL_NAMES
    from ..runtime.device import choose_device
    from ..service.service import InferenceService

    def service_of(models: tuple[str, ...], *, begins_with_first: bool) -> InferenceService:
        computes_here = not zero_gpu and request.scale is None
        service = InferenceService(
            models, device, precision=request.precision, compiles=computes_here, begins_with_first=begins_with_first
        )
        # Load now and not at the first photo: a wrong path is reported at once.
        service.pretrained(service.models[0])
        return service

    device = choose_device("cpu" if zero_gpu else request.device)
    first = request.model or MODEL_NAMES[0]
    models = (first, *(name for name in MODEL_NAMES if name != first))
    try:
        service = service_of(models, begins_with_first=request.model is not None)
    except UserError as error:
        if first not in MODEL_NAMES[1:]:
            raise
        # Downloads may work later; until then the embedded network serves.
        logging.warning("%s The page begins with %s.", error, MODEL_NAMES[0])
        models = MODEL_NAMES
        service = service_of(models, begins_with_first=True)
    if zero_gpu:
        service.device = replace(device, name="ZeroGPU")
    if request.scale is not None:
        service.device = replace(device, name=f"{'GPU' if request.scale.gpus else 'CPU'}, Ray")
    return service, models


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `serve` as `python app.py`, in a process of its own."""
    configure_threads()
    sys.exit(run(load_command("serve"), "python app.py", arguments))
