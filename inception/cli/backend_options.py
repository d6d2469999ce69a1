"""Options of `serve` that choose the back end: this process, or replicas behind Ray Serve."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import UserError
from ..service.ray.scale import MAX_CPUS, MAX_GPUS, Scale
from ..service.spaces import on_zero_gpu
from .numbers import real_option, with_default
from .options import choice_option

if TYPE_CHECKING:
    from ..service.backend import Backend

PANEL = "With --backend ray"
Name = Annotated[
    str,
    choice_option(
        "--backend", ("local", "ray"), "What computes: this process, or replicas behind Ray Serve (docs/capacity.md)."
    ),
]
Replicas = Annotated[
    str | None,
    typer.Option(
        "--replicas",
        parser=str,
        metavar="N[-N]",
        help=with_default("How many replicas: 2 for two, 1-8 for as many as the load needs.", "1"),
        rich_help_panel=PANEL,
    ),
]
ReplicaCpus = Annotated[
    float | None,
    real_option(
        "--replica-cpus",
        0,
        MAX_CPUS,
        "Cores, and so threads, of each replica",
        above=True,
        rich_help_panel=PANEL,
        default="1",
    ),
]
ReplicaGpus = Annotated[
    float | None,
    real_option(
        "--replica-gpus",
        0,
        MAX_GPUS,
        "GPUs of each replica, for instance 0.25",
        rich_help_panel=PANEL,
        default="0",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        parser=str,
        metavar="ADDRESS",
        help=with_default(
            "A running cluster: auto, or HOST:PORT.", "start Ray on this machine, and stop it at the end"
        ),
        rich_help_panel=PANEL,
    ),
]


def scale_of(
    name: str, replicas: str | None, cpus: float | None, gpus: float | None, address: str | None
) -> Scale | None:
    """Return the replicas, or None if this process is to compute.

    Raises:
        UserError: if there can be no such replicas, or Ray is not installed.
    """
    if name == "local":
        if any(value is not None for value in (replicas, cpus, gpus, address)):
            raise UserError(
                "options", "--replicas, --replica-cpus, --replica-gpus and --ray-address need --backend ray."
            )
        return None
    try:
        return Scale.of(replicas or "1", 1.0 if cpus is None else cpus, gpus or 0.0)
    except ValueError as error:
        raise UserError("options", "{why}", why=str(error)) from error


@contextmanager
def running_backend(
    models: tuple[str, ...], scale: Scale | None, address: str | None, precision: str
) -> Iterator[Backend]:
    """Run a back end for as long as the block lasts.

    Raises:
        ServingError: as `cluster` and `replicas`.
    """
    if scale is None:
        yield _without_replicas(models)
        return

    from ..service.ray.cluster import cluster, replicas

    with cluster(scale.all_cpus, address or ""), replicas(models, scale, precision) as backend:
        yield backend


def _without_replicas(models: tuple[str, ...]) -> Backend:
    if on_zero_gpu():
        from ..service.zero_gpu import ZeroGpuBackend

        return ZeroGpuBackend(models)
    from ..service.backend import LocalBackend

    return LocalBackend()
