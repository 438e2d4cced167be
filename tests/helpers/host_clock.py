"""The clock of the machine on which `e4` runs, as far as the key store uses it."""

from __future__ import annotations

import time

import pytest

from e4_tools.keystore import KeyStore

DAY = 86400


class HostClock:
    """A clock that differs from the true time by `ahead` seconds, which a test may change."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        monkeypatch.setattr(KeyStore, "now", lambda _: int(time.time() + self.ahead))
