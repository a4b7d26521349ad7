"""Where blocks are upgraded: here one after the other, or on the workers of a Ray cluster."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from gaussian_lens_app.errors import DeviceError, GsrError, JobCancelled, NeedsMissing
from gaussian_lens_app.evaluation.judge import Verdict
from gaussian_lens_app.jobs.report import Report
from gaussian_lens_app.raster import Rasterizer, for_device
from gaussian_lens_app.scene import Patch
from gaussian_lens_app.upgrade.blocks import Block
from gaussian_lens_app.upgrade.line import run_line

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Done:
    """What became of a block."""

    number: int
    patch: Patch | None
    """For the whole scene; None where it could not be made, for the reason in the verdict's sentence."""
    verdict: Verdict
    seconds: float

    @staticmethod
    def not_made(number: int, reason: str) -> Done:
        """A block that stays as it was because of an error."""
        return Done(number, None, Verdict(False, False, None, None, None, reason), 0.0)


class Engine(Protocol):
    """Runs blocks, in any order, and hands back each as it is done."""

    def run(self, blocks: Iterator[Block], rasterizer: Rasterizer, report: Report) -> Iterator[Done]:
        """Raises JobCancelled when `report` does, and NeedsMissing where what a block lacks all of them lack."""
        ...


class Here:
    """One after the other in this process."""

    def run(self, blocks: Iterator[Block], rasterizer: Rasterizer, report: Report) -> Iterator[Done]:
        for block in blocks:
            yield run_block(block, rasterizer, report)


class Ray:
    """On a Ray cluster, which a lost worker costs only its block: that is given to another one."""

    def __init__(self, address: str | None = None, device: str = "auto", threads: int = 1, retries: int = 3):
        """`address`: of a running cluster, or None for one on this machine; `threads` a worker."""
        try:
            import ray  # pyright: ignore[reportMissingImports]  optional
        except ImportError:
            raise NeedsMissing(
                "The engine ray needs the package ray: install it with `pip install 'gaussian_lens_app[cluster]'`, "
                "or leave --engine out."
            ) from None
        self.ray: Any = ray
        self.device, self.threads, self.retries = device, threads, retries
        if not ray.is_initialized():
            self._join(address)

    def _join(self, address: str | None) -> None:
        """Join the cluster, or start one here. DeviceError where the one that was named does not answer."""
        try:
            self.ray.init(address=address, log_to_driver=False, include_dashboard=False)
        except ConnectionError as error:
            named = address or os.environ.get("RAY_ADDRESS", "this machine")
            raise DeviceError(
                f"No Ray cluster answers at {named}: start it with `ray start --head`, unset RAY_ADDRESS to use this "
                "machine alone, or leave --engine out."
            ) from error

    def run(self, blocks: Iterator[Block], rasterizer: Rasterizer, report: Report) -> Iterator[Done]:
        remote = self.ray.remote(num_cpus=self.threads, max_retries=self.retries)(_on_worker)
        slots = max(1, int(self.ray.cluster_resources().get("CPU", 1)) // self.threads)
        working: dict[Any, int] = {}
        try:
            for block in blocks:
                working[remote.remote(block, self.device, self.threads)] = block.number
                if len(working) >= 2 * slots:  # some wait at the workers, few in the cluster's memory
                    yield self._first(working, report)
            while working:
                yield self._first(working, report)
        finally:
            for task in working:
                with contextlib.suppress(Exception):
                    self.ray.cancel(task, force=True)

    def _first(self, working: dict[Any, int], report: Report) -> Done:
        """The next block that is done, taken out of those at work."""
        while True:
            report("Upgrading", 0.0)
            ready, _ = self.ray.wait(list(working), timeout=0.4)
            if ready:
                done = self._got(ready[0], working.pop(ready[0]))
                if isinstance(done, NeedsMissing):
                    raise done
                return done

    def _got(self, task: Any, number: int) -> Done | NeedsMissing:
        """What a worker gave; a block whose workers all died, or whose answer cannot be read, was not made."""
        try:
            return self.ray.get(task)
        except Exception as error:
            return _failed(number, getattr(error, "cause", None) or error)


ENGINES: dict[str, Callable[[], Engine]] = {"here": Here, "ray": Ray}


def run_block(block: Block, rasterizer: Rasterizer, report: Report) -> Done:
    """One block's patch, carried to the whole scene's rows; an error costs this block alone.

    Raises JobCancelled, and NeedsMissing, which no other block would escape.
    """
    try:
        result = run_line(block.request(rasterizer), report)
    except (JobCancelled, NeedsMissing):
        raise
    except Exception as error:  # whatever it is (no memory, a matrix that cannot be inverted), others may be spared
        return _failed(block.number, error)
    return Done(block.number, carried(result.patch, block), result.verdict, sum(result.seconds.values()))


def _failed(number: int, error: BaseException) -> Done:
    """A block that stays as it was, with the error's sentence, or its kind and the first line of what it says."""
    if isinstance(error, GsrError):
        return Done.not_made(number, str(error))
    log.error("block %d was not made", number, exc_info=error)
    line = str(error).strip().partition("\n")[0].rstrip(".")
    return Done.not_made(number, f"{type(error).__name__}: {line}." if line else f"{type(error).__name__}.")


def carried(patch: Patch, block: Block) -> Patch:
    """A patch for the block's rows as one for the whole scene's."""
    rows = block.rows
    parents = torch.where(patch.parents < 0, -1, rows[patch.parents.clamp_min(0).cpu()])
    return Patch(rows[patch.removed.cpu()], patch.added.to("cpu"), parents, None, patch.provenance, patch.kinds)


def _on_worker(block: Block, device: str, threads: int) -> Done | NeedsMissing:
    """What a worker does: as here, with a rasterizer of its own. What ends the run is handed back, to be raised there
    without Ray's account of where it came from."""
    torch.set_num_threads(threads)
    try:
        return run_block(block, for_device(device), lambda stage, fraction: None)
    except NeedsMissing as error:
        return error
    except GsrError as error:  # the device is not there
        return _failed(block.number, error)
