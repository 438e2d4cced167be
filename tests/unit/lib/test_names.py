from binascii import hexlify

import e4
from helpers.portable.support import raises


def test_the_tutorials_clients():
    assert e4.receiving_topic(e4.id_of("alice")) == "e4/a7dcef9aef26202fce82a7c7d6672afb"
    assert e4.receiving_topic(e4.id_of("bob")) == "e4/b5d577dc9ce59725e29886632e69ecdf"


def test_text_and_its_bytes_are_the_same_topic():
    text = "ünïcödé/тема/話題"
    assert hexlify(e4.topic_hash(text)) == b"13413918518c766e32a65b8ff33909d9"
    assert e4.topic_hash(text.encode()) == e4.topic_hash(text)


def test_topics_are_measured_in_bytes():
    e4.topic_hash("q" * 512)
    e4.topic_hash("é" * 256)
    for topic in ("", "q" * 513, "é" * 257, b"\xff\xfe", None, 7):
        raises(e4.InvalidTopic, e4.topic_hash, topic)


def test_names_are_measured_in_bytes():
    e4.id_of("x" * 255)
    for name in ("", "x" * 256, "é" * 128, b"\x80"):
        raises(e4.InvalidName, e4.id_of, name)


def test_an_id_has_16_bytes():
    for client_id in (b"", b"i" * 15, b"i" * 17, "i" * 16):
        raises(e4.InvalidName, e4.receiving_topic, client_id)
