"""Random changes to valid samples: bytes, text and JSON values. The dice alone decide, so that all can be repeated.

This module runs on CPython and on MicroPython.
"""

import json

# Sizes and numbers at which formats and buffers end.
SIZES = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 47, 48, 49, 63, 64, 65, 127, 128, 129, 255, 256, 257,
         511, 512, 513, 1023, 1024, 1025)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 3, 59, 60, 61, 127, 128, 255, 256, 511, 512, 513, 1000, 1883, 4096, 32767, 32768, 65535, 65536,
           (1 << 30) - 1, 1 << 30, (1 << 31) - 1, 1 << 31, -(1 << 31), (1 << 32) - 1, 1 << 32, (1 << 53) + 1,
           (1 << 63) - 1, 1 << 63, (1 << 64) - 1, 1 << 64, -(1 << 63), 10**30)  # fmt: skip
_CHARACTERS = "aZ09 ._-/:+#$,;=\"'\\{}[]()<>|&%*?!~@\t\n\r\0\x1b\x7f\x85\xa0äß²٣€\u2028\ufeff\U0001f600"
# Words that mean something to one of the parsers.
_WORDS = ("null", "true", "NaN", "-Infinity", "1e999", "e4/", "$SYS", "../", "://", "name", "topics", "%s", "{}",
          "\x1b]0;x\x07", "0x10", "1_000", "None", "\r\n", "--", "=", "\\udfff")  # fmt: skip


def pick(dice, values):
    """Return one of some values."""
    return values[dice.below(len(values))]


def chance(dice, one_in):
    """Return True once in so many times."""
    return dice.below(one_in) == 0


def size(dice, most):
    """Return a size up to `most`; sizes at which something ends are frequent."""
    return min(pick(dice, SIZES) if dice.below(2) else dice.below(most + 1), most)


def noise(dice, most):
    """Return up to `most` bytes without any structure."""
    n = size(dice, most)
    kind = dice.below(4)
    if kind == 0:
        return bytes((pick(dice, (0, 0xFF, 0x20, 0x41, 0x80)),)) * n
    if kind == 1:
        return bytes(0x20 + dice.below(95) for _ in range(n))
    return dice.bytes(n)


def change(dice, data, others=()):
    """Return `data` with one change. `others` are further samples, of which pieces are taken."""
    n = len(data)
    at = dice.below(n + 1)
    kind = dice.below(12)
    if n and kind <= 2:  # one bit
        at %= n
        return data[:at] + bytes((data[at] ^ 1 << dice.below(8),)) + data[at + 1 :]
    if n and kind <= 4:  # one byte
        at %= n
        return data[:at] + bytes((pick(dice, (0, 1, 0x7F, 0x80, 0xFE, 0xFF, dice.below(256))),)) + data[at + 1 :]
    if kind == 5:  # the end is missing
        return data[:at]
    if kind == 6:  # the beginning is missing
        return data[at:]
    if kind == 7:  # more in the middle
        return data[:at] + noise(dice, 20) + data[at:]
    if kind == 8:  # a piece is missing
        return data[:at] + data[at + 1 + dice.below(8) :]
    if kind == 9:  # a piece twice
        end = at + 1 + dice.below(40)
        return data[:end] + data[at:end] + data[end:]
    if kind == 10 and others:  # a piece of another sample
        other = pick(dice, others)
        return data[:at] + other[dice.below(len(other) + 1) :]
    # a number of 1, 2, 4 or 8 bytes, in either order
    width = 1 << dice.below(4)
    number = (pick(dice, NUMBERS) & (1 << 8 * width) - 1).to_bytes(width, pick(dice, ("little", "big")))
    return data[:at] + number + data[at + width :]


def mutate(dice, samples, most_noise=200):
    """Return bytes: seldom a sample as it is, seldom noise, mostly a sample with one to five changes."""
    kind = dice.below(12)
    if kind == 0:
        return noise(dice, most_noise)
    data = bytes(pick(dice, samples))
    if kind == 1:
        return data
    for _ in range(1 + (dice.below(5) if dice.below(2) else 0)):
        data = change(dice, data, samples)
    return data


def text(dice, most=40):
    """Return random text, also of signs that parsers take for something else."""
    parts = []
    for _ in range(size(dice, most)):
        parts.append(pick(dice, _CHARACTERS))
    return "".join(parts)


def change_text(dice, sample):
    """Return text with one change."""
    at = dice.below(len(sample) + 1)
    end = at + 1 + dice.below(6)
    kind = dice.below(9)
    if kind == 0:
        return sample[:at]
    if kind == 1:
        return sample[at:]
    if kind == 2:
        return sample[:at] + sample[end:]
    if kind == 3:
        return sample[:end] + sample[at:end] + sample[end:]
    if kind == 4:
        return sample[:at] + pick(dice, _WORDS) + sample[at:]
    if kind == 5:
        return sample[:at] + str(pick(dice, NUMBERS)) + sample[end:]
    if kind == 6 and chance(dice, 6):
        return sample[:at] + pick(dice, _CHARACTERS) * pick(dice, SIZES) + sample[at:]
    return sample[:at] + pick(dice, _CHARACTERS) + sample[at + dice.below(2) :]


def mutate_text(dice, samples, most=40):
    """Return text: seldom a sample as it is, seldom random signs, mostly a sample with one to four changes."""
    kind = dice.below(10)
    if kind == 0:
        return text(dice, most)
    given = pick(dice, samples)
    if kind == 1:
        return given
    for _ in range(1 + dice.below(4)):
        given = change_text(dice, given)
    return given


def value(dice, depth=3):
    """Return a random value that JSON can express."""
    kind = dice.below(9 if depth else 6)
    if kind == 0:
        return pick(dice, (None, True, False))
    if kind == 1:
        return pick(dice, NUMBERS)
    if kind == 2:
        return pick(dice, (0.5, -1.5, 1e300, float("inf"), float("nan"), 60.0))
    if kind <= 5:
        return pick(dice, ("", text(dice, 12), "x" * pick(dice, SIZES), pick(dice, _WORDS), "\ud800"))
    if kind == 6:
        return [value(dice, depth - 1) for _ in range(dice.below(4))]
    return {text(dice, 8): value(dice, depth - 1) for _ in range(dice.below(4))}


def change_value(dice, sample, samples=()):
    """Return a JSON value with one change somewhere in it: another type, number or text, an entry more or less."""
    if isinstance(sample, dict) and sample and dice.below(6):
        changed = dict(sample)
        names = sorted(changed)
        name = pick(dice, names)
        kind = dice.below(6)
        if kind == 0:
            del changed[name]
        elif kind == 1:
            changed[mutate_text(dice, names)] = changed[name]
        else:
            changed[name] = change_value(dice, changed[name], samples)
        return changed
    if isinstance(sample, list) and sample and dice.below(6):
        changed = list(sample)
        at = dice.below(len(changed))
        kind = dice.below(5)
        if kind == 0:
            del changed[at]
        elif kind == 1:
            changed = changed + changed[at : at + 1] * (1 + dice.below(10))
        else:
            changed[at] = change_value(dice, changed[at], samples)
        return changed
    kind = dice.below(5)
    if isinstance(sample, str) and kind < 3:
        return change_text(dice, sample)
    if isinstance(sample, int) and not isinstance(sample, bool) and kind < 3:
        return sample + pick(dice, (1, -1, 1000, -sample, pick(dice, NUMBERS)))
    if kind == 3:
        return [sample] if dice.below(2) else {"value": sample}
    if samples and kind == 4:
        return pick(dice, samples)
    return value(dice)


def mutate_value(dice, samples):
    """Return a JSON value: seldom a sample as it is, seldom a random value, mostly a sample with changes."""
    kind = dice.below(12)
    if kind == 0:
        return value(dice)
    given = pick(dice, samples)
    if kind == 1:
        return given
    for _ in range(1 + dice.below(3)):
        given = change_value(dice, given, samples)
    return given


def deep(dice):
    """Return JSON text that is nested deeply, or a very long number."""
    n = pick(dice, (20, 200, 1000, 3000))
    kind = dice.below(5)
    if kind == 0:
        return "[" * n + "]" * n
    if kind == 1:
        return '{"name":' * n + "1" + "}" * n
    if kind == 2:
        return "[" * n
    if kind == 3:
        return "-" * dice.below(2) + "9" * n
    return '{"name": "' + "\\u0041" * n + '"}'


def json_bytes(dice, samples):
    """Return bytes like a file of JSON: a changed value, changed text of a value, or deeply nested text."""
    kind = dice.below(12)
    if kind == 0:
        whole = deep(dice)
    else:
        whole = json.dumps(mutate_value(dice, samples))
        if kind <= 6:
            for _ in range(1 + dice.below(4)):
                whole = change_text(dice, whole)
    data = whole.encode()
    return change(dice, data) if kind <= 3 else data


def split(dice, data):
    """Return `data` in pieces of random sizes."""
    pieces = []
    kind = dice.below(3)
    while data:
        n = 1 if kind == 0 else 1 + dice.below(8 if kind == 1 else 200)
        pieces.append(data[:n])
        data = data[n:]
    return pieces
