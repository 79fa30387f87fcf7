"""Users: found by name and password only, passwords kept as slow hashes, failures slowed; on the command line too."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from argon2 import PasswordHasher
from click.testing import CliRunner

from forecast_platform.api import passwords
from forecast_platform.api.attempts import ADDRESS, FORGOTTEN_AFTER, NAME, Attempts, TooManyAttempts, network_of
from forecast_platform.api.passwords import PasswordRefused, require_good
from forecast_platform.api.scopes import Role, Scope
from forecast_platform.api.users import UserRefused, Users
from forecast_platform.cli import main
from forecast_platform.state import State, failed_sign_ins
from forecast_platform.state import users as table

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PASSWORD, OTHER = "correct horse battery", "a stapler of another colour"
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes that take no time, where it is not hashes that are tested."""
    monkeypatch.setattr(passwords, "_hasher", lambda: QUICK)


@pytest.fixture
def users(state_url: str) -> Users:
    return Users(State(state_url))


def test_each_role_may_do_what_the_one_before_may_and_more():
    allowed = [set(role.scopes) for role in Role]
    assert allowed == [
        {Scope.READ},
        {Scope.READ, Scope.WRITE},
        {Scope.READ, Scope.WRITE, Scope.JOBS},
        {Scope.READ, Scope.WRITE, Scope.JOBS, Scope.ADMIN},
    ]


def test_a_user_is_known_by_name_and_password_and_by_nothing_less(users: Users, quick: None):
    made = users.create("shop", "Ann@Shop.example", role=Role.PLANNER, password=PASSWORD, now=NOW)
    assert made.name == "ann@shop.example" and users.known(" ANN@shop.example", PASSWORD) == made
    for name, password in [(made.name, OTHER), (made.name, ""), ("bob", PASSWORD), ("", ""), (made.name, "x" * 5000)]:
        assert users.known(name, password) is None
    users.disable(made.name)
    assert users.known(made.name, PASSWORD) is None
    users.enable(made.name)
    assert users.known(made.name, PASSWORD).generation == 3


def test_the_password_is_kept_as_an_argon2_hash_only(users: Users, state_url: str):
    users.create("shop", "ann", role=Role.VIEWER, password=PASSWORD)
    with State(state_url).reading() as connection:
        kept = connection.scalar(sa.select(table.c.password))
        assert PASSWORD not in str(connection.execute(sa.select(table)).all())
    assert kept.startswith("$argon2id$") and passwords.matches(PASSWORD, kept)
    assert PASSWORD not in str(users.list()) and kept not in str(users.list())


def test_a_weaker_hash_is_replaced_when_its_owner_signs_in(
    users: Users, state_url: str, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as before:
        before.setattr(passwords, "_hasher", lambda: QUICK)
        made = users.create("shop", "ann", role=Role.VIEWER, password=PASSWORD)

    def kept() -> str:
        with State(state_url).reading() as connection:
            return connection.scalar(sa.select(table.c.password))

    weak = kept()
    assert users.known("ann", OTHER) is None and kept() == weak
    assert users.known("ann", PASSWORD) == made and kept() != weak and not passwords.is_outdated(kept())
    assert users.known("ann", PASSWORD) == made, "no token ends by it"


def test_a_name_that_nobody_has_takes_as_much_work_as_a_wrong_password(
    users: Users, quick: None, monkeypatch: pytest.MonkeyPatch
):
    users.create("shop", "ann", role=Role.VIEWER, password=PASSWORD)
    users.create("shop", "bob", role=Role.VIEWER, password=PASSWORD)
    users.disable("bob")
    looked_at: list[str] = []

    class Counting:
        def __getattr__(self, name: str):
            looked_at.append(name)
            return getattr(QUICK, name)

    passwords._nobodys()
    monkeypatch.setattr(passwords, "_hasher", lambda: Counting())
    for name, password in [("ann", OTHER), ("nobody", OTHER), ("bob", PASSWORD)]:
        looked_at.clear()
        assert users.known(name, password) is None and looked_at == ["verify"], name


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("short", "at least 12"),
        ("x" * 1025, "at most 1024"),
        ("ann.lee-and-more", "name of its owner"),
        ("ANN.LEE-and-more", "name of its owner"),
        ("aaaaaaaaaaaa", "again and again"),
        ("abababababab", "again and again"),
        ("abcdefghijkl", "a row"),
        ("123456789012", "a row"),
        ("e\u0301" * 11, "at least 12"),  # 11 letters of two signs each
    ],
)
def test_what_is_guessed_first_is_refused_and_not_repeated(password: str, reason: str):
    with pytest.raises(PasswordRefused, match=reason) as refused:
        require_good(password, name="ann.lee@shop.example")
    assert password not in str(refused.value)


def test_a_password_is_the_same_however_a_keyboard_writes_it(users: Users, quick: None):
    users.create("shop", "ann", role=Role.VIEWER, password="gro\u0308ße und pläne")
    assert users.known("ann", "größe und pläne")


def test_names_are_unique_over_all_tenants_and_plain(users: Users, quick: None):
    users.create("shop", "ann", role=Role.VIEWER, password=PASSWORD)
    with pytest.raises(UserRefused, match="unique over all tenants"):
        users.create("market", "ANN", role=Role.VIEWER, password=PASSWORD)
    for name in ("", "a", "ann lee", "<b>", "ann\n", "größe", "x" * 101):
        with pytest.raises(UserRefused, match="no name of a user"):
            users.create("shop", name if name != "ann\n" else "an\nn", role=Role.VIEWER, password=PASSWORD)
    with pytest.raises(UserRefused, match="no user 'bob'"):
        users.disable("bob")


class TestAttempts:
    @pytest.fixture
    def attempts(self, state_url: str) -> Attempts:
        return Attempts(State(state_url))

    def failures(self, attempts: Attempts, times: int, name: str = "ann", address: str = "192.0.2.7", now=NOW) -> None:
        for _ in range(times):
            attempts.begin(name, address, now=now)

    def test_beyond_a_few_failures_a_name_waits_twice_as_long_each_time(self, attempts: Attempts):
        self.failures(attempts, NAME.free)
        waits, now = [], NOW
        for _ in range(8):
            attempts.begin("ann", "192.0.2.7", now=now)
            with pytest.raises(TooManyAttempts) as refused:
                attempts.begin("ann", "198.51.100.1", now=now)
            waits.append(refused.value.wait.total_seconds())
            now += refused.value.wait
        assert waits == [2, 4, 8, 16, 32, 60, 60, 60]
        attempts.begin("bob", "198.51.100.1", now=now - timedelta(seconds=1))

    def test_another_process_and_one_started_later_count_on(self, attempts: Attempts, state_url: str):
        self.failures(attempts, NAME.free + 1)
        with pytest.raises(TooManyAttempts):
            Attempts(State(state_url)).begin("ann", "192.0.2.7", now=NOW)

    def test_an_address_is_slowed_over_all_names(self, attempts: Attempts):
        for number in range(ADDRESS.free + 1):
            attempts.begin(f"user {number}", f"2001:db8::{number:x}", now=NOW)
        with pytest.raises(TooManyAttempts):
            attempts.begin("another", "2001:db8::ffff", now=NOW)
        attempts.begin("another", "2001:db8:0:1::1", now=NOW)
        assert network_of("::ffff:192.0.2.7") == "192.0.2.7" and network_of("unknown") == "unknown"

    def test_who_signs_in_is_free_again_and_the_address_keeps_other_failures(self, attempts: Attempts, state_url: str):
        self.failures(attempts, 3, name="bob")
        self.failures(attempts, NAME.free)
        attempts.succeeded("ann", "192.0.2.7")
        self.failures(attempts, NAME.free)
        with State(state_url).reading() as connection:
            kept = sorted(connection.scalars(sa.select(failed_sign_ins.c.failures)))
        assert kept == [3, NAME.free, 3 + 2 * NAME.free - 1]

    def test_any_number_at_once_are_no_more_than_in_a_row(self, attempts: Attempts, state_url: str):
        let_in = []

        def attempt() -> None:
            try:
                Attempts(State(state_url)).begin("ann", "192.0.2.7", now=NOW)
            except TooManyAttempts:
                return
            let_in.append(1)

        threads = [threading.Thread(target=attempt) for _ in range(16)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(let_in) == NAME.free + 1

    def test_what_was_long_ago_is_forgotten_and_its_rows_go(self, attempts: Attempts, state_url: str):
        self.failures(attempts, NAME.free + 1)
        later = NOW + FORGOTTEN_AFTER + timedelta(seconds=1)
        attempts.begin("bob", "198.51.100.1", now=later)
        with State(state_url).reading() as connection:
            rows = connection.execute(sa.select(failed_sign_ins)).all()
        assert len(rows) == 2 and "ann" not in str(rows) and "192.0.2.7" not in str(rows)


def test_the_commands_make_list_change_and_end_users(tmp_path, monkeypatch: pytest.MonkeyPatch, quick: None):
    monkeypatch.setenv("FORECAST_HOME", str(tmp_path))
    users, run = Users(State(f"sqlite:///{tmp_path / 'state.db'}")), CliRunner().invoke

    made = run(main, ["users", "create", "Ann", "--tenant", "demo", "--role", "planner"])
    first = made.stdout.strip()
    assert made.exit_code == 0 and users.known("ann", first).role is Role.PLANNER
    given = run(
        main,
        ["users", "create", "bob", "--tenant", "demo", "--role", "admin", "--password-stdin"],
        input=f"{PASSWORD}\n",
    )
    assert given.exit_code == 0 and PASSWORD not in given.output and users.known("bob", PASSWORD)

    assert run(main, ["users", "role", "ann", "operator"]).exit_code == 0
    assert users.known("ann", first).role is Role.OPERATOR
    second = run(main, ["users", "reset-password", "ann"]).stdout.strip()
    assert users.known("ann", first) is None and users.known("ann", second)
    assert run(main, ["users", "disable", "ann"]).exit_code == 0 and users.known("ann", second) is None
    listed = run(main, ["users", "list", "--tenant", "demo"]).stdout
    assert "ann  disabled  demo  operator" in listed and "bob  active    demo  admin" in listed
    assert second not in listed and "argon2" not in listed
    assert run(main, ["users", "enable", "ann"]).exit_code == 0 and users.known("ann", second)

    for arguments, line in [
        (["users", "disable", "nobody"], "there is no user 'nobody'"),
        (["users", "create", "ann", "--tenant", "demo", "--role", "viewer"], "there is a user 'ann' already"),
        (["users", "create", "eve", "--tenant", "nobody", "--role", "viewer"], "'nobody' is unknown"),
    ]:
        refused = run(main, arguments)
        assert refused.exit_code == 2 and line in refused.stderr, refused.output
    weak = run(main, ["users", "reset-password", "ann", "--password-stdin"], input="short\n")
    assert weak.exit_code == 2 and "at least 12" in weak.stderr
