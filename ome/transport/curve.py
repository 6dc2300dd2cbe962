"""Encrypted connections: libsodium's functions for the listener in C, and the keys for a client's socket.

The functions are those of the libsodium inside PyNaCl. C gets their addresses; no call goes through Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import nacl.bindings  # noqa: F401  it initializes libsodium
import zmq
from nacl._sodium import ffi as sodium_ffi, lib as sodium

from ome._native import CData, ffi, lib
from ome.errors import InvalidValueError
from ome.keys import KEY_SIZE, ClientKeys, KeyPair

__all__ = ["ServerCurve", "curve_config", "key_rows", "set_client_keys"]

_FUNCTIONS = {
    "box_keypair": "crypto_box_keypair",
    "box_beforenm": "crypto_box_beforenm",
    "secretbox_easy": "crypto_secretbox_easy",
    "secretbox_open_easy": "crypto_secretbox_open_easy",
    "random_bytes": "randombytes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCurve:
    """The keys of a listener: its own, and the numbers, from 1, of the public keys that it admits."""

    pair: KeyPair
    admitted: Mapping[bytes, int]
    key_count_max: int = 4_096
    """Keys that may be admitted at a time, up to 65,536."""


def curve_config(curve: ServerCurve) -> CData:
    """An ome_curve_config_t *, for the time of a call: C copies it."""
    if not 1 <= curve.key_count_max <= lib.OME_CURVE_KEY_COUNT_MAX:
        raise InvalidValueError("key_count_max", found=curve.key_count_max, allowed=f"1 to {lib.OME_CURVE_KEY_COUNT_MAX}")
    config = ffi.new("ome_curve_config_t *")
    for name, field in ffi.typeof("ome_curve_primitives_t").fields:
        address = sodium_ffi.addressof(sodium, _FUNCTIONS[name])
        setattr(config.primitives, name, ffi.cast(field.type, int(sodium_ffi.cast("uintptr_t", address))))
    config.public_key = _key(curve.pair.public)
    config.secret_key = _key(curve.pair.secret)
    config.key_count_max = curve.key_count_max
    return config


def key_rows(admitted: Mapping[bytes, int]) -> CData:
    """The keys as C wants them: an array of ome_curve_key_t in the order of their bytes. Raises InvalidValueError."""
    rows = ffi.new("ome_curve_key_t[]", len(admitted))
    for row, public in zip(rows, sorted(admitted), strict=True):
        if not 1 <= admitted[public] < 1 << 32:
            raise InvalidValueError("number of a key", found=admitted[public], allowed="1 to 2^32 - 1")
        row.public_key = _key(public)
        row.key_id = admitted[public]
    return rows


def set_client_keys(raw: zmq.Socket[bytes], keys: ClientKeys) -> None:
    """Gives a socket that is not connected yet the keys of its connections."""
    raw.setsockopt(zmq.CURVE_SERVERKEY, _key(keys.server))
    raw.setsockopt(zmq.CURVE_PUBLICKEY, _key(keys.pair.public))
    raw.setsockopt(zmq.CURVE_SECRETKEY, _key(keys.pair.secret))


def _key(key: bytes) -> bytes:
    if not isinstance(key, bytes) or len(key) != KEY_SIZE:
        raise InvalidValueError("key", found=f"{type(key).__name__} of length {len(key)}", allowed=f"bytes of length {KEY_SIZE}")
    return key
