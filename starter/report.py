"""`canary report`: the evidence of rollouts, to read, to keep or to send: text, JSON or one HTML page."""

from datetime import UTC, datetime

from temporalio.client import Client

from starter import history, page, record, tables
from starter.errors import Exit
from starter.options import Form


async def print_report(client: Client, request: history.Request, form: Form, *, color: bool) -> int:
    """Print every rollout of a name, or the one that is meant, with every check."""
    wanted = await history.wanted(client, request)
    rollouts = [rollout for _, rollout in wanted]
    match form:
        case Form.TEXT:
            await history.print_whole(wanted, color=color)
        case Form.JSON:
            tables.print_json({"items": [await record.as_data(rollout) for rollout in rollouts]})
        case Form.HTML:
            print(await page.render(str(request.reference), rollouts, datetime.now(UTC)), flush=True)
    return Exit.DONE
