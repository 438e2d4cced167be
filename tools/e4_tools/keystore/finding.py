"""Clients and topics by their names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from e4_tools.errors import UnknownName
from e4_tools.keystore.models import ClientRow, TopicRow


def find_client(session: Session, name: str) -> ClientRow:
    """Return a client by its name. Raises UnknownName, which names those that are spelt alike."""
    found = session.scalars(select(ClientRow).where(ClientRow.name == name)).one_or_none()
    if found is None:
        raise _unknown("client", name, session.scalars(select(ClientRow.name)))
    return found


def find_topic(session: Session, name: str) -> TopicRow:
    """Return a topic by its name. Raises UnknownName, which names those that are spelt alike."""
    found = session.scalars(select(TopicRow).where(TopicRow.name == name)).one_or_none()
    if found is None:
        raise _unknown("topic", name, session.scalars(select(TopicRow.name)))
    return found


def find_pair(session: Session, client: str, topic: str) -> tuple[ClientRow, TopicRow]:
    """Return a client and a topic by their names. Raises UnknownName, which tells if they have changed places."""
    try:
        return find_client(session, client), find_topic(session, topic)
    except UnknownName:
        is_topic = session.scalar(select(TopicRow.hash).where(TopicRow.name == client)) is not None
        is_client = session.scalar(select(ClientRow.id).where(ClientRow.name == topic)) is not None
        if not is_topic and not is_client:
            raise
    what = f"{client} is a topic" if is_topic else f"{topic} is a client"
    raise UnknownName(f"{what}, and the client comes first, then the topic; nothing was done")


def _unknown(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    alike = difflib.get_close_matches(name, list(known), n=3)
    hint = f"did you mean {' or '.join(alike)}?" if alike else f"e4 {kind} list shows all, e4 {kind} add makes one"
    return UnknownName(f"the key store has no {kind} {name}; nothing was done. {hint}")
