"""What is wrong with a journal, and what can be done about it.

`diagnose` looks as a start and `verify` do, and changes nothing; what it finds is a row of `findings.TABLE`, with one of its remedies.
`apply_remedy` does it. There may be more wrong behind it: diagnose again. `copy_directory` comes before the first. `quarantine` is for a
command that trips an assertion.

All of it is for the one process that uses the directory. What is taken out of the journal gets the name `<name>.set-aside`; nothing is
removed.

Parts: `diagnosing` asks one after another `damage` (what cannot be read), `beginning` (what a start begins with), `event_log` and `copies`
(the manifest, and copies that may take a segment's place), each of which gives a `diagnosis`; `copying`, `remedies` and `quarantining` do.
"""

from __future__ import annotations

from ome.recovery.repair.copying import copy_directory
from ome.recovery.repair.diagnosing import diagnose
from ome.recovery.repair.diagnosis import Diagnosis, RepairError
from ome.recovery.repair.quarantining import quarantine
from ome.recovery.repair.remedies import apply_remedy

__all__ = ["Diagnosis", "RepairError", "apply_remedy", "copy_directory", "diagnose", "quarantine"]
