"""Programs from npm are run by a Node.js that is new enough for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.node import MissingPeer, node, node_for


@pytest.mark.parametrize(("version", "taken"), [("v20.15.0", True), ("v24.1.0", True), ("v18.20.4", False)])
def test_a_nodejs_of_the_machine_that_is_too_old_is_left_aside(tmp_path: Path, version: str, taken: bool) -> None:
    program = tmp_path / "node"
    program.write_text(f"#!/bin/sh\necho {version}\n")
    program.chmod(0o755)

    found = node(str(tmp_path))

    assert found is not None
    assert (found == str(program)) is taken


def test_a_package_that_is_not_there_is_missed_with_what_installs_it() -> None:
    with pytest.raises(MissingPeer, match=r"no of-nobody from npm: `npm ci --prefix tests/peers`"):
        node_for("of-nobody")
