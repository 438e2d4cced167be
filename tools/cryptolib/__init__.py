"""The board's `cryptolib` for CPython, over the `cryptography` package.

It refuses what the board refuses: there is no CTR mode, one object serves one direction only, and data come in
whole blocks. MicroPython has its own `cryptolib`; keep this one off its path.
"""

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes

_Buffer = bytearray | memoryview
_Bytes = bytes | _Buffer

_ECB = 1
_CBC = 2
_BLOCK = 16


class aes:  # noqa: N801 (MicroPython's name)
    """AES under a key of 16 or 32 bytes, mode 1 (ECB) or 2 (CBC, with an IV of 16 bytes)."""

    def __init__(self, key: bytes, mode: int, IV: bytes | None = None) -> None:  # noqa: N803 (MicroPython's name)
        if len(key) not in (16, 32):
            raise ValueError("key")
        if mode == _ECB:
            cipher_mode: modes.Mode = modes.ECB()  # noqa: S305 (CTR is built on it)
        elif mode == _CBC:
            if IV is None or len(IV) != _BLOCK:
                raise ValueError("IV")
            cipher_mode = modes.CBC(bytes(IV))
        else:
            raise ValueError("mode")
        self._cipher = Cipher(algorithms.AES(bytes(key)), cipher_mode)
        self._direction: str | None = None
        self._context: CipherContext

    def _run(self, direction: str, data: _Bytes, out: _Buffer | None) -> bytes | _Buffer:
        if len(data) % _BLOCK:
            raise ValueError("blksize % 16")
        if self._direction is None:
            self._direction = direction
            self._context = getattr(self._cipher, direction + "or")()
        if self._direction != direction:
            raise ValueError("can't switch direction")
        result = self._context.update(bytes(data))
        if out is None:
            return result
        if len(out) < len(result):
            raise ValueError("output too small")
        memoryview(out)[: len(result)] = result
        return out

    def encrypt(self, data: _Bytes, out: _Buffer | None = None) -> bytes | _Buffer:
        """Encrypt whole blocks; into `out` if it is given (it may be `data`)."""
        return self._run("encrypt", data, out)

    def decrypt(self, data: _Bytes, out: _Buffer | None = None) -> bytes | _Buffer:
        """Decrypt whole blocks; into `out` if it is given (it may be `data`)."""
        return self._run("decrypt", data, out)
