"""The switch on the command line: this process computes, or replicas behind Ray Serve."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ..service.ray.scale import MAX_CPUS, MAX_GPUS, Scale
from ..service.spaces import on_zero_gpu
from .numbers import real

if TYPE_CHECKING:
    from ..service.backend import Backend


def add_options(parser: ArgumentParser) -> None:
    """`--backend` and what belongs to it."""
    parser.add_argument(
        "--backend",
        default="local",
        choices=["local", "ray"],
        help="who computes: this process, or replicas behind Ray Serve (docs/capacity.md; default: local)",
    )
    ray = parser.add_argument_group("with --backend ray")
    ray.add_argument("--replicas", help="how many: 2 for two, 1-8 for as many as there is work for (default: 1)")
    ray.add_argument(
        "--replica-cpus",
        type=real(0, MAX_CPUS, above=True),
        metavar="N",
        help="cores, and so threads, of each (default: 1)",
    )
    ray.add_argument(
        "--replica-gpus", type=real(0, MAX_GPUS), metavar="N", help="GPUs of each, for instance 0.25 (default: 0)"
    )
    ray.add_argument(
        "--ray-address",
        metavar="ADDRESS",
        help="of a cluster that runs: auto, or HOST:PORT (default: begin Ray on this machine, and end it at the end)",
    )


def scale_of(options: Namespace) -> Scale | None:
    """The replicas that are wanted; nothing if this process is to compute.

    Raises:
        ValueError: if they cannot be, or are wanted without Ray.
    """
    told = (options.replicas, options.replica_cpus, options.replica_gpus, options.ray_address)
    if options.backend == "local":
        if any(value is not None for value in told):
            raise ValueError("--replicas and what belongs to it need --backend ray.")
        return None
    cpus = 1.0 if options.replica_cpus is None else options.replica_cpus
    return Scale.of(options.replicas or "1", cpus, options.replica_gpus or 0.0)


@contextmanager
def chosen(options: Namespace, models: tuple[str, ...], scale: Scale | None) -> Iterator[Backend]:
    """Who computes for the page, for as long as the block lasts.

    Raises:
        ServingError: as `cluster` and `replicas`.
    """
    if scale is None:
        yield _without_replicas(models)
        return

    from ..service.ray.cluster import cluster, replicas

    with cluster(scale.all_cpus, options.ray_address or ""), replicas(models, scale, options.precision) as backend:
        yield backend


def _without_replicas(models: tuple[str, ...]) -> Backend:
    if on_zero_gpu():
        from ..service.zero_gpu import ZeroGpuBackend

        return ZeroGpuBackend(models)
    from ..service.backend import LocalBackend

    return LocalBackend()
