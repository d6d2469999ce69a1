"""Start or join a Ray cluster, deploy replicas on it, and remove what was started."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from ...errors import quoted
from ...pretrained.pretrained import PRECISIONS
from ...pretrained.zoo import MODEL_NAMES
from ...runtime.address import port_number
from ...runtime.resources import install_command
from ...runtime.threads import WAITING, available_cores
from ...runtime.wording import counted
from .errors import ServingError
from .scale import MAX_REPLICA_BATCH, Scale

if TYPE_CHECKING:
    from .backend import RayBackend

NAME = "inception-lens"
PROJECT = Path(__file__).parents[3]
# The parts of this project that replicas on other machines need.
UPLOADED = ("inception", "weights")
# Ray keeps results in shared memory until this process drops them: room for the prediction cache, and for the calls.
STORE_BYTES = 2**29
# No usage statistics leave the machine; idle replicas leave their cores to the others; and threads that call Ray after
# its shutdown, as some of its own do, must not start it again.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0", **WAITING}
# Even without usage statistics Ray queries the cloud's metadata server over HTTP; a proxy that refuses stops it.
PROXY, REFUSING_PROXY = "http_proxy", "http://127.0.0.1:9"
QUIET = {"log_level": "WARNING", "enable_access_log": False}

log = logging.getLogger(__name__)


@contextmanager
def cluster(cpus: int, address: str = "") -> Iterator[None]:
    """Connect to Ray for the length of the `with` block.

    Without an address, start Ray on this machine for replicas with `cpus` cores in total, and stop it at the end. With
    the address of a running cluster ("auto", or HOST:PORT as `ray start` prints it), join it, and leave it as it was.

    Raises:
        ServingError: if Ray is not installed, or no cluster answers at the address.
    """
    ray = _import_ray()
    before = signal.getsignal(signal.SIGTERM)
    try:
        _join(ray, address) if address else _start(ray, cpus)
        # Ray's own handler would stop Ray while calls are in progress.
        _handle_sigterm(_exit)
        yield
    finally:
        ray.shutdown(wait_for_processes=True)
        _handle_sigterm(before)


@contextmanager
def replicas(models: tuple[str, ...], scale: Scale, precision: str = PRECISIONS[0]) -> Iterator[RayBackend]:
    """Deploy replicas of `models` on the `cluster` for the length of the `with` block, and return their `Backend`.

    Raises:
        ServingError: if the cluster is too small for `scale.minimum` replicas, or they cannot start.
    """
    import ray
    from ray import serve

    from .backend import RayBackend

    _check_room(scale, ray.cluster_resources())
    name = f"{NAME}-{uuid4().hex[:8]}"  # unique: other servers may share the cluster
    serve.start(proxy_location="Disabled", logging_config=QUIET)  # no HTTP: calls come through handles
    try:
        application = _application(tuple(map(_absolute, models)), scale, precision)
        try:
            handle = serve.run(application, name=name, route_prefix=None, logging_config=QUIET)
        except RuntimeError as error:
            raise ServingError(
                "cluster_no_replicas",
                "The replicas could not start: {why} Ray's logs, in /tmp/ray/session_latest/logs/serve on their "
                "machine, say more; please fix the cause and try again.",
                why=_failure(name) or str(error),
            ) from error
        backend = RayBackend(handle, scale.at_once)
        try:
            yield backend
        finally:
            backend.close()
    finally:
        serve.delete(name)


def _import_ray() -> Any:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        from ray import serve  # noqa: F401 - Ray can be installed without Serve
    except ImportError as error:
        raise ServingError(
            "cluster_no_ray",
            "Ray Serve is not installed; please run {command}, or choose --backend local.",
            command=install_command("ray"),
        ) from error
    # Its warnings are about busy replicas whose queue length is not known at once.
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    return ray


def _handle_sigterm(handler: Any) -> None:
    if current_thread() is main_thread():
        signal.signal(signal.SIGTERM, handler)


def _exit(number: int, _: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second signal must not interrupt the shutdown
    sys.exit(128 + number)


def _start(ray: Any, cpus: int) -> None:
    if cpus > available_cores():
        log.warning("Replicas of %d cores share the %d of this machine.", cpus, available_cores())
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {"PYTHONPATH": os.pathsep.join(paths), PROXY: os.environ.get(PROXY, "")}
    with _environment(PROXY, REFUSING_PROXY):
        ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,  # its warning says that access needs this user's token
            runtime_env={"env_vars": environment},
        )


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """Set an environment variable for the `with` block, and for the processes started in it."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _join(ray: Any, address: str) -> None:
    names = sorted(path.name for path in PROJECT.iterdir())
    try:
        if address != "auto":
            check_address(address)
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            # Uploaded to each machine once: only the dependencies must be installed there.
            runtime_env={
                "working_dir": str(PROJECT),
                "excludes": [f"/{name}" for name in names if name not in UPLOADED] + ["__pycache__"],
                "env_vars": SETTINGS,
            },
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ServingError(
            "cluster_missing",
            "There is no Ray cluster at {address} ({why}); please start one with: ray start --head, or leave "
            "--ray-address out.",
            address=quoted(address),
            why=(str(error) or type(error).__name__).splitlines()[0],
        ) from error


def check_address(address: str) -> None:
    """Check that something listens at HOST:PORT; Ray itself would retry for ten minutes.

    Raises:
        ValueError: if `address` has another form, or there is no such port.
        OSError: if nothing listens there.
    """
    host, _, port = address.rpartition(":")
    if not host:
        raise ValueError("it is neither auto nor HOST:PORT")
    socket.create_connection((host, port_number(port)), timeout=10).close()


def _check_room(scale: Scale, available: Mapping[str, float]) -> None:
    # Ray would wait for more machines, without a limit.
    required = {"CPU": scale.minimum * scale.cpus, "GPU": scale.minimum * scale.gpus}
    if any(amount > available.get(kind, 0) for kind, amount in required.items()):
        raise ServingError(
            "cluster_small",
            "Ray has {cpus} and {gpus}, which is too little for {replicas} with {required_cpus} and {required_gpus} "
            "together; please ask for fewer or smaller ones, or add machines first.",
            cpus=counted(available.get("CPU", 0), "core"),
            gpus=counted(available.get("GPU", 0), "GPU"),
            replicas=counted(scale.minimum, "replica"),
            required_cpus=counted(required["CPU"], "core"),
            required_gpus=counted(required["GPU"], "GPU"),
        )


def _application(models: tuple[str, ...], scale: Scale, precision: str) -> Any:
    from ray import serve

    from .replica import Replica

    replicas: dict[str, Any] = {"num_replicas": scale.minimum}
    if scale.maximum > scale.minimum:
        replicas = {
            "autoscaling_config": {
                "min_replicas": scale.minimum,
                "initial_replicas": scale.minimum,
                "max_replicas": scale.maximum,
                # Half a batch in progress: a new call finds a pass that ends soon, and batches are still large.
                "target_ongoing_requests": MAX_REPLICA_BATCH / 2,
                # A class of students arrives within a minute.
                "metrics_interval_s": 2,
                "look_back_period_s": 10,
                "upscale_delay_s": 5,
                "downscale_delay_s": 300,
            }
        }
    deployment = serve.deployment(
        Replica,
        name=Replica.__name__,
        ray_actor_options={"num_cpus": scale.cpus, "num_gpus": scale.gpus},
        # One batch that runs and one that waits for it; further calls go to another replica.
        max_ongoing_requests=2 * MAX_REPLICA_BATCH,
        health_check_period_s=5,
        max_constructor_retry_count=3,  # then `serve.run` raises
        **replicas,
    )
    return deployment.bind(models, scale, precision)


def _failure(name: str) -> str:
    """The message at the end of a failed replica's traceback, or an empty text if the application is gone."""
    from ray import serve

    application = serve.status().applications.get(name)
    messages = [deployment.message for deployment in application.deployments.values()] if application else []
    last = "\n".join(messages).strip().rpartition("\n")[2]
    return re.sub(r"^[\w.]+Error: ", "", last)


def _absolute(model: str) -> str:
    """A model's name, or its checkpoint's absolute path: replicas run in another folder."""
    return model if model in MODEL_NAMES else str(Path(model).resolve())
