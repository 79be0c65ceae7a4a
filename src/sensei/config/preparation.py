"""The section `pre_migration_checks`: what must hold before anything moves."""

from __future__ import annotations

from typing import Literal

from sensei.config.fields import Duration, Section

#: required blocks start; recommended and enabled are said where unmet.
Demand = Literal["required", "recommended", "enabled"]

#: The fields of a side that hold a Demand.
DEMANDS = ("full_backup_exists", "backup_tested", "schema_only_backup", "point_in_time_recovery")


class BackupDemands(Section):
    """What is demanded of the backups of one database."""

    full_backup_exists: Demand | None = None
    backup_tested: Demand | None = None
    #: Longest time that a restore may take.
    recovery_time_objective: Duration | None = None
    schema_only_backup: Demand | None = None
    point_in_time_recovery: Demand | None = None


class BackupVerification(Section):
    """The check of type `backup_verification`."""

    type: Literal["backup_verification"]
    source: BackupDemands = BackupDemands()
    target: BackupDemands = BackupDemands()
