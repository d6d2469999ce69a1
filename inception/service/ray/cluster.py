"""Ray itself: begun on this machine or joined, replicas put there, and what was begun ended again."""

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
from ...runtime.threads import SPINS, available_cores
from ...runtime.wording import counted
from .errors import ServingError
from .scale import MOST_IN_A_BATCH, Scale

if TYPE_CHECKING:
    from .backend import RayBackend

NAME = "inception-lens"
PROJECT = Path(__file__).parents[3]
# What replicas on other machines need of this project.
CARRIED = ("inception", "weights")
# Ray keeps answers in shared memory until the page has forgotten them: its memory of observations, and as much again.
STORE_BYTES = 2**29
# Nothing is told to anybody on the network, and a replica that waits leaves its core to the others. And whoever still
# asks Ray something when it has been ended, as threads of its own do, is not to begin another one.
SETTINGS = {"RAY_USAGE_STATS_ENABLED": "0", "GOMP_SPINCOUNT": SPINS, "RAY_ENABLE_AUTO_CONNECT": "0"}
# Also when it is to report nothing, Ray asks the machine's cloud which one it is, through this if it is there.
PROXY, NOBODY = "http_proxy", "http://127.0.0.1:9"
QUIET = {"log_level": "WARNING", "enable_access_log": False}

log = logging.getLogger(__name__)


@contextmanager
def cluster(cpus: int, address: str = "") -> Iterator[None]:
    """Ray, for as long as the block lasts.

    Without an address it is begun on this machine, for replicas that take `cpus` cores together, and nothing
    of it is left afterwards. With the address of a cluster that runs ("auto", or HOST:PORT as `ray start`
    prints it) that one is joined, and left as it was.

    Raises:
        ServingError: if Ray is not installed, or the cluster is not there.
    """
    ray = _ray()
    before = signal.getsignal(signal.SIGTERM)
    try:
        _join(ray, address) if address else _begin(ray, cpus)
        # Ray's own handler would end Ray before those who still ask it.
        _at_sigterm(_leave)
        yield
    finally:
        ray.shutdown(wait_for_processes=True)
        _at_sigterm(before)


@contextmanager
def replicas(models: tuple[str, ...], scale: Scale, precision: str = PRECISIONS[0]) -> Iterator[RayBackend]:
    """Replicas in the `cluster` that serve `models`, as a `Runner`, for as long as the block lasts.

    Raises:
        ServingError: if the cluster is too small for the least number of them, or they cannot begin.
    """
    import ray
    from ray import serve

    from .backend import RayBackend

    _fits(scale, ray.cluster_resources())
    name = f"{NAME}-{uuid4().hex[:8]}"  # other pages may have theirs in the same cluster
    serve.start(proxy_location="Disabled", logging_config=QUIET)  # no HTTP: only pages ask
    try:
        application = _application(tuple(map(_as_elsewhere, models)), scale, precision)
        try:
            handle = serve.run(application, name=name, route_prefix=None, logging_config=QUIET)
        except RuntimeError as error:
            raise ServingError(
                "cluster_no_replicas",
                "The replicas could not begin: {why} Ray's logs, in /tmp/ray/session_latest/logs/serve on their "
                "machine, say more; please mend it and try again.",
                why=_last_words(name) or str(error),
            ) from error
        backend = RayBackend(handle, scale.at_once)
        try:
            yield backend
        finally:
            backend.close()
    finally:
        serve.delete(name)


def _ray() -> Any:
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        from ray import serve  # noqa: F401 - an installation without it is none
    except ImportError as error:
        raise ServingError(
            "cluster_no_ray",
            "Ray Serve is not installed; please run pip install -r requirements-ray.txt, or choose --backend local.",
        ) from error
    # As warnings it tells of every replica that is too busy to say at once how busy it is.
    logging.getLogger("ray.serve").setLevel(logging.ERROR)
    return ray


def _at_sigterm(handler: Any) -> None:
    if current_thread() is main_thread():
        signal.signal(signal.SIGTERM, handler)


def _leave(number: int, _: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what follows is to be finished
    sys.exit(128 + number)


def _begin(ray: Any, cpus: int) -> None:
    if cpus > available_cores():
        log.warning("Replicas of %d cores share the %d of this machine.", cpus, available_cores())
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    for_replicas = {"PYTHONPATH": os.pathsep.join(paths), PROXY: os.environ.get(PROXY, "")}
    with _environment(PROXY, NOBODY):
        ray.init(
            address="local",
            num_cpus=cpus,
            object_store_memory=STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,  # as a warning it says that nobody gets in without the token of this user
            runtime_env={"env_vars": for_replicas},
        )


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """A variable of the environment for as long as the block lasts: what begins in it inherits it."""
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
    beside = sorted(path.name for path in PROJECT.iterdir())
    try:
        if address != "auto":
            _answers(address)
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=logging.ERROR,
            # Goes to each machine once: they need Python's packages, not this project.
            runtime_env={
                "working_dir": str(PROJECT),
                "excludes": [f"/{name}" for name in beside if name not in CARRIED] + ["__pycache__"],
                "env_vars": SETTINGS,
            },
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise ServingError(
            "cluster_missing",
            "There is no Ray cluster at {address} ({why}); please start one with: ray start --head, or leave "
            "--ray-address out.",
            address=quoted(address),
            why=str(error).splitlines()[0],
        ) from error


def _answers(address: str) -> None:
    """Whether anybody listens there: Ray itself would try for ten minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ValueError("it is neither auto nor HOST:PORT")
    socket.create_connection((host, int(port)), timeout=10).close()


def _fits(scale: Scale, there: Mapping[str, float]) -> None:
    """Whether the least number of replicas finds room. Ray would wait for more machines, without an end."""
    wanted = {"CPU": scale.least * scale.cpus, "GPU": scale.least * scale.gpus}
    if any(amount > there.get(kind, 0) for kind, amount in wanted.items()):
        raise ServingError(
            "cluster_small",
            "Ray has {cpus} and {gpus}, which is too little for {replicas} with {wanted_cpus} and {wanted_gpus} "
            "together; please ask for fewer or smaller ones, or add machines first.",
            cpus=counted(there.get("CPU", 0), "core"),
            gpus=counted(there.get("GPU", 0), "GPU"),
            replicas=counted(scale.least, "replica"),
            wanted_cpus=counted(wanted["CPU"], "core"),
            wanted_gpus=counted(wanted["GPU"], "GPU"),
        )


def _application(models: tuple[str, ...], scale: Scale, precision: str) -> Any:
    from ray import serve

    from .replica import Replica

    number: dict[str, Any] = {"num_replicas": scale.least}
    if scale.most > scale.least:
        number = {
            "autoscaling_config": {
                "min_replicas": scale.least,
                "initial_replicas": scale.least,
                "max_replicas": scale.most,
                # Half a batch under way: what comes finds a pass that is soon over, and batches are worth while.
                "target_ongoing_requests": MOST_IN_A_BATCH / 2,
                # A class begins within a minute.
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
        # A batch that runs and one that waits for it; who comes then goes to another replica.
        max_ongoing_requests=2 * MOST_IN_A_BATCH,
        health_check_period_s=5,
        max_constructor_retry_count=3,  # then it is said why they do not begin
        **number,
    )
    return deployment.bind(models, scale, precision)


def _last_words(name: str) -> str:
    """What a replica said as it failed: the sentence at the end of its traceback."""
    from ray import serve

    told = [one.message for one in serve.status().applications[name].deployments.values()]
    last = "\n".join(told).strip().rpartition("\n")[2]
    return re.sub(r"^[\w.]+Error: ", "", last)


def _as_elsewhere(model: str) -> str:
    """A path as other processes know it, wherever they run."""
    return model if model in MODEL_NAMES else str(Path(model).resolve())
