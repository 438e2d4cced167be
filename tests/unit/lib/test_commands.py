import e4
from e4 import commands
from helpers.portable.support import raises

_KEY = bytes(range(32))


def test_what_is_built_is_what_is_parsed():
    hashed = e4.topic_hash("t")
    assert commands.parse(commands.remove_topic("t")) == (0, None, hashed)
    assert commands.parse(commands.reset_topics()) == (1, None, None)
    assert commands.parse(commands.set_id_key(_KEY)) == (2, _KEY, None)
    assert commands.parse(commands.set_topic_key(_KEY, "t")) == (3, _KEY, hashed)


def test_every_other_length_and_byte_is_refused():
    right = {0: (17,), 1: (1,), 2: (33,), 3: (49,), 4: (17,), 5: (1,), 6: (49,), 7: (33,)}
    raises(e4.InvalidCommand, commands.parse, b"")
    for opcode in list(range(9)) + [127, 128, 255]:
        for size in range(1, 70):
            command = bytes((opcode,)) + b"\x01" * (size - 1)
            if size not in right.get(opcode, ()):
                raises(e4.InvalidCommand, commands.parse, command)
            elif opcode > 3:
                raises(e4.UnsupportedCommand, commands.parse, command)
            else:
                assert commands.parse(command)[0] == opcode


def test_all_zero_keys_are_refused_on_both_sides():
    raises(e4.InvalidKey, commands.set_topic_key, bytes(32), "t")
    raises(e4.InvalidKey, commands.set_id_key, bytes(32))
    raises(e4.InvalidKey, commands.set_id_key, bytes(64))
    raises(e4.InvalidCommand, commands.parse, b"\x02" + bytes(32))
    raises(e4.InvalidCommand, commands.parse, b"\x03" + bytes(32) + b"h" * 16)


def test_set_id_key_for_the_public_key_mode_has_64_bytes_and_is_not_for_us():
    command = commands.set_id_key(_KEY + _KEY)
    assert len(command) == 65
    raises(e4.InvalidCommand, commands.parse, command)
    raises(e4.InvalidKey, commands.set_id_key, _KEY + b"x")
