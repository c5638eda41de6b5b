"""What the README promises, held to the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from bot import config, deploy
from bot.config import policy_file
from bot.domain.command import HELP
from bot.domain.policy.words import describe

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
POLICIES = re.findall(r"<!-- policy -->\n```toml\n(.*?)```\n\n```text\n(.*?)\n```", README, flags=re.DOTALL)


def test_it_shows_three_example_policies() -> None:
    """Nobody approves; one approver above an amount; two for servers."""
    assert len(POLICIES) == 3


@pytest.mark.parametrize(("text", "words"), POLICIES)
def test_each_example_policy_means_what_the_readme_says(text: str, words: str) -> None:
    """The explanation under an example is what `check --policy` prints for it."""
    assert "\n".join(describe(policy_file.load(text, "policy.toml"))) == words


def test_every_variable_is_in_its_table() -> None:
    """Somebody who sets the bot up finds each variable."""
    table = README[README.index("### Variables") : README.index("## What you can type")]
    assert set(re.findall(r"`([A-Z][A-Z_]+)`", table)) >= set(config.VARIABLES)


def test_every_command_is_in_its_table() -> None:
    """What `/pay help` offers, the README explains."""
    table = README[README.index("## What you can type") : README.index("## Approvals")]
    words = {usage.split()[1] for usage, _ in HELP if len(usage.split()) > 1}
    assert all(f"/pay {word}" in table for word in words - {"<module>"})


def test_its_link_opens_slacks_page_with_the_manifest_filled_in() -> None:
    """The very manifest of manifest.yml, minified; no other character ends the link early."""
    manifest = yaml.safe_load((ROOT / "manifest.yml").read_text(encoding="utf-8"))
    filled_in = quote(json.dumps(manifest, separators=(",", ":")), safe="")
    assert "**[Create the Slack app][create]**" in README
    assert f"\n[create]: https://api.slack.com/apps?new_app=1&manifest_json={filled_in}\n" in README


def test_it_shows_what_stands_in_front_of_http_mode() -> None:
    """The very files that `deploy` prints."""
    shown = dict(re.findall(r"<!-- deploy (\S+) -->\n```\w+\n(.*?)```", README, flags=re.DOTALL))
    assert shown == {name: deploy.file(name) for name in ("nginx.conf", "Caddyfile")}


def test_it_lists_every_file_that_can_be_printed() -> None:
    """In the words of `python -m bot deploy`."""
    table = README[README.index("| file | what it is |") :].split("\n\n")[0]
    assert dict(re.findall(r"^\| `(\S+)` \| (.*) \|$", table, flags=re.MULTILINE)) == deploy.FILES


def test_what_only_operators_need_is_folded_away() -> None:
    """Each section that opens also closes, and a reader sees from its first words what is in it."""
    assert README.count("<details>") == README.count("</details>") == 6
    summaries = re.findall(r"<details>\n<summary><b>(.*?)</b>: .*</summary>\n\n", README)
    assert summaries == ["HTTP mode", "Guarantees", "Figures", "Threats", "Operations", "Ways to run it"]
