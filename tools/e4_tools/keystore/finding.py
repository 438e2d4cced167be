"""Finding clients and topics in the key store by their names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from e4_tools.errors import UnknownName
from e4_tools.keystore.models import ClientRow, TopicRow


def find_client(session: Session, name: str) -> ClientRow:
    """Return the client with this name. Raises UnknownName, whose text suggests names that are spelt alike."""
    found = session.scalars(select(ClientRow).where(ClientRow.name == name)).one_or_none() if _is_text(name) else None
    if found is None:
        raise _unknown_name("client", name, session.scalars(select(ClientRow.name)))
    return found


def find_topic(session: Session, name: str) -> TopicRow:
    """Return the topic with this name. Raises UnknownName, whose text suggests names that are spelt alike."""
    found = session.scalars(select(TopicRow).where(TopicRow.name == name)).one_or_none() if _is_text(name) else None
    if found is None:
        raise _unknown_name("topic", name, session.scalars(select(TopicRow.name)))
    return found


def find_pair(session: Session, client: str, topic: str) -> tuple[ClientRow, TopicRow]:
    """Return a client and a topic by their names. Raises UnknownName, which says so if the two were swapped."""
    try:
        return find_client(session, client), find_topic(session, topic)
    except UnknownName:
        if not _is_text(client + topic):
            raise
        is_topic = session.scalar(select(TopicRow.hash).where(TopicRow.name == client)) is not None
        is_client = session.scalar(select(ClientRow.id).where(ClientRow.name == topic)) is not None
        if not is_topic and not is_client:
            raise
    what = f"{client} is a topic" if is_topic else f"{topic} is a client"
    raise UnknownName(f"{what}, and the client comes first, then the topic; nothing was done")


def _is_text(name: str) -> bool:
    """Return whether a name is Unicode text.

    Bytes of a command line that are no UTF-8 become halves of characters (PEP 383), which no database takes. No client
    and no topic has such a name.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unknown_name(kind: str, name: str, known: Iterable[str]) -> UnknownName:
    """Return the error for a name that the store does not have. `kind` is `client` or `topic`."""
    alike = difflib.get_close_matches(name, list(known), n=3)
    hint = f"did you mean {' or '.join(alike)}?" if alike else f"e4 {kind} list shows all, e4 {kind} add makes one"
    return UnknownName(f"the key store has no {kind} {name}; nothing was done. {hint}")
