"""Keys: shown once, kept as a digest, replaced with an overlap, ended at once; on the command line too."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from forecast_platform.api.keys import SHAPE, KeyRefused, Keys, Scope
from forecast_platform.cli import main
from forecast_platform.state import State, api_keys

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=2)


@pytest.fixture
def keys(state_url: str) -> Keys:
    return Keys(State(state_url))


def test_a_key_is_found_by_what_its_owner_has_and_by_nothing_less(keys: Keys):
    made, text = keys.create("shop", name="till", scopes={Scope.READ, Scope.WRITE}, now=NOW)
    assert SHAPE.fullmatch(text) and keys.verify(text, NOW) == made
    for wrong in (text[:-1], text + "A", text.swapcase(), made.key_id, "", f"fp_{made.key_id}_{'A' * 43}"):
        assert keys.verify(wrong, NOW) is None


def test_the_secret_is_in_no_place_but_its_owners(keys: Keys, state_url: str):
    made, text = keys.create("shop", name="till", scopes={Scope.READ}, now=NOW)
    with State(state_url).reading() as connection:
        stored = str(connection.execute(sa.select(api_keys)).all())
    # The secret may hold the sign that it is set apart by.
    secret = text.partition(f"{made.key_id}_")[2]
    assert len(secret) > 40 and text not in stored and secret not in stored
    assert text not in str(keys.list())


def test_a_key_ends_with_its_term(keys: Keys):
    _, text = keys.create("shop", name="till", scopes={Scope.READ}, expires_at=LATER, now=NOW)
    assert keys.verify(text, LATER - timedelta(seconds=1)) and keys.verify(text, LATER) is None


def test_a_disabled_key_ends_at_once_and_once(keys: Keys):
    made, text = keys.create("shop", name="till", scopes={Scope.READ}, now=NOW)
    keys.disable(made.key_id, now=NOW)
    assert keys.verify(text, NOW) is None and keys.list()[0].status(NOW) == "disabled"
    with pytest.raises(KeyRefused, match="is disabled"):
        keys.disable(made.key_id, now=LATER)
    with pytest.raises(KeyRefused, match="is disabled"):
        keys.rotate(made.key_id, overlap=timedelta(hours=1), now=LATER)


def test_a_key_and_its_follower_both_hold_for_the_overlap(keys: Keys):
    term = timedelta(days=90)
    old, first = keys.create("shop", name="till", scopes={Scope.JOBS}, expires_at=NOW + term, now=NOW)
    new, second = keys.rotate(old.key_id, overlap=timedelta(hours=1), now=LATER)
    assert (new.tenant, new.name, new.scopes, new.follows) == ("shop", "till", {Scope.JOBS}, old.key_id)
    assert new.expires_at == LATER + term
    assert keys.verify(first, LATER) and keys.verify(second, LATER)
    after = LATER + timedelta(hours=1)
    assert keys.verify(first, after) is None and keys.verify(second, after)


def test_a_rotation_lengthens_no_term(keys: Keys):
    old, text = keys.create("shop", name="till", scopes={Scope.READ}, expires_at=LATER, now=NOW)
    keys.rotate(old.key_id, overlap=timedelta(days=30), now=NOW)
    assert keys.verify(text, LATER) is None


def test_a_key_that_allows_nothing_or_is_over_is_not_made(keys: Keys):
    with pytest.raises(KeyRefused, match="read, write, jobs, admin"):
        keys.create("shop", name="till", scopes=set(), now=NOW)
    with pytest.raises(KeyRefused, match="expired already"):
        keys.create("shop", name="till", scopes={Scope.READ}, expires_at=NOW, now=NOW)
    with pytest.raises(KeyRefused, match="no key 'nothing'"):
        keys.disable("nothing", now=NOW)


def test_the_commands_make_list_follow_and_end_keys(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    keys, run = Keys(State(f"sqlite:///{tmp_path / 'state.db'}")), CliRunner().invoke

    made = run(main, ["keys", "create", "--tenant", "demo", "--name", "till", "--scope", "read", "--days", "30"])
    assert made.exit_code == 0
    first = made.stdout.splitlines()[-1]
    key_id = first.split("_")[1]
    assert keys.verify(first, datetime.now(UTC)).scopes == {Scope.READ}

    followed = run(main, ["keys", "rotate", key_id, "--overlap-hours", "0"])
    second = next(line for line in followed.stdout.splitlines() if line.startswith("fp_"))
    assert keys.verify(first, datetime.now(UTC)) is None and keys.verify(second, datetime.now(UTC))

    listed = run(main, ["keys", "list", "--tenant", "demo"]).stdout
    assert "expired" in listed and "active" in listed and "fp_" not in listed
    assert run(main, ["keys", "disable", second.split("_")[1]]).exit_code == 0
    assert keys.verify(second, datetime.now(UTC)) is None

    refused = run(main, ["keys", "disable", "nothing"])
    assert refused.exit_code == 2 and refused.stderr.startswith("Error: there is no key 'nothing'")
    unknown = run(main, ["keys", "create", "--tenant", "nobody", "--name", "x", "--scope", "read"])
    assert unknown.exit_code == 2 and "'nobody' is unknown" in unknown.stderr
