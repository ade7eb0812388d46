"""One node of Ceph with its S3 gateway, all in one folder and on loopback; needs root."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.orchestration.helpers import background, free_port, listens, wait_until

PROGRAMS = ("ceph", "ceph-authtool", "monmaptool", "ceph-mon", "ceph-osd", "radosgw", "radosgw-admin")
ACCESS_KEY, SECRET_KEY = "reid-tests", "a-secret-of-the-tests"
OSD_BYTES = 10 * 2**30
"""Sparse: what is not written takes no room."""


@dataclass(frozen=True)
class Ceph:
    """A running gateway."""

    endpoint: str

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 and DVC read."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def running_ceph(folder: Path) -> Iterator[Ceph]:
    """Starts monitor, storage daemon and gateway with their state in `folder`, and stops them."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)} (Debian: radosgw ceph-mon ceph-osd)")
    if os.geteuid() != 0:
        pytest.skip("Ceph's daemons are started as root only")
    with ExitStack() as daemons:
        node = _Node(folder, daemons)
        node.start_monitor()
        node.start_storage()
        yield Ceph(node.start_gateway())


class _Node:
    """The daemons in the order in which they need each other."""

    def __init__(self, folder: Path, daemons: ExitStack) -> None:
        self._folder, self._daemons = folder, daemons
        self._keyring = folder / "keyring"
        self._monitor = (free_port(), free_port())
        self._gateway = free_port()
        self._cluster = str(uuid.uuid4())
        for name in ("mon", "osd", "rgw", "run"):
            (folder / name).mkdir()
        (folder / "ceph.conf").write_text(self._configuration())

    def start_monitor(self) -> None:
        every = ("--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *")
        self._call("ceph-authtool", "-C", str(self._keyring), "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._call("ceph-authtool", str(self._keyring), "--gen-key", "-n", "client.admin", *every)
        self._call("ceph-authtool", str(self._keyring), "--gen-key", "-n", "client.rgw.a", *every)
        second, first = self._monitor
        address = f"[v2:127.0.0.1:{second},v1:127.0.0.1:{first}]"
        monitors = str(self._folder / "monmap")
        self._call("monmaptool", "--create", "--addv", "a", address, "--fsid", self._cluster, monitors)
        self._ceph_program("ceph-mon", "--mkfs", "-i", "a", "--monmap", monitors, "--keyring", str(self._keyring))
        self._daemon("ceph-mon", "-i", "a", "-f")
        wait_until(lambda: listens(second), what="ceph-mon", log=self._log("ceph-mon"), timeout_s=60)

    def start_storage(self) -> None:
        number = str(uuid.uuid4())
        osd = self._folder / "osd"
        caps = ("mon", "allow profile osd", "osd", "allow *")
        (osd / "keyring").write_text(self._ceph_program("ceph", "auth", "get-or-create", "osd.0", *caps))
        self._ceph_program("ceph", "osd", "new", number)
        self._ceph_program("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", number)
        self._daemon("ceph-osd", "-i", "0", "-f")

    def start_gateway(self) -> str:
        self._daemon("radosgw", "-n", "client.rgw.a", "-f")
        wait_until(lambda: listens(self._gateway), what="radosgw", log=self._log("radosgw"), timeout_s=120)
        keys = ("--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY)
        user = ("user", "create", "--uid", "tests", "--display-name", "tests")
        self._ceph_program("radosgw-admin", "-n", "client.rgw.a", *user, *keys)
        return f"http://127.0.0.1:{self._gateway}"

    def _configuration(self) -> str:
        folder, (second, first) = self._folder, self._monitor
        return f"""[global]
fsid = {self._cluster}
mon_initial_members = a
mon_host = [v2:127.0.0.1:{second},v1:127.0.0.1:{first}]
public_network = 127.0.0.0/8
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = {self._keyring}
run_dir = {folder}/run
admin_socket = {folder}/run/$name.asok
pid_file = {folder}/run/$name.pid
log_file = {folder}/$name.log
mon_cluster_log_file = {folder}/cluster.log
mon_data = {folder}/mon/a
osd_data = {folder}/osd
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
osd_memory_target = 939524096
osd_objectstore = bluestore
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data_avail_crit = 1
[osd.0]
keyring = {folder}/osd/keyring
bluestore_block_size = {OSD_BYTES}
[client.rgw.a]
rgw_data = {folder}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{self._gateway}
"""

    def _daemon(self, program: str, *arguments: str) -> None:
        command = [program, "-c", str(self._folder / "ceph.conf"), *arguments]
        self._daemons.enter_context(background(command, log=self._log(program)))

    def _ceph_program(self, program: str, *arguments: str) -> str:
        return self._call(program, "-c", str(self._folder / "ceph.conf"), *arguments)

    def _call(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}"
        return done.stdout

    def _log(self, program: str) -> Path:
        return self._folder / f"{program}.out"
