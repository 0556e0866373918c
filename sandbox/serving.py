"""HTTP servers of the sandbox: each listens on an address of its own until its runner is cleaned up."""

from aiohttp import web

LOCALHOST = "127.0.0.1"
# What is under way when a server stops has so long to end.
GRACE = 0.5


def runner_of(app: web.Application, grace: float = GRACE) -> web.AppRunner:
    """Return what runs an application."""
    return web.AppRunner(app, access_log=None, shutdown_timeout=grace)


async def listen(runner: web.AppRunner | web.ServerRunner, host: str = LOCALHOST, port: int = 0) -> str:
    """Listen, on a free port if none is said; return the URL."""
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return f"http://{host}:{runner.addresses[0][1]}"
