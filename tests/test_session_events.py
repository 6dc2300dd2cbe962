"""What operators and auditors read about sessions: one line for each logon, logout, refusal, takeover, throttle and kill.

docs/OPERATING.md, The log.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import pytest
from venues import Wire, new_order, venue_config

from ome.audit import AUDIT_FILE, AuditReader
from ome.codec import logout_message
from ome.enums import LogonFlags, Reason
from ome.keys import AdmittedSecret, Role, digest_of_secret, key_text, keys_file_text, make_secret
from ome.server import Server

OF_SESSIONS = {"logon", "logout", "refusal", "takeover", "throttle", "kill", "keys"}


def audited(directory: Path) -> list[tuple[str, dict[str, Any]]]:
    """Kinds and fields of the lines about sessions. The server has stopped."""
    return [(line.kind, dict(line.fields)) for line in AuditReader(directory) if line.kind in OF_SESSIONS]


def words(lines: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """Each line as its kind, participant, session and reason."""
    wanted = ("participant", "session", "reason")
    return [" ".join([kind, *(str(fields.get(name, "-")) for name in wanted)]) for kind, fields in lines]


def test_sessions_leave_one_line_each_for_what_happens(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Logon, refusal, takeover, logout, a connection that breaks, the end of the venue; log and audit file have the same."""
    caplog.set_level(logging.INFO, "ome")
    with Server(venue_config(tmp_path)) as server:
        first, second = Wire(server.orders_endpoint), Wire(server.orders_endpoint)
        assert first.log_on("FIRM1", login_id=7)["reason"] == Reason.NONE
        assert second.log_on("FIRM1", logon_flags=LogonFlags.NO_TAKEOVER)["reason"] == Reason.SESSION_IN_USE
        assert second.log_on("FIRM1")["reason"] == Reason.NONE
        assert first.hear()[1]["reason"] == Reason.SESSION_TAKEN_OVER
        assert first.log_on("FIRM2", heartbeat_ms=1)["reason"] == Reason.BAD_HEARTBEAT
        assert first.log_on("FIRM2")["reason"] == Reason.NONE
        assert first.ask(logout_message())[0] == "Logout"
        second.close()
        deadline = time.monotonic() + 5
        while not any("CONNECTION_LOST" in record.getMessage() for record in caplog.records):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert first.log_on("FIRM3")["reason"] == Reason.NONE
    first.close()
    expected = [
        "logon FIRM1 1 -",
        "refusal FIRM1 - SESSION_IN_USE",
        "takeover FIRM1 1 -",
        "logon FIRM1 1 -",
        "refusal FIRM2 - BAD_HEARTBEAT",
        "logon FIRM2 2 -",
        "logout FIRM2 2 REQUESTED",
        "logout FIRM1 1 CONNECTION_LOST",
        "logon FIRM3 3 -",
        "logout FIRM3 3 ENGINE_STOPPED",
    ]
    found = audited(tmp_path)
    assert words(found) == expected
    assert found[0][1]["login_id"] == 7
    assert found[0][1]["peer"].startswith("127.0.0.1:")
    assert found[2][1]["former"] == found[0][1]["peer"]
    logged = [
        (vars(record)["ome_kind"], vars(record)["ome_fields"])
        for record in caplog.records
        if getattr(record, "ome_kind", "") in OF_SESSIONS
    ]
    assert words(logged) == expected


def test_a_session_that_the_venue_ends_is_a_throttle_or_a_kill(tmp_path: Path) -> None:
    """THROTTLED after it went on sending; NOT_PERMITTED when its secret was removed. Neither line has the secret."""
    keys, secret = tmp_path / "keys.toml", make_secret()
    entry = AdmittedSecret(participant="FIRM1", sha256=digest_of_secret(secret), roles=frozenset({Role.TRADE}))
    keys.write_text(keys_file_text([entry]), encoding="utf-8")
    directory = tmp_path / "journal"
    with Server(venue_config(directory, keys_file=keys, messages_per_second=5)) as server:
        with Wire(server.orders_endpoint) as wire:
            assert wire.log_on("FIRM1", secret=secret)["reason"] == Reason.NONE
            wire.numbers = False
            for _ in range(40):
                wire.say(b"".join(new_order(quantity=0, session_sequence=1 + number) for number in range(200)))
            while (answer := wire.hear())[0] != "Logout":
                pass
            assert answer[1]["reason"] == Reason.THROTTLED
        with Wire(server.orders_endpoint) as wire:
            assert wire.log_on("FIRM1", secret=secret)["reason"] == Reason.NONE
            keys.write_text(keys_file_text([]), encoding="utf-8")
            while (answer := wire.hear())[0] != "Logout":
                pass
            assert answer[1]["reason"] == Reason.NOT_PERMITTED
        with Wire(server.orders_endpoint) as wire:
            assert wire.log_on("FIRM1", secret=secret)["reason"] == Reason.BAD_SECRET
    assert words(audited(directory)) == [
        "logon FIRM1 1 -",
        "throttle FIRM1 1 THROTTLED",
        "logon FIRM1 1 -",
        "keys - - -",
        "kill FIRM1 1 NOT_PERMITTED",
        "refusal FIRM1 - BAD_SECRET",
    ]
    text = (directory / AUDIT_FILE).read_text(encoding="ascii")
    assert not any(form in text for form in (secret.hex(), key_text(secret)))
