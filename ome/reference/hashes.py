"""The hash of events and of state: blocks of eight 64-bit words. Source: docs/RULES.md, Hashes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Final

__all__ = ["EVENTS_INITIAL", "STATE_INITIAL", "Words", "fold_records", "fold_words", "unsigned"]

_MASK: Final = 2**64 - 1
_K0: Final = 0x9E3779B97F4A7C15
_K1: Final = 0xA0761D6478BD642F
_K2: Final = 0xE7037ED1A0B428DB
_K3: Final = 0x8EBC6AF09C88C6E3
_K4: Final = 0x589965CC75374CC3
_K5: Final = 0x1D8E4E27C47D124F
_K6: Final = 0xEB44ACCAB455D165
_K7: Final = 0x2F9BE6CC7F4A7C21

EVENTS_INITIAL: Final = _K7
STATE_INITIAL: Final = _K6

Words = tuple[int, int, int, int, int, int, int, int]
_WORDS: Final = struct.Struct("<8Q")


def fold_words(value: int, blocks: Iterable[Words]) -> int:
    """The hash `value` after these blocks. Words are 0 to 2^64 - 1."""
    for w0, w1, w2, w3, w4, w5, w6, w7 in blocks:
        a = (w0 ^ _K0) * (w1 ^ _K1)
        b = (w2 ^ _K2) * (w3 ^ _K3)
        c = (w4 ^ _K4) * (w5 ^ _K5)
        d = (w6 ^ _K6) * (w7 ^ _K7)
        products = a ^ b ^ c ^ d  # the low half xor the high half of each product, taken once: xor has no carry
        block = (products ^ (products >> 64)) & _MASK
        product = (value ^ block) * _K0
        value = (product ^ (product >> 64)) & _MASK
    return value


def fold_records(value: int, records: bytes | bytearray) -> int:
    """The hash `value` after these records of 64 bytes."""
    return fold_words(value, _WORDS.iter_unpack(records))


def unsigned(number: int) -> int:
    """The 64-bit word that holds `number` in two's complement."""
    return number & _MASK
