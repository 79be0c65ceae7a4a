"""Every YAML block of the rollback procedures parses as it is printed there."""

from __future__ import annotations

from datetime import UTC, datetime

from sensei import config
from sensei.config import fields

BASE = """\
name: shop
source: {connection: prod-source, schemas: [shop]}
target: {connection: prod-target, schema: shop}
"""

CHECKS = """\
pre_migration_checks:
  - type: backup_verification
    source:
      full_backup_exists: required
      backup_tested: required
      recovery_time_objective: 4h
    target:
      schema_only_backup: recommended
      point_in_time_recovery: enabled
"""

CUTOVER = """\
cutover_plan:
  window_start: '2026-02-15T02:00:00Z'
  window_end: '2026-02-15T06:00:00Z'

  rollback_decision_point: '2026-02-15T04:00:00Z' # Latest time to decide

  contacts:
    decision_maker: 'cto@example.com'
    technical_lead: 'dba@example.com'
    business_owner: 'ops@example.com'
"""

VERIFICATION = """\
rollback_verification:
  - source_row_counts: unchanged
  - source_data_integrity: verified
  - target_cleaned: true
  - indexes_restored: true
  - sequences_reset: true
"""

BIG_BANG = """\
big_bang_rollback:
  steps: 1. Announce rollback (all-hands communication)
    2. Stop all application access to target
    3. Capture any transactions since cutover
    4. Restore source system access
    5. Apply post-cutover transactions to source (if possible)
    6. Resume business operations on source
    7. Diagnose failure before retry
"""

PARALLEL = """\
parallel_rollback:
  steps: 1. Switch application traffic back to source (typically load balancer)
    2. Continue parallel writes until confident
    3. Investigate target issues
    4. Resume migration when ready
"""

PHASED = """\
phased_rollback:
  scope: Only roll back affected phase
  steps: 1. Identify affected user groups or data domains
    2. Switch those users/domains back to source
    3. Continue operating hybrid during investigation
    4. Resume migration when fixed
"""

TRIGGERS = """\
auto_rollback:
  enabled: true
  triggers:
    - condition: error_rate > 5%
      action: pause_and_alert

    - condition: row_count_mismatch > 1%
      action: stop_and_investigate

    - condition: validation_failure
      severity: critical
      action: auto_rollback

    - condition: duration > planned_duration * 2
      action: alert_and_assess
"""

ANALYSIS = """\
post_rollback_analysis:
  questions:
    - What triggered the rollback?
    - When was the issue first detectable?
    - Could validation have caught this earlier?
    - Was the rollback procedure smooth?
    - What changes are needed before retry?

  artifacts_to_preserve:
    - Migration logs
    - Validation reports
    - Performance metrics
    - Error messages
    - Timeline of events
"""

ALL = BASE + CHECKS + CUTOVER + VERIFICATION + BIG_BANG + PARALLEL + PHASED + TRIGGERS + ANALYSIS


def test_backup_verification_parses_as_printed() -> None:
    (check,) = config.loads(BASE + CHECKS).config.pre_migration_checks
    assert (check.type, check.source.full_backup_exists, check.source.backup_tested) == (
        "backup_verification",
        "required",
        "required",
    )
    assert check.source.recovery_time_objective is not None
    assert fields.seconds(check.source.recovery_time_objective) == 4 * 3600
    assert (check.target.schema_only_backup, check.target.point_in_time_recovery) == (
        "recommended",
        "enabled",
    )


def test_cutover_plan_parses_as_printed() -> None:
    plan = config.loads(BASE + CUTOVER).config.cutover_plan
    assert plan is not None
    assert plan.window_start == datetime(2026, 2, 15, 2, tzinfo=UTC)
    assert plan.rollback_decision_point == datetime(2026, 2, 15, 4, tzinfo=UTC)
    assert plan.window_end == datetime(2026, 2, 15, 6, tzinfo=UTC)
    assert plan.contacts.technical_lead == "dba@example.com"
    assert plan.strategy == "big_bang"


def test_rollback_verification_parses_as_printed() -> None:
    assert config.loads(BASE + VERIFICATION).config.verification_lines == {
        "source_row_counts": "unchanged",
        "source_data_integrity": "verified",
        "target_cleaned": True,
        "indexes_restored": True,
        "sequences_reset": True,
    }


def test_the_folded_steps_of_runbooks_become_single_steps() -> None:
    loaded = config.loads(BASE + BIG_BANG + PARALLEL + PHASED).config
    assert loaded.big_bang_rollback is not None
    assert loaded.parallel_rollback is not None
    assert loaded.phased_rollback is not None
    assert loaded.big_bang_rollback.steps == (
        "Announce rollback (all-hands communication)",
        "Stop all application access to target",
        "Capture any transactions since cutover",
        "Restore source system access",
        "Apply post-cutover transactions to source (if possible)",
        "Resume business operations on source",
        "Diagnose failure before retry",
    )
    assert len(loaded.parallel_rollback.steps) == 4
    assert loaded.phased_rollback.scope == "Only roll back affected phase"
    assert loaded.phased_rollback.steps[1] == "Switch those users/domains back to source"


def test_auto_rollback_parses_as_printed() -> None:
    rollback = config.loads(BASE + TRIGGERS).config.auto_rollback
    assert rollback is not None
    assert rollback.enabled
    assert [t.action for t in rollback.triggers] == [
        "pause_and_alert",
        "stop_and_investigate",
        "auto_rollback",
        "alert_and_assess",
    ]
    assert rollback.triggers[2].severity == "critical"
    assert rollback.triggers[0].parsed.holds({"error_rate": 0.06})


def test_post_rollback_analysis_parses_as_printed() -> None:
    analysis = config.loads(BASE + ANALYSIS).config.post_rollback_analysis
    assert analysis is not None
    assert analysis.questions[0] == "What triggered the rollback?"
    assert analysis.artifacts_to_preserve[-1] == "Timeline of events"


def test_all_blocks_together_parse_and_survive_their_canonical_json() -> None:
    loaded = config.loads(ALL)
    again = config.MigrationConfig.model_validate_json(loaded.config.canonical_json())
    assert again == loaded.config
    assert again.digest() == loaded.digest


def test_what_is_not_carried_out_yet_is_said_and_required_checks_block() -> None:
    owed = {o.path: o for o in config.not_yet(config.loads(ALL))}
    assert {path for path, o in owed.items() if o.required} == {
        "pre_migration_checks[0].source.full_backup_exists",
        "pre_migration_checks[0].source.backup_tested",
    }
    assert {"cutover_plan", "auto_rollback", "post_rollback_analysis", "phased_rollback"} <= set(owed)
    assert "rollback_verification" not in owed
    assert ALL.splitlines()[owed["cutover_plan"].line - 1] == "cutover_plan:"
    assert "full_backup_exists" in ALL.splitlines()[owed["pre_migration_checks[0].source.full_backup_exists"].line - 1]


def test_the_contracts_migration_file_parses() -> None:
    text = """\
name: shop
environment: production                 # optional
source: {connection: prod-source, schemas: [shop], include_tables: ["*"], exclude_tables: [audit_log, "tmp_*"]}
target: {connection: prod-target, schema: shop}
options:
  mode: full
  capture: auto
  parallelism: 2
  executor: local
  chunk_rows: 100000
  on_existing: fail
  on_row_error: quarantine
  evidence: keep
  accept_lossy: [orders.total]
  zero_dates: fail
tables:
  customers:
    target: clients
    columns:
      full_name: {target: name}
      price_cents: {target: price, type: "numeric(12,2)", expression: "price_cents / 100.0", inverse: "price * 100"}
    where: "deleted_at IS NULL"
cutover_plan:
  strategy: phased
  phases: [{name: first, tables: [customers]}, {name: second, tables: [shop.orders]}]
  traffic: {to_target: "lb switch target", to_source: "lb switch source", check: "https://lb.example.com/side"}
validation: {auto: none, workload: queries.sql, fidelity: exact, max_age: 24h}
notifications: {urls: ["slack://${SLACK}"], mail: "mailto://${MAIL_USER}:${MAIL_PASSWORD}@example.com"}
environments: {staging: {source: {connection: st-source}, target: {connection: st-target}}}
"""
    loaded = config.loads(text)
    assert loaded.warnings == []
    assert loaded.environments == ("staging",)
    source = loaded.config.source
    assert source.selects("shop", "orders")
    assert not source.selects("shop", "audit_log")
    assert not source.selects("shop", "tmp_1")
    assert not [o for o in config.not_yet(loaded) if o.required]
