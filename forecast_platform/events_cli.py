"""Commands that bring events in: ``post`` from a file or a pipe, ``consume`` from a message bus."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

import click

from forecast_platform.arguments import CommandLineError, loaded_tenant, one_line_errors

SHOWN_REJECTS = 10


@click.command()
@click.option("--tenant", required=True, help="A tenant whose source is of kind events.")
@click.argument("file", type=click.File("rb"))
@one_line_errors
def post(tenant: str, file: BinaryIO) -> None:
    """Post events, one JSON object a line, from FILE (- reads standard input).

    They are on disk when this returns, and become sales with the next run of raw_sales. Exit code 1: some of them are
    no sales; they are kept among the rejects.
    """
    from forecast_platform.posting import lines_of, post_events, shape_of_events

    scope = loaded_tenant(tenant)
    receipt = post_events(scope, lines_of(file, shape_of_events(scope).max_event_bytes))
    for rejected in receipt.rejected[:SHOWN_REJECTS]:
        click.echo(f"event {rejected.number}: {rejected.reason}", err=True)
    if len(receipt.rejected) > SHOWN_REJECTS:
        click.echo(f"and {len(receipt.rejected) - SHOWN_REJECTS:,} more", err=True)
    over = f"; over: {', '.join(day.isoformat() for day in receipt.marks)}" if receipt.marks else ""
    click.echo(f"{tenant}: {receipt.accepted:,} events accepted, {len(receipt.rejected):,} rejected{over}")
    if receipt.rejected:
        sys.exit(1)


@click.command()
@click.argument("url")
@click.option("--tenant", required=True, help="A tenant whose source is of kind events.")
@click.option("--stream", default="sales", show_default=True, help="Name of the JetStream stream.")
@click.option("--subject", help="Only messages of this subject; default: all of the stream.")
@click.option("--durable", help="Name of the durable consumer; default: forecast-TENANT.")
@click.option(
    "--batch", default=1_000, show_default=True, type=click.IntRange(1, 10_000), help="Most messages at once."
)
@click.option(
    "--max-wait", default=1.0, show_default=True, type=click.FloatRange(0.05, 60), help="Seconds to wait for a batch."
)
@click.option(
    "--ack-wait",
    default=60.0,
    show_default=True,
    type=click.FloatRange(1, 3600),
    help="Seconds after which the broker delivers again what was not acknowledged; for a new durable.",
)
@click.option("--credentials", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="NATS credentials.")
@one_line_errors
def consume(
    url: str,
    tenant: str,
    stream: str,
    subject: str | None,
    durable: str | None,
    batch: int,
    max_wait: float,
    ack_wait: float,
    credentials: Path | None,
) -> None:
    """Post the messages of a NATS JetStream stream at URL (nats://host:4222) until told to end.

    A message is acknowledged when it is on disk; one that is no event is kept as a reject. SIGTERM ends it cleanly.
    """
    from forecast_platform.consumer import Subscription, json_log
    from forecast_platform.posting import post_events, shape_of_events

    try:
        import nats  # noqa: F401
    except ImportError as error:
        raise CommandLineError("the consumer needs a package: pip install 'forecast-platform[nats]'") from error
    scope = loaded_tenant(tenant)
    shape_of_events(scope)
    subscription = Subscription(
        url=url,
        stream=stream,
        durable=durable or f"forecast-{tenant}",
        subject=subject,
        batch=batch,
        max_wait=max_wait,
        ack_wait=ack_wait,
        credentials=credentials,
    )
    _until_told(subscription, lambda messages: post_events(scope, messages), json_log(sys.stderr, tenant=tenant))


def _until_told(subscription, keep, log) -> None:
    """Consume until SIGTERM or SIGINT."""
    import asyncio
    import signal

    from forecast_platform.consumer import consume as consumed

    async def running() -> None:
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await consumed(subscription, keep, log, stop)

    asyncio.run(running())
