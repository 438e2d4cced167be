"""How a command that changes the fleet reaches the broker, and how it reports what was sent.

Such a command reads in the order in which things happen:

    with fleet_at_broker(access, broker) as (fleet, delivery):
        clients = fleet.grant(name, topic)
        deliver(report, delivery, clients)
    report.say(...)

The second line records the change, and the MQTT commands that follow from it, in the key store. The third line sends
them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime

from e4_tools.cli.shared.options import BrokerChoice
from e4_tools.cli.shared.output import Report
from e4_tools.cli.shared.store_access import StoreAccess
from e4_tools.errors import ToolError
from e4_tools.fleet.delivery import Delivery
from e4_tools.fleet.operations import Fleet

_NAMED_CLIENTS = 10  # failed clients that the error message names; --json names all of them
# Seconds for which a client understands a replaced topic key, unless `key_transition` in its `/e4.json` says otherwise.
_KEY_TRANSITION = 3600
_LEAST_FOR_A_BAR = 50  # commands; a shorter delivery ends before anybody can read a progress bar


@contextmanager
def fleet_at_broker(access: StoreAccess, broker: BrokerChoice) -> Iterator[tuple[Fleet, Delivery]]:
    """Open the key store, take its sending lock, connect to the broker; yield the fleet and a delivery to that broker.

    The broker is connected before anything is recorded: if it cannot be reached, the key store stays as it was. The
    lock is held until the block ends, so that no other `e4` records or sends between our change and its delivery.
    Raises KeyStoreError, BrokerError and ToolError.
    """
    store = access.open()
    with store.sending_lock(), broker.connect() as connection:
        yield Fleet(store), Delivery(store, connection)


def deliver(report: Report, delivery: Delivery, clients: Collection[str] | None) -> int:
    """Send what is unsent for the clients with these IDs, or for all if `clients` is None.

    Report and return the number of commands that the broker has confirmed. Raises ToolError if some clients were not
    reached, or if the user interrupts. In each case what is unsent stays in the key store.
    """
    try:
        with progress_bar(report, "Sending") as progress:
            outcome = delivery.send(clients, progress)
    except KeyboardInterrupt:
        raise ToolError(
            f"interrupted; {delivery.sent} commands were sent. What is unsent is kept; e4 sync sends only that"
        ) from None
    failed = outcome.failures
    report.say(sent=outcome.sent, failed=failed)
    if failed:
        named = "; ".join(f"{name}: {why}" for name, why in list(failed.items())[:_NAMED_CLIENTS])
        more = f" and {len(failed) - _NAMED_CLIENTS} more" if len(failed) > _NAMED_CLIENTS else ""
        raise ToolError(
            f"{outcome.sent} commands were sent; not reached: {named}{more}. "
            "What is unsent is kept; e4 sync sends only that"
        )
    return outcome.sent


def deliver_against(report: Report, delivery: Delivery, clients: Collection[str], name: str) -> None:
    """Send the new keys that shut the client `name` out, as `deliver` does.

    If that fails, the error says what the client can still do.
    """
    try:
        deliver(report, delivery, clients)
    except ToolError as error:
        until = datetime.fromtimestamp(time.time() + _KEY_TRANSITION).astimezone()
        error.add_note(
            f"A member that has not got both new keys accepts what {name} writes: until it gets them, or, if it has "
            f"the first one, until {until:%Y-%m-%d %H:%M}, or another time if its `key_transition` is not an hour."
        )
        raise


@contextmanager
def progress_bar(report: Report, doing: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that is told of progress. On a terminal it moves a bar; elsewhere it does nothing.

    `doing` is the word before the bar.
    """
    if report.as_json or not sys.stderr.isatty():
        yield lambda done, of: None
        return
    # Imported here because importing rich takes longer than most commands do, and few of them show a bar.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, visible=False)
        yield lambda done, of: bar.update(task, completed=done, total=of, visible=of >= _LEAST_FOR_A_BAR)
