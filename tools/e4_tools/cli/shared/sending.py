"""How commands connect to the broker, record what is wanted, send it, and say what became of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from e4_tools.cli.shared.options import BrokerChoice
from e4_tools.cli.shared.output import Report
from e4_tools.cli.shared.store_access import StoreAccess
from e4_tools.errors import ToolError
from e4_tools.fleet.delivery import Delivery
from e4_tools.keystore import KeyStore
from e4_tools.mqtt.broker import BrokerConnection

_NAMED = 10  # failed clients that a person is told by name; --json has them all
_WORTH_A_BAR = 50  # commands


def connect(broker: BrokerChoice) -> BrokerConnection:
    """Return a connection with the broker's user and password from the environment, if they are there.

    Raises ToolError if the CA certificate is of no use.
    """
    user, password = os.environ.get("E4_BROKER_USER"), os.environ.get("E4_BROKER_PASSWORD")
    authority = broker.authority()
    return BrokerConnection(broker.host, broker.port, user, password, authority.der if authority else None)


def change_and_send(
    report: Report,
    access: StoreAccess,
    broker: BrokerChoice,
    change: Callable[[KeyStore], Collection[str] | None],
) -> int:
    """Connect, record a change in the store, and send what is unsent for its clients; None: for all there are.

    Return how many commands were sent. The broker comes first: if it cannot be reached, nothing is recorded. Raises
    ToolError.
    """
    store = access.open()
    with store.sending(), connect(broker) as connection:
        return deliver(report, store, connection, change(store))


def deliver(report: Report, store: KeyStore, connection: BrokerConnection, clients: Collection[str] | None) -> int:
    """Send what is unsent for these clients (IDs), and return the number of commands.

    Raises ToolError if some were not reached.
    """
    delivery = Delivery(store, connection)
    try:
        with _progress(report) as progress:
            outcome = delivery.send(clients, progress)
    except KeyboardInterrupt:
        raise ToolError(
            f"interrupted; {delivery.sent} commands were sent. What is unsent is kept; e4 sync sends only that"
        ) from None
    failed = outcome.failures
    report.say(sent=outcome.sent, failed=failed)
    if failed:
        named = "; ".join(f"{name}: {why}" for name, why in list(failed.items())[:_NAMED])
        more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
        raise ToolError(
            f"{outcome.sent} commands were sent; not reached: {named}{more}. "
            "What is unsent is kept; e4 sync sends only that"
        )
    return outcome.sent


@contextmanager
def _progress(report: Report) -> Iterator[Callable[[int, int], None]]:
    """Show a bar for long deliveries, on a terminal."""
    if report.as_json or not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console  # noqa: PLC0415 (loaded only where there is a terminal)
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Sending", visible=False)
        yield lambda done, of: bar.update(task, completed=done, total=of, visible=of >= _WORTH_A_BAR)
