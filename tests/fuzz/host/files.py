"""Files that the tools read: keys, passwords, tables, the ledger, certificates, images, budgets, vectors."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

import e4
from e4_tools.cli.shared.settings import _first_line
from e4_tools.dev.bench.budgets import Budgets
from e4_tools.dev.bench.figures import Figure
from e4_tools.dev.conformance import load_vectors, run_all
from e4_tools.dev.conformance_cases import run
from e4_tools.errors import NameTaken, ToolError
from e4_tools.image.file_system import make_file_system
from e4_tools.image.flash_file import read_flash
from e4_tools.image.micropython_image import read_image
from e4_tools.keys.files import read_key, write_keys
from e4_tools.mqtt.authority import read_authority
from e4_tools.provisioning.factory import read_table
from e4_tools.provisioning.identity_files import read_identity
from e4_tools.provisioning.key_sources import KeyFolder
from e4_tools.provisioning.ledger import BEGUN, Ledger
from fuzz import mutation
from fuzz.host.parser import FileParser
from fuzz.mutation import chance, pick
from fuzz.parser import Ignored, check
from helpers.firmware_image import partition_table
from helpers.portable.support import Dice

_MODES = (0o600, 0o600, 0o600, 0o400, 0o644, 0o660, 0o606, 0o700)


class KeyFile(FileParser):
    """A file with a symmetric key, as `e4 keygen` writes it."""

    refusals = (ToolError,)
    _samples = (bytes(range(32)), bytes(32), bytes(33), b"k" * 64, b"6b" * 32, b"")

    def make(self, dice: Dice) -> tuple[bytes, int]:
        return mutation.mutate(dice, self._samples, 80), pick(dice, _MODES)

    def parse(self, given: tuple[bytes, int]) -> None:
        content, mode = given
        self.write(content, mode)
        key = read_key(self.path)
        check(key == content and mode & 0o077 == 0 and len(key) == 32, "it takes a file that is no private key file")


class KeyFileInFolder(FileParser):
    """A key file in a folder of keys, which `e4 provision --keys` reads."""

    refusals = (ToolError,)

    def make(self, dice: Dice) -> tuple[bytes, str]:
        name = mutation.mutate_text(dice, ("alice", "a/b", "größe", "..", "x" * 90)).replace("..", "._")
        return mutation.mutate(dice, (bytes(range(32)),), 80), name

    def parse(self, given: tuple[bytes, str]) -> None:
        content, name = given
        folder = KeyFolder(Path("fuzz.keys"))
        try:
            e4.id_of(name)  # every command checks the name first
        except e4.InvalidName:
            raise ToolError("no name") from None
        self.path = folder.path_of(name)
        check(self.path.parent == Path("fuzz.keys"), "the key file of a client is in another folder")
        if len(os.fsencode(self.path.name)) > 255:
            raise ToolError("the file system has no names of this length")
        self.write(content)
        try:
            check(folder.key_of(name) == content, "it reads another key")
        finally:
            check(self.path.read_bytes() == content, "a key file was changed")
            self.path.unlink()


class NewKeyFiles(FileParser):
    """The names of the files that `e4 keygen` is to write."""

    refusals = (ToolError, NameTaken)

    def make(self, dice: Dice) -> tuple[str, bool]:
        name = mutation.mutate_text(dice, ("alice.key", "c2", "x" * 250, "y" * 255, "folder/key", "."))
        return name.replace("..", "xx").replace("\0", "").lstrip("/~"), bool(dice.below(2))

    def parse(self, given: tuple[str, bool]) -> None:
        name, public = given
        written = write_keys(Path("fuzz.new") / name, b"private", b"public" if public else None)
        for path in written:
            path.unlink()


class PasswordFile(FileParser):
    """A file whose first line is a password."""

    refusals = (ToolError,)

    def make(self, dice: Dice) -> tuple[bytes, int]:
        return mutation.mutate(dice, (b"password\n", b"", "pässwörd\r\nmore".encode(), b"\n"), 80), pick(dice, _MODES)

    def parse(self, given: tuple[bytes, int]) -> None:
        content, mode = given
        self.write(content, mode)
        line = _first_line(self.path)
        check(content.startswith(line.encode()) and "\n" not in line, "it reads another line")


class NameTable(FileParser):
    """The table of names that `e4 provision --factory` reads."""

    refusals = (ToolError,)
    _samples = (
        b"name,topics\nalice,a b\nbob,\n",
        b"name\nalice\nbob\n",
        b'\xef\xbb\xbfname,topics\r\n"a ""quoted"" name","t1 t2"\r\n',
        "topics,name\ngröße,ä\n".encode(),
        b"name,name\na,b\n",
    )

    def make(self, dice: Dice) -> bytes:
        if chance(dice, 40):
            return b"name,topics\n" + pick(dice, (b"x" * 300, b"x" * 140000, b'"' + b"y" * 140000)) + b"\n"
        return mutation.mutate(dice, self._samples)

    def parse(self, given: bytes) -> None:
        self.write(given)
        for name, row in read_table(self.path).items():
            e4.id_of(name)
            check(row.name == name == name.strip(), "a row has another name")


def _ledger_line(**changes: Any) -> dict[str, Any]:
    return {
        "event": BEGUN, "time": "2026-01-01T00:00:00+00:00", "name": "alice", "id": e4.id_of("alice").hex(),
        "mac": "02:00:00:00:00:01", "firmware": "0.1.0", "key_fingerprint": "0011223344556677", **changes,
    }  # fmt: skip


class LedgerFile(FileParser):
    """The ledger of a factory. What is refused must be left as it was."""

    refusals = (ToolError,)
    _lines = (_ledger_line(), _ledger_line(event="issued"), _ledger_line(name="bob", mac="02:00:00:00:00:02"))

    def make(self, dice: Dice) -> bytes:
        if chance(dice, 12):
            return mutation.mutate(dice, (bytes(range(32)), b"name,topics\nalice,a\nbob,b", b""), 80)
        lines = []
        for _ in range(dice.below(4)):
            line = pick(dice, self._lines)
            if dice.below(2):
                line = mutation.change_value(dice, line)
            lines.append(json.dumps(line).encode() if dice.below(20) else mutation.deep(dice).encode())
        content = b"\n".join(lines) + pick(dice, (b"\n", b"\n", b"", b'{"event"'))
        return content if dice.below(2) else mutation.change(dice, content)

    def parse(self, given: bytes) -> None:
        self.write(given)
        try:
            with Ledger(self.path) as ledger:
                ledger.issued_names()
                ledger.has("alice", "02:00:00:00:00:01")
                ledger.has_with_other_board("alice", "02:00:00:00:00:01")
                ledger.refuse_conflict("carol", "02:00:00:00:00:03", False)
                ledger.note(BEGUN, "carol", "02:00:00:00:00:03", "0.1.0", bytes(range(32)))
        except ToolError:
            left = self.path.read_bytes()
            check(
                left == given or left == given[: given.rfind(b"\n") + 1], "a ledger was changed although it was refused"
            )
            check(left == given or b"{" in given, "a file that is no ledger was changed")
            raise
        with Ledger(self.path) as ledger:
            check(ledger.entries[-1].name == "carol", "what was noted is not there")


def _certificate(ca: bool, usage: bool, days: int, ed25519: bool = False) -> bytes:
    """Return a certificate as DER: the same one on the same day, because an Ed25519 key signs it (RFC 8032)."""
    signer = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public: Any = signer.public_key() if ed25519 else derive_private_key(4711, SECP256R1()).public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fuzzed CA")])
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    builder = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(public).serial_number(4711)
        .not_valid_before(today - timedelta(days=2)).not_valid_after(today + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("ca.example")]), critical=False)
    )  # fmt: skip
    if usage:
        bits = dict.fromkeys(("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                              "key_agreement", "crl_sign", "encipher_only", "decipher_only"), False)  # fmt: skip
        builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, **bits), critical=True)
    return builder.sign(signer, None).public_bytes(Encoding.DER)


class AuthorityFile(FileParser):
    """The certificate of an authority, DER or PEM."""

    refusals = (ToolError,)

    def __init__(self) -> None:
        self._ders = [_certificate(True, True, 30), _certificate(True, False, 30), _certificate(False, False, 30),
                      _certificate(True, True, -1), _certificate(True, True, 30, ed25519=True)]  # fmt: skip
        self._pems = [x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in self._ders]

    def make(self, dice: Dice) -> bytes:
        if dice.below(2):
            return mutation.mutate(dice, self._ders)
        if dice.below(2):
            return mutation.mutate(dice, [*self._pems, b"".join(self._pems[:2])])
        der = mutation.mutate(dice, self._ders)
        body = base64.encodebytes(der)
        return b"-----BEGIN CERTIFICATE-----\n" + body + b"-----END CERTIFICATE-----\n"

    def parse(self, given: bytes) -> None:
        self.write(given, 0o644)
        authority = read_authority(self.path)
        check(authority.subject.isprintable(), "the subject of a certificate could steer a terminal")
        check(authority.expires > datetime.now(UTC), "it takes a certificate that has expired")
        check(len(authority.der) <= 4096, "it takes a certificate that no board can")


class ImageFile(FileParser):
    """A file with MicroPython for a board."""

    refusals = (ToolError,)

    def make(self, dice: Dice) -> bytes:
        image = bytearray(0x7100)
        image[:24] = b"\xe9\x03\x02\x20" + bytes(8) + bytes((dice.below(24), 0)) + bytes(10)
        image[0x7000:0x7002] = b"\xaa\x50"
        head = mutation.mutate(dice, (bytes(image[:24]),), 30)
        return head + bytes(image[24:]) if dice.below(2) else head

    def parse(self, given: bytes) -> None:
        self.write(given, 0o644)
        image = read_image(self.path)
        check(image.size == len(given) and image.chip.startswith("ESP32"), "it reads another image")


class FlashFile(FileParser):
    """A file for the whole flash of a chip, as `e4 image` makes it."""

    refusals = (ToolError, Ignored)
    _files: ClassVar = {"lib/e4/a.mpy": b"a" * 5000, "boot.py": b"b"}

    def make(self, dice: Dice) -> bytes:
        table = partition_table([("vfs", 1, 0x81, 0x10000, 0x10000, 0)])
        if dice.below(3) == 0:
            table = mutation.mutate(dice, (table[:96],), 96)
        flash = bytearray(b"\xff" * 0x10000) + make_file_system(self._files, 0x10000)
        flash[0x1000:0x1018] = b"\xe9\x03\x02\x20" + bytes(20)
        flash[0x8000 : 0x8000 + len(table)] = table
        for _ in range(dice.below(8)):
            # Most of the file system is erased; its superblock and the root folder are at the beginning.
            flash[0x10000 + dice.below(0x3000)] = dice.below(256)
        return bytes(flash[: dice.below(len(flash))] if dice.below(4) == 0 else flash)

    def parse(self, given: bytes) -> None:
        found = read_flash(given)
        if found is None:
            raise Ignored
        check(found.chip == "ESP32" and found.file_system.offset == 0x10000, "it reads another flash")
        check(all(name.startswith("/") for name in found.files), "a path is not absolute")
        check(read_identity(found.files) is None, "it reads an identity")


class BudgetFile(FileParser):
    """The file of budgets of the bench."""

    refusals = (ToolError, Ignored)
    _samples = (
        b'["heap/*"]\nvm = 100\nboard = 50.5\nnoise = 2\ngoal_vm = 90\n[speed]\nvm = 3\nmore_is_better = true\n',
        b"[speed]\nvm = 1\n",
    )

    def make(self, dice: Dice) -> bytes:
        return mutation.mutate(dice, self._samples)

    def parse(self, given: bytes) -> None:
        self.write(given, 0o644)
        budgets = Budgets("vm", self.path)
        found = [budget for name in ("speed", "heap/node") if (budget := budgets.of(Figure(name, 1.0)))]
        if not found:
            raise Ignored
        for budget in found:
            budget.verdict(100.0)
            budget.reaches_goal(100.0)


class VectorFile(FileParser):
    """A file of test vectors, and its cases. Those of passwords are left out, because they take 20 seconds each."""

    refusals = (ToolError,)

    def __init__(self) -> None:
        from helpers.boards import VECTORS  # noqa: PLC0415 (it loads the tools for boards)

        whole = json.loads(VECTORS.read_text())
        sections = {name: cases[:1] for name, cases in whole["vectors"].items()}
        self._samples = ({**whole, "vectors": sections},)

    def make(self, dice: Dice) -> bytes:
        return mutation.json_bytes(dice, self._samples)

    def parse(self, given: bytes) -> None:
        self.write(given, 0o644)
        cases = [(section, case) for section, case in load_vectors(self.path) if section != "passwords"]
        with contextlib.redirect_stdout(io.StringIO()):
            check(sum(run_all("here", cases, run)) <= len(cases), "it counts more verdicts than cases")
