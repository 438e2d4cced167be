"""The link on a socket that behaves as on a board, with good and with misbehaving brokers."""

from umqtt import simple

from firmware.errors import LinkDown
from helpers.portable.board_end import BoardSocket, Peer, Settings, Time, WouldHang
from helpers.portable.support import Dice, raises

_ACCEPTED = b"\x20\x02\x00\x00"
_PINGRESP = b"\xd0\x00"


def _publish(topic, payload, qos=0, packet_id=1, flags=0):
    body = len(topic).to_bytes(2, "big") + topic + (packet_id.to_bytes(2, "big") if qos else b"") + payload
    size = bytearray()
    n = len(body)
    while n > 0x7F:
        size.append(n & 0x7F | 0x80)
        n >>= 7
    size.append(n)
    return bytes((0x30 | qos << 1 | flags,)) + bytes(size) + body


def _gives_up(peer, time, milliseconds, step=250, says=b""):
    for _ in range(milliseconds // step):
        time.pass_ms(step)
        if says:
            peer.socket.arrive(says)
        try:
            peer.link.step()
        except LinkDown:
            return True
    return False


def test_the_socket_behaves_as_the_boards():
    client = simple.MQTTClient("x", "192.0.2.1")
    client.sock = BoardSocket()
    client.sock.settimeout(5)
    client.set_callback(lambda *_: None)
    client.sock.arrive(b"\x30")
    # umqtt reads one byte and removes the timeout. Then it waits for ever.
    for _ in range(2):
        try:
            client.wait_msg()
        except WouldHang:
            return
    raise AssertionError("umqtt alone did not hang")


def test_connecting_says_what_umqtt_says():
    peer = Peer(connected=False)
    sent = peer.heard()
    assert sent[:2] == bytes((0x10, len(sent) - 2))
    assert sent[2:12] == b"\x00\x04MQTT\x04\x00\x00\x3c"
    assert sent[12:] == b"\x00\x06e4test"
    peer.say(_ACCEPTED)
    assert peer.link.is_connected and peer.link.is_up


def test_credentials_and_last_will_are_measured_in_bytes():
    class Named(Settings):
        user = "müller"
        password = "pässwörd"  # noqa: S105 (no real password)
        status_topic = "ä/status"

    sent = Peer(Named, connected=False).heard()
    assert sent[1] == len(sent) - 2
    # The connect flags: user, password, the last will is retained, it has QoS 1, and there is a last will.
    assert sent[9] == 0x80 | 0x40 | 0x20 | 0x08 | 0x04
    for text in ("ä/status", "offline", "müller", "pässwörd"):
        assert len(text.encode()).to_bytes(2, "big") + text.encode() in sent


def test_a_refused_connection_says_why():
    peer = Peer(connected=False)
    assert "wrong user name or password" in str(raises(LinkDown, peer.say, b"\x20\x02\x00\x04"))
    peer = Peer(connected=False)
    assert "code 77" in str(raises(LinkDown, peer.say, b"\x20\x02\x00\x4d"))


def test_an_answer_that_never_comes_ends_the_connection():
    with Time() as time:
        for begin in (
            None,
            lambda link: link.subscribe(["a"]),
            lambda link: link.publish(b"a", b"payload", False, 1),
        ):
            peer = Peer(connected=begin is not None)
            if begin is not None:
                begin(peer.link)
            assert not _gives_up(peer, time, 9000)
            assert _gives_up(peer, time, 2000)


def test_bytes_that_trickle_do_not_put_the_deadline_off_for_ever():
    with Time() as time:
        peer = Peer()
        peer.link.publish(b"a", b"payload", False, 1)
        assert _gives_up(peer, time, 120000, says=_PINGRESP)
        peer = Peer()
        # The packet announces 268 MB, and then one byte arrives every few seconds.
        peer.socket.arrive(b"\x30\xff\xff\xff\x7f\x00")
        assert not _gives_up(peer, time, 60000, 5000, says=b"x")
        peer = Peer()
        peer.socket.arrive(b"\x30\x70")
        assert _gives_up(peer, time, 40000, 5000, says=b"\x00")


def test_a_peer_that_is_gone_without_a_word_is_noticed():
    with Time() as time:
        peer = Peer()
        assert not _gives_up(peer, time, 19000)
        assert b"\xc0\x00" not in peer.heard()
        assert not _gives_up(peer, time, 5000)
        assert b"\xc0\x00" in peer.heard()
        assert _gives_up(peer, time, 10000)


def test_a_peer_that_answers_pings_stays():
    with Time() as time:
        peer = Peer()
        pings = 0
        for _ in range(300):
            assert not _gives_up(peer, time, 1000)
            sent = peer.heard()
            if sent:
                assert sent == b"\xc0\x00"
                peer.say(_PINGRESP)
                pings += 1
        assert 10 <= pings <= 16


def test_messages_alone_are_no_answer_to_a_ping():
    with Time() as time:
        peer = Peer()
        assert not _gives_up(peer, time, 25000)
        assert _gives_up(peer, time, 120000, 2000, says=_publish(b"t", b"x"))


def test_a_node_that_only_listens_pings_as_well():
    with Time() as time:
        peer = Peer()
        _gives_up(peer, time, 21000, says=_publish(b"t", b"x"))
        assert b"\xc0\x00" in peer.heard()


def test_a_network_that_takes_nothing_ends_the_connection():
    with Time() as time:
        peer = Peer()
        peer.socket.room = 5
        peer.link.publish(b"topic", bytes(50), False, 0)
        assert peer.link.is_publishing
        assert _gives_up(peer, time, 120000, 2000, says=_publish(b"t", b"x"))


def test_what_the_network_takes_bit_by_bit_arrives_whole():
    peer = Peer()
    peer.socket.room = 0
    peer.link.publish(b"topic", bytes(range(50)), False, 0)
    for _ in range(60):
        peer.socket.room = 1
        peer.link.step()
    assert bytes(peer.socket.sent) == _publish(b"topic", bytes(range(50)))
    assert not peer.link.is_publishing


def test_an_end_of_the_stream_is_noticed():
    peer = Peer()
    peer.socket.ended = True
    raises(LinkDown, peer.link.step)


def test_messages_arrive_in_pieces_of_any_size():
    for size in (1, 2, 3, 7, 100):
        peer = Peer()
        data = _publish(b"topic", b"payload") + _publish(b"t", bytes(200), 1, 77, flags=8)
        for i in range(0, len(data), size):
            peer.say(data[i : i + size])
        assert peer.messages == [(b"topic", b"payload", 7, False), (b"t", bytes(200), 200, True)]
        assert peer.heard() == b"\x40\x02\x00\x4d"


def test_a_message_that_is_not_safe_is_not_acknowledged():
    peer = Peer()
    peer.takes = False
    peer.say(_publish(b"t", b"x", 1) + _publish(b"t", b"x", 2))
    assert peer.heard() == b""
    peer.takes = True
    peer.say(_publish(b"t", b"x", 1, 258))
    assert peer.heard() == b"\x40\x02\x01\x02"


def test_a_message_that_is_too_large_is_skipped_and_acknowledged():
    peer = Peer()
    peer.say(_publish(b"t", bytes(5000), 1, 5) + _publish(b"t", bytes(257), 0) + _publish(b"t", bytes(256), 0))
    assert [message[1:3] for message in peer.messages] == [(None, 5000), (None, 257), (bytes(256), 256)]
    assert peer.heard() == b"\x40\x02\x00\x05"


def test_a_topic_that_is_too_long_is_skipped_and_acknowledged():
    peer = Peer()
    peer.say(_publish(b"t" * 5000, b"x", 1, 5) + _publish(b"q" * 512, b"x"))
    assert [message[:2] for message in peer.messages] == [(b"t" * 512, None), (b"q" * 512, b"x")]
    assert peer.heard() == b"\x40\x02\x00\x05"


def test_deliveries_of_quality_2_are_completed_and_handed_on_once():
    peer = Peer()
    peer.say(_publish(b"t", b"x", 2, 9))
    assert peer.heard() == b"\x50\x02\x00\x09"
    peer.connect(session=True)
    peer.say(_publish(b"t", b"x", 2, 9, flags=8))
    assert peer.heard() == b"\x50\x02\x00\x09"
    peer.say(b"\x62\x02\x00\x09")
    assert peer.heard() == b"\x70\x02\x00\x09"
    assert len(peer.messages) == 1
    # A broker sends PUBREL again if the PUBCOMP was lost.
    peer.say(b"\x62\x02\x00\x09")
    assert peer.heard() == b"\x70\x02\x00\x09"
    peer.say(_publish(b"t", b"another", 2, 9))
    assert len(peer.messages) == 2


def test_a_broker_that_has_lost_the_session_begins_its_packet_identifiers_again():
    peer = Peer()
    peer.say(_publish(b"t", b"x", 2, 1))
    peer.connect(session=False)
    peer.say(_publish(b"t", b"another", 2, 1))
    assert [message[1] for message in peer.messages] == [b"x", b"another"]


def test_what_nobody_asked_for_is_skipped_by_its_length():
    for first in (0x10, 0x20, 0x40, 0x50, 0x70, 0x80, 0x82, 0x90, 0xA0, 0xB0, 0xC0, 0xD0, 0xE0, 0xF0, 0x00):
        for body in (b"", b"\x00", b"\x00\x01\x80", _publish(b"t", b"inside"), bytes(90)):
            peer = Peer()
            peer.say(bytes((first, len(body))) + body + _publish(b"t", b"after"))
            assert [message[1] for message in peer.messages] == [b"after"]


def test_answers_for_other_packets_do_not_count():
    peer = Peer()
    peer.link.publish(b"a", b"payload", False, 1)
    packet_id = peer.heard()[5:7]
    peer.say(b"\x40\x02\xff\xff" + b"\x90\x03" + packet_id + b"\x01" + b"\x40\x01\x00" + b"\x40\x00")
    assert peer.link.is_publishing
    peer.say(b"\x40\x02" + packet_id)
    assert not peer.link.is_publishing


def test_malformed_packets_end_the_connection():
    for packet in (
        # The remaining length has five bytes.
        b"\x30\xff\xff\xff\xff\x7f",
        # The packet has no room for a topic.
        b"\x30\x01\x00",
        # The topic is longer than the packet.
        b"\x30\x04\x00\x05ab",
        # The packet has no room for a packet identifier.
        b"\x32\x05\x00\x03abc",
        # The message has QoS 3, which does not exist.
        b"\x36\x07\x00\x01a\x00\x01xx",
    ):
        raises(LinkDown, Peer().say, packet)
    raises(LinkDown, Peer(connected=False).say, _publish(b"t", b"before CONNACK"))


def test_any_bytes_end_in_an_orderly_way():
    dice = Dice(5)
    for _ in range(300):
        peer = Peer(connected=dice.below(4) > 0)
        try:
            for _ in range(20):
                peer.say(bytes((dice.below(16) << 4 | dice.below(8),)) + dice.bytes(1 + dice.below(12)))
        except LinkDown:
            pass


def test_subscriptions_go_out_one_by_one():
    peer = Peer()
    peer.link.subscribe(["x" * 512, "ä", "#"])
    sent = peer.heard()
    assert sent[:3] == b"\x82\x85\x04" and not peer.link.is_up
    # This SUBACK is for another packet.
    peer.say(b"\x90\x03\xff\xff\x01")
    assert peer.heard() == b""
    peer.say(b"\x90\x03" + sent[3:5] + b"\x00")
    second = peer.heard()
    assert second[2:4] != sent[3:5] and second[4:] == b"\x00\x02\xc3\xa4\x01"
    peer.say(b"\x90\x03" + second[2:4] + b"\x80")
    third = peer.heard()
    peer.say(b"\x90\x03" + third[2:4] + b"\x01")
    assert [allowed for _, allowed in peer.answers] == [True, False, True]
    assert peer.link.is_up


def test_packet_identifiers_stay_in_16_bits():
    peer = Peer()
    peer.link._packet_id = 0xFFFE
    identifiers = []
    for _ in range(3):
        peer.link.publish(b"a", b"x", False, 1)
        identifiers.append(peer.heard()[5:7])
        peer.say(b"\x40\x02" + identifiers[-1])
    assert identifiers == [b"\xff\xff", b"\x00\x01", b"\x00\x02"]


def test_a_message_sent_again_says_so_and_keeps_its_packet_identifier():
    peer = Peer()
    packet_id = peer.link.publish(b"a", b"x", True, 1)
    first = peer.heard()
    peer.connect()
    assert peer.link.publish(b"a", b"x", True, 1, packet_id) == packet_id
    assert peer.heard() == bytes((first[0] | 0x08,)) + first[1:]
    peer.say(b"\x40\x02" + packet_id.to_bytes(2, "big"))
    assert not peer.link.is_publishing


def test_a_socket_may_say_in_many_ways_that_it_can_do_nothing_yet():
    for nothing in (None, 11, 110, 115, 116, 119, -11, -110, -116):
        peer = Peer(connected=False)
        peer.connect(nothing=nothing)
        peer.socket.room = 3
        peer.link.publish(b"t", b"x", False, 1)
        for _ in range(5):
            peer.link.step()
            peer.socket.room = 3
        assert peer.heard() == _publish(b"t", b"x", 1)
        peer.socket.arrive(_publish(b"t", b"y")[:3])
        peer.link.step()
        peer.say(_publish(b"t", b"y")[3:])
        assert [message[1] for message in peer.messages] == [b"y"]
    peer = Peer(connected=False)
    # EIO does not mean that there is nothing yet, so it must be raised.
    raises(OSError, peer.connect, True, False, 5)


def test_acknowledgements_that_cannot_leave_stop_the_reading():
    peer = Peer()
    peer.socket.room = 0
    for i in range(100):
        peer.socket.arrive(_publish(b"t", b"x", 1, i + 1))
    for _ in range(200):
        peer.link.step()
    assert len(peer.messages) < 40
    peer.socket.room = 1000
    for _ in range(200):
        peer.link.step()
    assert len(peer.messages) == 100 and len(peer.heard()) == 400


def test_closing_never_fails():
    for error in (OSError(5), MemoryError(), ValueError("a driver of the user's own")):
        peer = Peer()
        peer.link.publish(b"t", b"x", False, 1)

        def fail(error=error):
            raise error

        peer.socket.close = fail
        peer.link.close()
        assert peer.link.stream is None and not peer.link.is_up and not peer.link.has_more
        raises(LinkDown, peer.link.step)
        peer.connect()
        assert peer.link.is_up and not peer.link.is_publishing


def test_closing_takes_no_memory():
    peer = Peer()

    def fail():
        raise MemoryError

    peer.link._reset = fail
    peer.link.close()
    assert peer.socket.closed and peer.link.stream is None and not peer.link.is_up
