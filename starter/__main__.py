"""The command line's table of contents: each command names its options and hands over to its module.

Modules behind the commands are imported when a command runs, so that `canary --help` answers at once.
"""

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from starter.errors import Exit, StarterError, UsageError
from starter.options import (
    AnywhereGroup,
    As,
    Cluster,
    DocumentsCluster,
    Files,
    Form,
    Globals,
    Name,
    Namespace,
    Output,
    OutputOption,
    Reason,
    Reports,
    Run,
    Timeout,
    print_version,
)
from starter.verbs import add_verbs

app = typer.Typer(
    cls=AnywhereGroup,
    name="canary",
    help="Progressive delivery in which every rollout is a durable workflow.",
    epilog="Exit codes: 0 done, 1 the rollout failed or was refused, 2 usage or invalid document, "
    "3 Temporal, a worker or a cluster does not answer, 124 --timeout passed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(
    context: typer.Context,
    *,
    sandbox: Annotated[
        Path | None,
        typer.Option("--sandbox", envvar="CANARY_SANDBOX", help="Use the sandbox that runs in this folder."),
    ] = None,
    no_color: Annotated[bool, typer.Option("--no-color", help="Print without colours.")] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=print_version, help="Print the version.")
    ] = False,
) -> None:
    """Progressive delivery in which every rollout is a durable workflow."""
    del version
    context.obj = Globals(sandbox=sandbox, color=not no_color)


@app.command()
def lint(
    files: Files,
    cluster: DocumentsCluster = None,
) -> None:
    """Name every mistake in documents, without asking anyone."""
    from starter import documents

    findings = documents.lint(files, cluster)
    for finding in findings:
        print(finding)
    if any(not finding.is_warning for finding in findings):
        raise typer.Exit(Exit.USAGE)


@app.command("apply")
def apply_documents(  # noqa: PLR0913 — the command's own options
    context: typer.Context,
    files: Files,
    *,
    cluster: DocumentsCluster = None,
    is_waiting: Annotated[bool, typer.Option("--wait", help="Until nothing runs any more.")] = False,
    timeout: Timeout = None,
    who: As = None,
) -> None:
    """Check documents and hand them to the engine."""
    from starter import apply, commands, connection, documents, durations

    limit = durations.patience(timeout, "--wait", is_waiting=is_waiting)
    loaded = documents.load(files, cluster)
    apply.report(loaded.findings)
    if not apply.is_valid(loaded) or not apply.is_something(loaded):
        raise typer.Exit(Exit.USAGE)
    patience = apply.Patience(is_waiting=is_waiting, limit=limit)
    command = commands.command(who, "apply")
    color = context.ensure_object(Globals).color
    connection.run(context, lambda client: apply.apply(client, loaded, command, patience, color=color))


@app.command("get", short_help="List objects, or show one with all that belongs to it.")
def get_objects(  # noqa: PLR0913 — the command's own options
    context: typer.Context,
    *,
    what: Annotated[list[str] | None, typer.Argument(metavar="[KIND] [NAME]", show_default=False)] = None,
    namespace: Namespace = "default",
    cluster: Cluster = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="In every namespace.")] = False,
    is_watching: Annotated[bool, typer.Option("--watch", "-w", help="Print changes as they come.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """List canaries, rollouts or applications, or show one with all that belongs to it."""
    from starter import connection, get
    from starter.listing import Scope

    color = context.ensure_object(Globals).color
    wanted = get.wanted(what or [], Scope(None if everywhere else namespace, cluster), output)
    show = get.watch if is_watching else get.show
    connection.run(context, lambda client: show(client, wanted, color=color))


@app.command("status", short_help="Say how a canary stands, also by the exit code.")
def show_status(  # noqa: PLR0913 — the command's own options
    context: typer.Context,
    name: Name,
    *,
    namespace: Namespace = "default",
    cluster: Cluster = None,
    is_watching: Annotated[bool, typer.Option("--watch", "-w", help="Until nothing runs any more.")] = False,
    timeout: Timeout = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Say how a canary stands; the exit code is 1 where its last rollout failed."""
    from starter import connection, durations, names, status

    reference = names.Reference(name, namespace, cluster)
    limit = durations.patience(timeout, "--watch", is_waiting=is_watching)
    color = context.ensure_object(Globals).color
    if not is_watching:
        connection.run(context, lambda client: status.print_status(client, reference, output, color=color))
    elif output in (Output.JSON, Output.YAML):
        raise UsageError(f"-w prints tables, not {output}.")
    else:
        connection.run(context, lambda client: status.watch_status(client, reference, limit, color=color))


add_verbs(app)


@app.command(short_help="List every rollout of a canary, and its checks.")
def history(  # noqa: PLR0913 — the command's own options
    context: typer.Context,
    name: Name,
    *,
    namespace: Namespace = "default",
    cluster: Cluster = None,
    run: Run = None,
    reports: Reports = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List every rollout of a canary, and with -o wide every check: query, value, bound, verdict."""
    from starter import connection, history, names

    reference = names.Reference(name, namespace, cluster)
    settings = context.ensure_object(Globals)
    request = history.Request(reference, settings.reports(reports), run)
    connection.run(
        context, lambda client: history.print_history(client, request, output, color=settings.color)
    )


@app.command(short_help="Write the evidence of rollouts as text, JSON or HTML.")
def report(  # noqa: PLR0913 — the command's own options
    context: typer.Context,
    name: Name,
    *,
    namespace: Namespace = "default",
    cluster: Cluster = None,
    run: Run = None,
    reports: Reports = None,
    form: Annotated[Form, typer.Option("--output", "-o", help="The form of the report.")] = Form.TEXT,
) -> None:
    """Write the evidence of rollouts, each check and who took a hand: as text, JSON or one HTML page."""
    from starter import connection, history, names
    from starter import report as reporting

    reference = names.Reference(name, namespace, cluster)
    settings = context.ensure_object(Globals)
    request = history.Request(reference, settings.reports(reports), run)
    connection.run(
        context, lambda client: reporting.print_report(client, request, form, color=settings.color)
    )


@app.command("delete", short_help="Bring a workload back as it was, and forget its canary.")
def delete_objects(  # noqa: PLR0913 — the command's own options
    context: typer.Context,
    *,
    what: Annotated[list[str] | None, typer.Argument(metavar="[KIND] NAME", show_default=False)] = None,
    files: Annotated[
        list[str] | None, typer.Option("--filename", "-f", help="All that these documents describe.")
    ] = None,
    namespace: Namespace = "default",
    cluster: Cluster = None,
    timeout: Timeout = None,
    reason: Reason = "",
    who: As = None,
) -> None:
    """Bring a canary's workload back as it was, or all that an application delivered, and forget it."""
    from starter import apply, connection, delete, documents, durations, get
    from starter.listing import Scope

    if files:
        loaded = documents.load(files, cluster)
        apply.report(loaded.findings)
        if not apply.is_valid(loaded):
            raise typer.Exit(Exit.USAGE)
        targets = delete.described(loaded)
    else:
        targets = [get.wanted(what or [], Scope(namespace, cluster), Output.TABLE)]
    request = delete.Request(who=who, reason=reason, limit=durations.parse(timeout))
    connection.run(context, lambda client: delete.delete(client, targets, request))


@app.command(short_help="Say what is missing, and the command that mends it.")
def doctor(
    context: typer.Context,
    *,
    is_fixing: Annotated[bool, typer.Option("--fix", help="Register the search attributes first.")] = False,
) -> None:
    """Look at Temporal, the workers and the clusters: what is missing, and the command that mends it."""
    from starter import connection, doctor

    connection.run(context, lambda client: doctor.examine(client, is_fixing=is_fixing))


@app.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
def sandbox(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="up|down|status [OPTIONS]", show_default=False)
    ] = None,
) -> None:
    """Run the embedded cluster: up, down or status, each with --help."""
    from starter import sandbox

    sandbox.execute(arguments or ["--help"])


@app.command(short_help="Play the whole story on a sandbox of its own.")
def demo(
    context: typer.Context,
    *,
    folder: Annotated[Path, typer.Option("--dir", help="Where the demo lives.")] = Path("build/demo"),
    is_kept: Annotated[bool, typer.Option("--keep", help="Leave everything running.")] = False,
    has_seed_timing: Annotated[
        bool, typer.Option("--seed-timing", help="Check every 90 s, as the original example does.")
    ] = False,
) -> None:
    """Play the whole story on a sandbox: deliver, promote a good version, roll back a bad one."""
    from starter.demo import running

    color = context.ensure_object(Globals).color
    raise typer.Exit(running.run(folder, is_kept=is_kept, has_seed_timing=has_seed_timing, color=color))


def run() -> int:
    """Run the command line and give its exit code."""
    try:
        app()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.REFUSED
    except StarterError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except OSError as error:  # as where the disk is full that the output goes to
        return _unwritten(error)
    return Exit.DONE


def main() -> NoReturn:
    """Run, flush and leave at once.

    An interpreter that shuts down while Temporal's client threads still run aborts in one run of ten,
    with SIGABRT, after all was done (temporalio/sdk-python#300). There is nothing left to clean up here.
    """
    code = run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except BrokenPipeError:  # the reader (`| head`) has seen enough
        pass
    except OSError as error:
        if code == Exit.DONE:  # else something has been told already
            code = _unwritten(error)
    os._exit(code)


def _unwritten(error: OSError) -> int:
    print(f"error: {error}", file=sys.stderr)
    return Exit.REFUSED


if __name__ == "__main__":
    main()
