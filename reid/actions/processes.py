"""Several processes for one action: started here or by `torchrun`, joined to one group, and ended together.

The further processes run the same action by the command line, whatever program called it: a notebook and a test have
no command line that could be run once more. They are told who they are by the variables that `torchrun` sets, so that
Lightning and the rest of this package need not know which of the two started them.
"""

from __future__ import annotations

import datetime
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed
from torch._C._distributed_c10d import TCPStore
from torch.distributed.rendezvous import rendezvous

from reid.actions.peers import Peer, PeerLost, Watch, await_end, failure_of
from reid.devices import Hardware
from reid.distributed import launched
from reid.errors import ReidError, SpecError
from reid.spec.experiment import ExperimentSpec
from reid.spec.load import KEY_VARIABLE, dump_spec

log = logging.getLogger(__name__)

_PATIENCE = datetime.timedelta(days=1)
"""How long processes wait for one another: the main one may rank a large gallery meanwhile. Death is
noticed by `Watch` in the main process, by the kernel for the others, and by `torchrun` where that started them."""

_GRACE_S = 2.0
"""How long the others may take to end after this one failed: the reason for it is often theirs."""

_END_S = 60.0
"""How long the others may take to leave when the work is done."""


@contextmanager
def processes(action: str, spec: ExperimentSpec, hardware: Hardware) -> Iterator[None]:
    """Inside the block this process belongs to the group of all that share the action; alone it belongs to none.

    Where `torchrun` started this process, it joins the others. Else the main process starts them here: they run
    `reid <action>` on `spec` and come to the same block.

    Args:
        action: the verb.
        spec: with all filled in that the others shall not find out by themselves.
        hardware: how many processes.

    Raises:
        SpecError: several machines are asked for, and `torchrun` did not start this process.
        ReidError: another process failed; with its last words.
    """
    if torch.distributed.is_initialized():
        yield
    elif launched() is not None:
        with _group(hardware.device, []):
            yield
    elif hardware.num_nodes > 1:
        raise SpecError(
            f"{action}.num_nodes is {hardware.num_nodes}, and this process was started by itself",
            "each machine must be told where the others are",
            f"run on each machine: torchrun --nnodes {hardware.num_nodes} --nproc-per-node {hardware.processes} "
            f"--rdzv-backend c10d --rdzv-endpoint HOST:PORT -m reid.cli {action} -e SPEC",
        )
    elif hardware.processes > 1:
        with _started(action, spec, hardware):
            yield
    else:
        yield


@contextmanager
def _started(action: str, spec: ExperimentSpec, hardware: Hardware) -> Iterator[None]:
    count, threads = hardware.processes, torch.get_num_threads()
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    shared = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "GROUP_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_RUN_ID": f"reid-{os.getpid()}",
        "TORCHELASTIC_RESTART_COUNT": "0",
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    if not spec.cpu_threads and "OMP_NUM_THREADS" not in os.environ:  # processes share the cores
        shared["OMP_NUM_THREADS"] = str(max(len(os.sched_getaffinity(0)) // count, 1))
        torch.set_num_threads(int(shared["OMP_NUM_THREADS"]))
    if spec.encryption_key:
        shared[KEY_VARIABLE] = spec.encryption_key
    with tempfile.TemporaryDirectory(prefix="reid-processes-") as folder:
        file = Path(folder) / "experiment.yaml"
        file.write_text(dump_spec(spec), encoding="utf-8")
        peers: list[Peer] = []
        watch = Watch(peers, hardware.device)
        try:
            peers += (Peer(rank, action, file, shared) for rank in range(1, count))
            log.info("%s runs in %d processes", action, count)
            with _variables({"RANK": "0", "LOCAL_RANK": "0", **shared}), _group(hardware.device, peers), watch:
                yield
            await_end(peers, _END_S)
        except ReidError:
            raise
        except (Exception, PeerLost) as error:  # a lost connection mostly, and the reason for it is the other's
            watch.leave()
            if watch.failure is None:
                await_end(peers, _GRACE_S)
            if (failure := watch.failure or failure_of(peers)) is None:
                raise
            raise failure from error
        finally:
            watch.leave()
            for peer in peers:
                peer.stop()
            torch.set_num_threads(threads)


@contextmanager
def _group(device: torch.device, peers: Sequence[Peer]) -> Iterator[None]:
    """Joins the group that the environment variables describe, watching those of `peers` that never come."""
    store, rank, count = next(iter(rendezvous("env://", timeout=_PATIENCE)))
    store.add("joined", 1)
    while peers and store.add("joined", 0) < count:
        if (failure := failure_of(peers)) is not None:
            raise failure
        time.sleep(0.05)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=_PATIENCE)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    """These environment variables inside the block, those before it afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
