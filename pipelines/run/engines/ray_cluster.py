"""Joining a Ray cluster, with its token and never without, or starting one on this machine."""

from __future__ import annotations

import os
import socket
import subprocess
from typing import Any

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.run.engines.isolation import (
    HOME,
    child_environment,
    home_needs_naming,
    python_command,
)

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 40.0
_ASK = (
    "from ray._private.services import canonicalize_bootstrap_address as known; from ray._raylet import "
    "GcsClient; GcsClient(address=known(sys.argv[1])).get_all_node_info()"
)


def join(address: str | None, cpus: int | None) -> Any:
    """The module `ray`, connected to the cluster at `address`, or (None) to a new one on this machine of
    `cpus` CPUs, by default all.

    Raises UserError with the cure where that is not possible, and where this process uses Ray already.
    """
    # Ray writes a line about accelerators to every log unless told what it will do in future anyway.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is not None:
        _require_token(address)
        _require_answer(address)
    import ray

    if ray.is_initialized():
        raise UserError("this process already uses Ray; run corpusmill in a process of its own")
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": True}
    if address is None:
        options |= {"include_dashboard": False, "num_cpus": cpus or os.cpu_count()}
    if address is None or not address.startswith("ray://"):  # Ray's client adds no folder of its own
        options["job_config"] = _job_config()
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(child_environment(before))  # what a local Ray and its workers inherit
    try:
        # None would join whatever cluster happens to run on this machine.
        ray.init(address=address or "local", **options)
    except Exception as error:  # of a Ray that is not up after 30 s no other class
        ray.shutdown()  # what has started of a local one
        raise _unreachable(address, f"{type(error).__name__}: {error}") from error
    finally:
        os.environ.pop("PYTHONSAFEPATH", None)
        os.environ.update(before)
    return ray


def _job_config() -> Any:
    """A job whose workers get no folder of the driver's on their `sys.path`.

    Ray adds the driver's working directory and the folder of its script, first of all. The list it adds them
    to is replaced by one that is always new. A folder that only this driver's start made importable is named
    all the same where corpusmill itself lies in it.
    """
    from ray.job_config import JobConfig

    class NoDriverFolders(JobConfig):  # type: ignore[misc]  # Ray has no types
        @property
        def _py_driver_sys_path(self) -> list[str]:
            return [HOME] if home_needs_naming() else []

        @_py_driver_sys_path.setter
        def _py_driver_sys_path(self, value: list[str]) -> None:
            pass

    return NoDriverFolders()


def _require_answer(address: str) -> None:
    """Raise UserError unless a cluster answers at `address` within `ANSWER_SECONDS`.

    Ray itself tries for minutes and may end the process; so a process of its own asks.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
        except (OSError, OverflowError, UnicodeError) as error:
            raise _unreachable(address, f"{error}") from error
        if address.startswith("ray://"):
            return
    try:
        asked = subprocess.run(
            python_command(_ASK, address),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ANSWER_SECONDS,
            check=False,
            env=child_environment(os.environ),
        )
    except subprocess.TimeoutExpired as error:
        raise _unreachable(address, f"no answer within {ANSWER_SECONDS:g} s") from error
    if asked.returncode != 0:
        said = [line for line in asked.stderr.splitlines() if line.strip()]
        raise _unreachable(address, said[-1] if said else f"the enquiry exited with {asked.returncode}")


def _unreachable(address: str | None, why: str) -> UserError:
    if address is None:
        return UserError(
            f"engine: a local Ray does not start: {why.rstrip('.')}; on a machine that is busy or short of "
            "memory it may take longer than Ray waits: end other programs and run the same command again, or "
            "run it with `--set engine.kind=process`, which gives the same bytes"
        )
    return UserError(
        f"engine.address: cannot join Ray at {address}: {why}; check that it runs, that this "
        "machine reaches it, and that RAY_AUTH_TOKEN or ~/.ray/auth_token holds its token"
    )


def _require_token(address: str) -> None:
    """Join clusters with token authentication only: whoever can reach an open one can run code on it.

    Ray finds the token in RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token. Raises UserError where
    authentication was switched off.
    """
    if os.environ.setdefault("RAY_AUTH_MODE", "token") != "token":
        raise UserError(
            f"engine.address: RAY_AUTH_MODE={os.environ['RAY_AUTH_MODE']} would join Ray at {address} "
            "without authentication; unset it and give the cluster's token in RAY_AUTH_TOKEN"
        )
