"""The timestamps of commands.

A client refuses a command whose timestamp is earlier than that of the last one it has applied, and nothing tells C2. So
the key store keeps for each client what the client itself keeps: the timestamp of the last command, and a mark for each
command that has it. The next command gets the time by the clock of this machine, or the same timestamp again if the
clock has not reached it yet: the clock may have been set back, or another machine may send from the same store.

If the clock is more than a minute behind the last timestamp, no timestamp would do. Clients refuse a command that is
earlier than the last one, and also one that is so far ahead of the true time. So nothing is sent, and the operator is
told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

import e4
from e4_tools.errors import ToolError
from e4_tools.keystore.models import ClientRow

MAX_LEAD = e4.protection.FUTURE_TOLERANCE  # seconds by which a command may be stamped ahead of this machine's clock
_MARK = slice(8, 16)  # of a payload: the first half of its tag, by which a client recognises a copy
_MARK_SIZE = 8  # bytes
_MAX_MARKS = 1024  # a client refuses more commands than that with one timestamp
_RETRY_SECONDS = 0.02  # between two looks at the clock


class CommandStamps:
    """Protects the commands of one client, each with a timestamp with which the client can apply it.

    `now` returns the time by this machine's clock, in Unix seconds. What is in `row` is recorded again by the caller,
    from `timestamp` and `marks` (8 bytes for each), before the commands are sent.
    """

    def __init__(self, row: ClientRow, now: Callable[[], int]) -> None:
        self.timestamp = row.stamp
        self.marks = bytes.fromhex(row.marks or "")
        self._name = row.name
        self._now = now

    def protect(self, command: bytes, keys: Collection[bytes]) -> list[bytes]:
        """Return a plain command protected under each of some ID keys, all with one timestamp.

        Two equal commands with one timestamp have the same bytes, and the client would take the second one for a copy
        of the first. So this waits for the next second, or, if the clock is behind, takes the next second at once.
        Raises ToolError if the timestamp would be too far ahead of the clock.
        """
        while True:
            now = self._now()
            timestamp = max(now, self.timestamp)
            payloads = self._protect(command, keys, timestamp)
            if payloads is None and timestamp > now:
                timestamp += 1
                payloads = self._protect(command, keys, timestamp)
            if timestamp - now > MAX_LEAD:
                raise ToolError(_explain_lead(self._name, self.timestamp, now))
            if payloads is not None:
                break
            time.sleep(_RETRY_SECONDS)
        if timestamp > self.timestamp:
            self.timestamp, self.marks = timestamp, b""
        self.marks += b"".join(payload[_MARK] for payload in payloads)
        return payloads

    def _protect(self, command: bytes, keys: Collection[bytes], timestamp: int) -> list[bytes] | None:
        """Return the protected command, or None if the client would not apply another one with this timestamp."""
        payloads = [e4.protect(command, key, timestamp) for key in keys]
        if timestamp > self.timestamp:
            return payloads
        used = {self.marks[i : i + _MARK_SIZE] for i in range(0, len(self.marks), _MARK_SIZE)}
        if len(used) + len(payloads) > _MAX_MARKS or any(payload[_MARK] in used for payload in payloads):
            return None
        return payloads


def check_clock(session: Session, client_ids: Collection[str], now: int) -> None:
    """Raise ToolError if a command that is stamped now is too early for one of these clients.

    `now` is the time by this machine's clock. A client that was added later than that counts too: a clock has been set
    back since, and the first commands for this client may have had a later time.
    """
    limit = now + MAX_LEAD
    columns = select(ClientRow.id, ClientRow.name, ClientRow.stamp, ClientRow.added_at)
    for client_id, name, stamp, added_at in session.execute(
        columns.where(or_(ClientRow.stamp > limit, ClientRow.added_at > limit)).order_by(ClientRow.name)
    ):
        if client_id in client_ids:
            raise ToolError(f"{_explain_lead(name, max(stamp, added_at), now)} Nothing was done")


def _explain_lead(name: str, latest: int, now: int) -> str:
    when = datetime.fromtimestamp(latest, UTC).isoformat(" ", "seconds")
    return (
        f"the clock of this machine is {latest - now} s behind the last command for {name}, of {when}, and {name} "
        "refuses a command of an earlier time. Set the clock right. If it is right, another clock was ahead; then "
        f"e4 sync {name} --trust-clock --again forgets that time and sends {name} its topic keys again."
    )
