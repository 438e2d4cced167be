"""`e4 client rekey` and `e4 client confirm`: sending a client a new ID key, and recording that it holds that key."""

from __future__ import annotations

from contextlib import ExitStack

import click

from e4_tools.cli.shared.options import BrokerChoice, broker_option, optional_broker_option
from e4_tools.cli.shared.output import Report, reports
from e4_tools.cli.shared.sending import deliver, fleet_at_broker
from e4_tools.cli.shared.store_access import StoreAccess, client_argument, store_options
from e4_tools.fleet import listing
from e4_tools.fleet.delivery import Delivery
from e4_tools.fleet.operations import Fleet
from e4_tools.keystore import KeyStore
from e4_tools.keystore.models import PREVIOUS
from e4_tools.provisioning.key_confirmation import confirm_by_proof

_STILL_OLD = "still holds an old ID key; e4 client rekey sends the new one again"
_NEWEST = "holds its newest ID key"
_WARNING = (
    "Warning: an earlier ID key of {name} counts again. Whoever else has that key can read and forge its commands. If "
    "somebody may: e4 client forget {name}, then e4 provision {name} --in-store --replace, which makes a new key."
)


@click.command("rekey")
@client_argument
@broker_option
@store_options
@reports
def rekey_client(report: Report, access: StoreAccess, name: str, broker: BrokerChoice) -> None:
    """Send a client a new ID key, and keep the old one until you confirm the new one.

    Nothing in E4 acknowledges a command. Until "e4 client confirm" says that the new key works, every command goes out
    under both keys, and running this again sends the same new key again.

    This does not cure a stolen ID key. The new key goes out under the old one, so whoever has the old key and hears the
    traffic has the new key too. Only a key that the client gets over its serial port helps against that.

    \b
      e4 client rekey alice --broker 192.0.2.10
      e4 client confirm alice --port /dev/ttyUSB0
    """
    with fleet_at_broker(access, broker) as (fleet, delivery):
        clients = fleet.rekeying.rekey(name)
        deliver(report, delivery, clients)
    report.say(
        f"{name} has been sent a new ID key. Commands go out under both keys until e4 client confirm {name}.",
        name=name,
        pending=True,
    )
    report.say(
        f"Whoever has the old key can read the new one. If somebody has: e4 client remove {name}, then "
        f"e4 provision {name} --in-store --replace, at its serial port."
    )


@click.command("confirm")
@client_argument
@click.option("--port", metavar="DEVICE", help="Serial port of the board; it proves which key it holds.")
@click.option("--undo", is_flag=True, help="The last confirmation was wrong: use both keys again.")
@optional_broker_option
@store_options
@reports
def confirm_client(  # noqa: PLR0913 (one parameter for each option)
    report: Report, access: StoreAccess, name: str, port: str | None, undo: bool, broker: BrokerChoice | None
) -> None:
    """Record that a client holds its new ID key. From then on commands go out under the new key only.

    With --port the board proves over its serial port which key it holds, and the key does not leave the board. Without
    --port e4 takes your word for it; E4_PORT is not used here. Nothing else can show which ID key a client holds: no
    command is acknowledged, and messages are protected with topic keys. If you are not sure, leave the new key pending;
    that costs one more message for each command.

    The client obeys the old key too, until it gets a command under the new key. So such a command is sent: one that
    changes nothing, or topic keys that were sent since the rekeying. It is retained, and once the client has received
    it, the old key opens nothing there. Without a broker it is recorded, and e4 sync sends it.

    The key store keeps the old key until a board proves that it holds the new one. A board that proves a key which was
    replaced changes nothing, because somebody else may have that key. It counts again only with --undo.

    \b
      e4 client confirm alice --port /dev/ttyUSB0 --broker 192.0.2.10
      e4 client confirm alice --broker 192.0.2.10
      e4 client confirm alice --undo
      e4 client confirm alice --port /dev/ttyUSB0 --undo
    """
    store = access.open()
    with store.sending_lock(), ExitStack() as stack:
        rekeying = Fleet(store).rekeying
        if undo and not port:
            rekeying.unconfirm(name)
            report.say(f"{name}: the old ID key counts again, and the new one is pending.", pending=True)
            return
        # The broker is connected first: if it cannot be reached, the key store stays as it was.
        delivery = None if broker is None else Delivery(store, stack.enter_context(broker.connect()))
        if port:
            held = confirm_by_proof(store, name, port, undo)
            if held == PREVIOUS:
                warning = _WARNING.format(name=name)
                report.say(warning, warning=warning)
            pending = listing.read_client(store, name).pending
            report.say(f"{name} {_STILL_OLD if pending else _NEWEST}.", name=name, held=held, pending=pending)
        else:
            rekeying.confirm(name)
            pending = False
            report.say(f"{name}: the new ID key counts from now on.", pending=False)
        if not pending:
            _close_old_key(report, store, delivery, name)


def _close_old_key(report: Report, store: KeyStore, delivery: Delivery | None, name: str) -> None:
    """Send what is recorded for a client whose new ID key is confirmed, and say when its old one opens nothing."""
    if not listing.read_client(store, name).unsent:
        return
    until = f"{name} obeys its old ID key until it has received"
    if delivery is None:
        report.say(f"{until} a command under the new one, which waits: e4 sync {name} sends it.")
        return
    deliver(report, delivery, Fleet(store).ids_of([name]))
    report.say(f"{until} the command under the new one that the broker has now; then the old one opens nothing.")
