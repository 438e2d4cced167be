"""Looking up hosts: which packets count as an answer."""

from firmware import dns
from firmware.errors import LinkDown
from helpers.portable.support import Dice, finish, raises

_HOST = "broker.example.org"
_QUERY = dns.make_query(_HOST, b"\x12\x34")
_ALIAS = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01x\xc0\x13"
_ADDRESS = b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x07"


def _reply(records, flags=b"\x81\x80", query=_QUERY):
    return query[:2] + flags + b"\x00\x01" + bytes((0, len(records), 0, 0, 0, 0)) + query[12:] + b"".join(records)


def test_a_question_is_as_in_rfc_1035():
    assert _QUERY == (
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + b"\x06broker\x07example\x03org\x00" + b"\x00\x01\x00\x01"
    )


def test_the_first_address_is_taken_also_behind_an_alias():
    assert dns.read_reply(_reply([_ADDRESS]), _QUERY) == "192.0.2.7"
    assert dns.read_reply(_reply([_ALIAS, _ADDRESS]), _QUERY) == "192.0.2.7"
    assert dns.read_reply(_reply([b"\x01x\x00" + _ADDRESS[2:]]), _QUERY) == "192.0.2.7"


def test_what_does_not_answer_us_is_no_answer():
    assert dns.read_reply(_reply([_ADDRESS], query=dns.make_query(_HOST, b"\x12\x35")), _QUERY) is None
    assert dns.read_reply(_reply([_ADDRESS], query=dns.make_query("another.example.org", b"\x12\x34")), _QUERY) is None
    # These flags mean that the packet is a question.
    assert dns.read_reply(_reply([_ADDRESS], flags=b"\x01\x80"), _QUERY) is None
    # These flags mean that the name does not exist.
    assert dns.read_reply(_reply([_ADDRESS], flags=b"\x81\x83"), _QUERY) is None
    assert dns.read_reply(_reply([]), _QUERY) is None
    assert dns.read_reply(_reply([_ALIAS]), _QUERY) is None


def test_replies_that_are_cut_or_damaged_are_no_answer():
    reply = _reply([_ALIAS, _ADDRESS])
    for n in range(len(reply)):
        assert dns.read_reply(reply[:n], _QUERY) is None
    dice = Dice(3)
    for _ in range(500):
        damaged = bytearray(reply)
        for _ in range(1 + dice.below(4)):
            damaged[dice.below(len(damaged))] = dice.below(256)
        dns.read_reply(bytes(damaged), _QUERY)
    for _ in range(500):
        dns.read_reply(_QUERY[:2] + b"\x81\x80\x00\x01\xff\xff" + _QUERY[8:] + dice.bytes(dice.below(60)), _QUERY)


class _Answering:
    """Takes the place of the module `socket`, and of a socket that has an answer and cannot be closed."""

    AF_INET = SOCK_DGRAM = 0

    def socket(self, *_):
        return self

    def getaddrinfo(self, host, port):
        return [(0, 0, 0, "", (host, port))]

    def setblocking(self, _):
        pass

    connect = setblocking

    def send(self, query):
        self._query = query

    def recv(self, _):
        return _reply([_ADDRESS], query=self._query)

    def close(self):
        raise OSError(5)


def test_an_answer_counts_although_the_socket_cannot_be_closed():
    real, dns.socket = dns.socket, _Answering()
    try:
        assert finish(dns._ask_one(_QUERY, ("192.0.2.53", 53), 1000)) == "192.0.2.7"
    finally:
        dns.socket = real


def test_what_is_no_name_is_not_asked_for():
    for host in ("a..b", ".a.b", "x" * 64 + ".org"):
        raises(LinkDown, dns.make_query, host, b"\x00\x00")


def test_what_is_an_address():
    for host in ("192.0.2.1", "1.2.3.4", "255.255.255.255"):
        assert dns.is_address(host), host
    for host in ("256.0.2.1", "1.2.3", "1.2.3.4.5", "1.2.3.x", "1.2.3.", "1.2.3.\u00b2", "1.2.3." + "9" * 5000):
        assert not dns.is_address(host), host


def test_addresses_and_local_names_are_left_alone():
    for host in ("192.0.2.1", "localhost", "broker.local"):
        steps = dns.resolve(host, 1000)
        try:
            next(steps)
        except StopIteration as end:
            assert end.value == host
        else:
            raise AssertionError(host)
