"""The audit file: every logon, refusal and administrative act of a venue, one line each, each bound to all before it.

`lines` is the format and its reader, `file` the writer. The journal's manifest records how many lines there are and their chain digest
(ome/recovery/manifest.py), so that a file that was written anew does not agree with it.
"""

from __future__ import annotations

from ome.audit.file import Audit, AuditFile, NoAudit, note_act
from ome.audit.lines import AUDIT_FILE, AuditIntegrityError, AuditLine, AuditReader, begin_line, find_end

__all__ = [
    "AUDIT_FILE",
    "Audit",
    "AuditFile",
    "AuditIntegrityError",
    "AuditLine",
    "AuditReader",
    "NoAudit",
    "begin_line",
    "find_end",
    "note_act",
]
