"""A real control plane, from the programs that envtest uses too."""

import asyncio
import contextlib
import os
import secrets
import shutil
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import aiohttp

from sandbox import children
from sandbox.front import Front, Upstream
from sandbox.occupancy import free_ports

LOCALHOST = "127.0.0.1"
ETCD, API_SERVER, CONTROLLERS = "etcd", "kube-apiserver", "kube-controller-manager"
READY_WITHIN = 120.0
# Those that ours stand in for, and quotas: others would want certificates, clouds or a heartbeat of the node.
STARTED = (
    *("deployment-controller", "replicaset-controller", "daemonset-controller", "statefulset-controller"),
    *("endpoints-controller", "endpointslice-controller", "endpointslice-mirroring-controller"),
    *("horizontal-pod-autoscaler-controller", "garbage-collector-controller", "namespace-controller"),
    *("disruption-controller", "job-controller", "resourcequota-controller"),
)


class Files:
    """Where a control plane keeps what it needs, and by which URLs it is reached."""

    def __init__(self, directory: Path, etcd_port: int, api_port: int) -> None:
        self.etcd = f"http://{LOCALHOST}:{etcd_port}"
        self.api = f"https://{LOCALHOST}:{api_port}"
        self.api_port = api_port
        self.directory = directory
        self.key = directory / "service-accounts.key"
        self.tokens = directory / "tokens.csv"
        self.certificate = directory / "certificates/apiserver.crt"  # the API server makes it for itself
        self.kubeconfig = directory / "kubeconfig"  # of the controllers


def etcd_command(program: Path, files: Files) -> list[str]:
    """Give the command line of etcd, which may lose everything with its machine."""
    return [
        str(program),
        f"--data-dir={files.directory / 'etcd'}",
        f"--listen-client-urls={files.etcd}",
        f"--advertise-client-urls={files.etcd}",
        f"--listen-peer-urls=http://{LOCALHOST}:0",
        "--unsafe-no-fsync=true",
        "--log-level=warn",
    ]


def api_server_command(program: Path, files: Files) -> list[str]:
    """Give the command line of kube-apiserver: whoever has the token may do everything."""
    return [
        str(program),
        f"--etcd-servers={files.etcd}",
        f"--bind-address={LOCALHOST}",
        f"--advertise-address={LOCALHOST}",
        f"--secure-port={files.api_port}",
        f"--cert-dir={files.certificate.parent}",
        "--endpoint-reconciler-type=none",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--allow-privileged=true",
        "--authorization-mode=AlwaysAllow",
        f"--token-auth-file={files.tokens}",
        # Nobody takes the taint of a new node away: that controller is not started.
        "--disable-admission-plugins=ServiceAccount,TaintNodesByCondition",
        f"--service-account-issuer={files.api}",
        f"--service-account-key-file={files.key}",
        f"--service-account-signing-key-file={files.key}",
    ]


def controllers_command(program: Path, files: Files) -> list[str]:
    """Give the command line of kube-controller-manager."""
    return [
        str(program),
        f"--kubeconfig={files.kubeconfig}",
        f"--controllers={','.join(STARTED)}",
        "--leader-elect=false",
        "--secure-port=0",
        f"--service-account-private-key-file={files.key}",
        "--concurrent-deployment-syncs=5",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
    ]


class RealControlPlane:
    """Those programs running, and a plain address in front of them; made by `start`."""

    def __init__(self, *, has_controllers: bool) -> None:
        self.url = ""
        self.has_controllers = has_controllers
        self._children: list[asyncio.subprocess.Process] = []
        self._running = contextlib.AsyncExitStack()

    @classmethod
    async def start(cls, assets: Path, directory: Path) -> Self:
        """Start the programs in the folder `assets`, with their files in `directory`."""
        programs = {name: assets / name for name in (ETCD, API_SERVER, CONTROLLERS)}
        missing = [name for name in (ETCD, API_SERVER) if not os.access(programs[name], os.X_OK)]
        if missing:
            raise LookupError(f"{assets} has no {' and no '.join(missing)}; KUBEBUILDER_ASSETS names it.")
        plane = cls(has_controllers=os.access(programs[CONTROLLERS], os.X_OK))
        files = Files(directory / "control-plane", *free_ports(0, 0))
        try:
            await plane._start(programs, files)
        except BaseException:
            await plane.stop()
            raise
        return plane

    def link(self) -> None:
        """Give no shorter way than HTTP: the programs are processes of their own."""

    async def wait(self) -> None:
        """Return when one of the programs has ended."""
        ends = [asyncio.create_task(one.wait()) for one in self._children]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for end in ends:
                end.cancel()

    async def stop(self) -> None:
        """End the front and the programs, the last started first."""
        await self._running.aclose()

    async def _start(self, programs: Mapping[str, Path], files: Files) -> None:
        token = await _prepare(files)
        await self._run(etcd_command(programs[ETCD], files), files)
        server = await self._run(api_server_command(programs[API_SERVER], files), files)
        log = files.directory / f"{API_SERVER}.log"
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            tls = await children.ready(server, lambda: _trusted(session, files), log, READY_WITHIN)
        front = await Front.start(Upstream(files.api, tls, token))
        self._running.push_async_callback(front.stop)
        self.url = front.url
        if self.has_controllers:
            await self._run(controllers_command(programs[CONTROLLERS], files), files)

    async def _run(self, command: list[str], files: Files) -> asyncio.subprocess.Process:
        child = await children.start(*command, log=files.directory / f"{Path(command[0]).name}.log")
        self._running.push_async_callback(children.stop, child)
        self._children.append(child)
        return child


async def _prepare(files: Files) -> str:
    """Write the files, and give the token that lets its bearer in; what another run left goes."""
    await asyncio.to_thread(shutil.rmtree, files.directory, ignore_errors=True)
    files.directory.mkdir(parents=True)
    key = await children.start(
        *("openssl", "genrsa", "-out", str(files.key), "2048"), log=files.directory / "openssl.log"
    )
    if await key.wait():
        raise LookupError(f"openssl made no key; see {files.directory}/openssl.log.")
    token = secrets.token_hex(16)
    files.tokens.write_text(f'{token},sandbox,sandbox,"system:masters"\n')
    files.kubeconfig.write_text(
        f"""apiVersion: v1
kind: Config
current-context: sandbox
clusters: [{{name: sandbox, cluster: {{server: {files.api}, certificate-authority: {files.certificate}}}}}]
contexts: [{{name: sandbox, context: {{cluster: sandbox, user: sandbox}}}}]
users: [{{name: sandbox, user: {{token: {token}}}}}]
"""
    )
    return token


async def _trusted(session: aiohttp.ClientSession, files: Files) -> ssl.SSLContext | None:
    """Return what trusts the API server's certificate, once it is there and the server says it is ready."""
    tls = ssl.create_default_context(cafile=str(files.certificate))
    async with session.get(f"{files.api}/readyz", ssl=tls) as answer:
        return tls if answer.ok else None
