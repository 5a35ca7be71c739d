"""The client is for programs that have nothing to do with the server's parts."""

from __future__ import annotations

import subprocess
import sys

SERVER = {"alex_actors", "alex_config", "alex_runtime", "falcon", "pykka", "pydantic", "sqlalchemy", "structlog"}


def test_the_client_imports_nothing_of_the_server() -> None:
    script = "import sys, alex_http.client; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30)

    modules = loaded.stdout.split()
    assert "alex_http.client" in modules
    assert {name.partition(".")[0] for name in modules} & (SERVER | {"waitress", "greenlet", "re2"}) == set()
    ours = {name for name in modules if name.startswith("alex_") and not name.startswith("alex_http.client")}
    assert ours == {"alex_http", "alex_http.hosts"}
