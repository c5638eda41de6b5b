"""`.env.example` documents every variable, and can be copied as it is."""

from __future__ import annotations

from pathlib import Path

from bot.config import VARIABLES, load
from tests.config.making import REQUIRED, loaded, problems

EXAMPLE = (Path(__file__).parents[2] / ".env.example").read_text(encoding="utf-8")


def documented() -> dict[str, str]:
    """The variables of .env.example and their values, in its order."""
    lines = (line for line in EXAMPLE.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


def test_the_example_documents_every_variable() -> None:
    """Each once, with a comment above it, and none that there is not."""
    lines = EXAMPLE.splitlines()
    assignments = [line.split("=")[0] for line in lines if line and not line.startswith("#")]
    assert sorted(assignments) == sorted(VARIABLES)
    for index, line in enumerate(lines):
        if line and not line.startswith("#"):
            above = lines[index - 1]
            assert above.startswith("#") or above.split("=")[0] in VARIABLES, f"{line} has no comment"


def test_the_example_begins_with_what_is_required() -> None:
    """Nobody has to read to the end to get the bot running."""
    first = list(documented())[:6]
    assert {*REQUIRED, "SLACK_SIGNING_SECRET", "PAY_ALLOWED_USERS"} == set(first)


def test_the_example_loads_once_the_required_is_filled_in(tmp_path: Path) -> None:
    """What it gives for the rest are the defaults themselves."""
    (tmp_path / ".env").write_text(EXAMPLE)
    assert set(problems({}, tmp_path / ".env")) == set(problems({}))
    assert load(tmp_path / ".env", REQUIRED) == loaded()


def test_the_example_leaves_room_for_a_policy_file(tmp_path: Path) -> None:
    """Whoever copies it and only names the file of rules is not told to remove what they never wrote."""
    (tmp_path / "policy.toml").write_text('[[rule]]\nname = "all"\nrequesters = ["U1"]\n')
    (tmp_path / ".env").write_text(EXAMPLE)
    assert load(tmp_path / ".env", {**REQUIRED, "PAY_POLICY_FILE": str(tmp_path / "policy.toml")})


def test_a_password_in_quotes_is_read_as_the_example_says(tmp_path: Path) -> None:
    """Without them, what stands behind a blank and # would be cut off in silence."""
    (tmp_path / ".env").write_text(r"BILLING_PASSWORD='a #b it\'s \\ c'" + "\n")
    given = {name: value for name, value in REQUIRED.items() if name != "BILLING_PASSWORD"}
    assert load(tmp_path / ".env", given).billing_password.get_secret_value() == r"a #b it's \ c"
