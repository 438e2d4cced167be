"""Versions of `umqtt.simple` differ in their signatures. With all of them the link must send the same bytes."""

import os
import sys

from umqtt import simple

from firmware import link
from helpers.portable.board_end import Peer, Settings

_VERSIONS = __file__.rsplit("/tests/", 1)[0] + "/build/umqtt"


class _Everything(Settings):
    user = "somebody"
    password = "something"  # noqa: S105 (no real password)
    status_topic = "status/of/a/board"


def _versions():
    """Import each version of `umqtt.simple` that we have, and yield the module."""
    yield simple
    kept = sys.modules["umqtt"], sys.modules["umqtt.simple"]
    for version in os.listdir(_VERSIONS):
        sys.path.insert(0, _VERSIONS + "/" + version)
        for name in ("umqtt", "umqtt.simple"):
            sys.modules.pop(name)
        try:
            yield __import__("umqtt.simple").simple
        finally:
            sys.path.pop(0)
            sys.modules["umqtt"], sys.modules["umqtt.simple"] = kept


def _session(version, settings):
    """Return all bytes that a link sends in a session."""
    link.simple = version
    try:
        peer = Peer(settings, connected=False)
        said = peer.heard()
        peer.say(b"\x20\x02\x00\x00")
        peer.link.publish(b"t" * 500, bytes(300), True, 1)
        said += peer.heard()
        peer.link.subscribe(["x" * 500])
        return said + peer.heard()
    finally:
        link.simple = simple


def test_all_versions_say_the_same():
    versions = 0
    for version in _versions():
        for settings in (Settings, _Everything):
            assert _session(version, settings) == _session(simple, settings)
        versions += 1
    assert versions >= 2


def test_what_is_lent_to_umqtt_is_given_back():
    for version in _versions():
        before = version.socket
        _session(version, Settings)
        assert version.socket is before
