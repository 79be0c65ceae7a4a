"""Every command and every block of YAML of the specification, as printed there: carried out, or refused with exit 3."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import cli_case
import pytest
from cli_case import Case, InProcess, refusal

SPEC = (Path(__file__).parent.parent / "data" / "spec.md").read_text(encoding="utf-8")
BLOCKS = {re.split(r":", text, maxsplit=1)[0]: text for text in re.findall(r"^```yaml\n(.*?)^```", SPEC, re.M | re.S)}
COMMANDS = [
    shlex.split(line, comments=True)
    for block in re.findall(r"^```bash\n(.*?)^```", SPEC, re.M | re.S)
    # The comment behind a continued line's last word is no part of it.
    for line in block.replace("\\\n", " ").splitlines()
    if shlex.split(line, comments=True)
]

#: What this version understands and refuses: the list may only shrink.
OWED = [
    ["export", "post-cutover-transactions"],
    ["apply-transactions"],
]


def is_owed(words: list[str]) -> bool:
    return any(all(part in words for part in owed) for owed in OWED)


def test_the_specification_was_read_whole() -> None:
    assert len(COMMANDS) == 16
    assert sum(map(is_owed, COMMANDS)) == len(OWED)
    assert set(BLOCKS) == {
        "pre_migration_checks",
        "cutover_plan",
        "rollback_verification",
        "big_bang_rollback",
        "parallel_rollback",
        "phased_rollback",
        "auto_rollback",
        "post_rollback_analysis",
    }


@pytest.mark.parametrize("words", [w for w in COMMANDS if is_owed(w)], ids=" ".join)
def test_what_is_owed_is_refused_as_not_yet_there(files: Case, call: InProcess, words: list[str]) -> None:
    migration = call("migrations", "create", "--config", files.file())[1]["id"]
    before = files.snapshots()
    assert words[0] == "sensei"
    code, document = call(*(migration if w == "mig_abc123" else w for w in words[1:]))
    assert (code, document["error"]["code"]) == (3, "not_yet")
    assert files.snapshots() == before
    assert not list(files.sensei.folder.glob("*.json"))
    assert call("migrations", "status", migration)[1]["status"] == "planned"


def test_the_commands_of_the_specification_do_what_they_say(to_postgres: Case) -> None:
    case = to_postgres
    folder = case.sensei.folder
    cli_case.fill(folder / "staging.db", cli_case.SHOP)
    cli_case.fill(
        case.source, "CREATE TABLE order_items (id INTEGER PRIMARY KEY, order_id INTEGER REFERENCES orders (id))"
    )
    case.config["connections"] |= {
        "staging": f"sqlite:///{folder}/staging.db",
        "try-out": f"sqlite:///{folder}/try-out.db",
    }
    staging = {"staging": {"source": {"connection": "staging"}, "target": {"connection": "try-out"}}}
    for name in ("migration.yaml", "updated-migration.yaml"):
        case.file({"environments": staging}, name)
    untouched = case.snapshots()
    ids = {"mig_abc123": case.run("migrations", "create", "--config", "migration.yaml", "-q").stdout.strip()}
    carried_out = 0
    for words in COMMANDS:
        if is_owed(words):
            continue
        verb = words[2]
        if verb == "report":  # of one whose validation failed
            made = case.run("migrations", "create", "--config", "migration.yaml", "-q").stdout.strip()
            ids["mig_abc123"] = made
            case.run("migrations", "start", made)
            cli_case.fill(case.target, "DROP INDEX orders_of_customer")
            case.run("validations", "run", made, expect=4)
        if verb == "pause":  # of one that a runner has begun and left
            case.sensei("migrations", "start", ids["mig_abc123"], crash_at="journal:step_begun:copy:before")
        result = case.run(*(ids.get(w, w) for w in words[1:]), json=True)
        carried_out += 1
        if verb == "create":
            ids["mig_staging_123" if "staging" in words else "mig_abc123"] = result.data["id"]
        elif verb == "cancel":
            assert result.data["status"] == "cancelled"
            assert case.snapshots() == untouched
        elif verb == "rollback-script":
            assert ids["mig_abc123"] in (folder / "rollback.sql").read_text()
        elif verb == "report":
            assert (result.data["status"], result.data["failures"][0]["severity"]) == ("validation_failed", "critical")
        elif verb == "divergence":
            assert json.loads((folder / "report.json").read_text())["tables"] == result.data["tables"] != []
        elif verb in ("rollback", "verify-rollback"):
            assert result.data["passed"] is True
            assert result.data["status"] == ("paused" if "--tables" in words else "rolled_back")
    assert carried_out == len(COMMANDS) - len(OWED)
    assert ids["mig_staging_123"].startswith("mig_staging_")
    assert case.snapshots()[0] == untouched[0]


@pytest.mark.parametrize("name", sorted(set(BLOCKS) - {"pre_migration_checks", "rollback_verification"}))
def test_a_block_is_accepted_as_printed_and_plan_says_that_it_is_not_carried_out(
    files: Case, call: InProcess, name: str
) -> None:
    migration = call("migrations", "create", "--config", with_block(files, name))[1]["id"]
    later = call("migrations", "plan", migration)[1]["not_carried_out"]
    assert [o for o in later if o["path"].startswith(name)], later
    assert not any(o["required"] for o in later)


def with_block(case: Case, name: str, text: str = "") -> Path:
    """The migration file with a block of the specification beneath it, as it is printed there."""
    head = "\n".join(
        [
            "name: shop",
            f"connections: {{here: '{cli_case.url(case.source)}', there: '{cli_case.url(case.target)}'}}",
            "source: {connection: here}",
            "target: {connection: there}",
        ]
    )
    return case.sensei.write("migration.yaml", f"{head}\n{text or BLOCKS[name]}")


def test_a_required_check_that_can_not_be_made_yet_blocks_and_is_never_skipped(files: Case, call: InProcess) -> None:
    migration = call("migrations", "create", "--config", with_block(files, "pre_migration_checks"))[1]["id"]
    later = {o["path"]: o["required"] for o in call("migrations", "plan", migration)[1]["not_carried_out"]}
    assert later["pre_migration_checks[0].source.full_backup_exists"] is True
    assert later["pre_migration_checks[0].target.schema_only_backup"] is False
    words = ["migrations", "start", migration]
    refusal(files, words, "not_yet", 3, "full_backup_exists", "backup_tested", "configuration")
    assert "blocks start" in files.run("migrations", "plan", migration).stdout
    assert call("migrations", "status", migration)[1]["status"] == "planned"


def test_the_lines_of_the_rollbacks_verification_are_those_that_are_measured(files: Case, call: InProcess) -> None:
    migration = call("migrations", "create", "--config", with_block(files, "rollback_verification"))[1]["id"]
    assert not [
        o for o in call("migrations", "plan", migration)[1]["not_carried_out"] if "rollback_verification" in o["path"]
    ]
    files.run("migrations", "start", migration)
    shown = files.run("migrations", "rollback", migration, "--full", "--verify").stdout
    assert BLOCKS["rollback_verification"].strip() in shown


def test_start_says_what_is_not_carried_out_and_runs(files: Case) -> None:
    text = "\n".join(text for name, text in BLOCKS.items() if name != "pre_migration_checks")
    created = files.run("migrations", "create", "--config", with_block(files, "all", text), "--quiet")
    result = files.run("migrations", "start", created.stdout.strip())
    assert "auto_rollback is enabled, but this version does NOT act" in result.stderr
    assert "cutover is not carried out yet" in result.stderr


def test_an_action_of_a_later_version_is_said_and_blocks_where_the_result_would_differ(
    files: Case, call: InProcess
) -> None:
    for options, blocks in (
        ({"mode": "live"}, True),
        ({"executor": "dask://host:8786"}, True),
    ):
        code, document = call("migrations", "create", "--config", files.file({"options": options}))
        assert code == 0, document
        words = ["migrations", "start", document["id"]]
        (name,) = options
        before = files.snapshots()
        code, refused = call(*words)
        assert (code == 3) is blocks
        assert refused["error"]["code"] == "not_yet"
        assert name in refused["error"]["message"]
        assert files.snapshots() == before
