"""What a fuzzer is: a source of inputs, the parser that gets them, and the exceptions that the parser documents.

This module runs on CPython and on MicroPython.
"""

import binascii

from helpers.portable.support import Dice


class Broken(Exception):
    """Something that must hold for every input does not hold for this one. It is a finding, and never a refusal."""


class Ignored(Exception):
    """The parser has returned its value for "this is nothing for me", such as None. It counts as a refusal."""


class Parser:
    """One parser under test.

    `refusals` are the exceptions that it documents: an exception of exactly one of these classes is a refusal, and
    every other one is a finding. `least` is the number of inputs in a short run, before it is multiplied; it is small
    for a parser that is slow.

    An object is made once and used for many inputs. No input may depend on those before it, so that each of them can be
    repeated alone.
    """

    refusals: tuple = ()

    def make(self, dice):
        """Return an input, the same for the same dice."""
        raise NotImplementedError

    def parse(self, given):
        """Have the parser parse an input, and check what must hold for its result.

        Raises one of `refusals` if the parser refuses the input, and `Broken` if something does not hold.
        """
        raise NotImplementedError

    def is_refusal(self, error):
        """Return whether an exception is one that the parser documents."""
        return type(error) in self.refusals

    def judge(self, given):
        """Parse an input. Return the name of the exception that refuses it, or "" if it is accepted.

        Raises everything that is a finding.
        """
        try:
            self.parse(given)
        except Exception as error:
            if not self.is_refusal(error):
                raise
            return type(error).__name__
        return ""


def dice_for(name, seed, number):
    """Return the dice that make input number `number` of a parser in the run with this seed."""
    return Dice(binascii.crc32("{} {} {}".format(name, seed, number).encode()) & 0x7FFFFFFF)


def check(holds, text):
    """Raise Broken with this text unless `holds` is true."""
    if not holds:
        raise Broken(text)
