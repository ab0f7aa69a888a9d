"""The four hub clients, each installed in a place of its own."""

from pathlib import Path

import pytest

from tests.conformance.conftest import CACHE, HERE, PYSIGNALR, SIGNALRCORE, program, virtual_environment
from tests.conformance.hubs.listening import Client


@pytest.fixture
def client(request: pytest.FixtureRequest) -> Client:
    """The client a test names as its parameter: the library, a dash and `skip` or `negotiate`."""
    name: str = request.param
    library, _, mode = name.partition("-")
    options = {"skip": mode == "skip"}
    if library == "signalr":
        folder: Path = request.getfixturevalue("node_folder")
        node = program("node", request.getfixturevalue("node_path"))
        return Client(name, (node, "listen.js"), folder, options)
    requirement = {"pysignalr": PYSIGNALR, "signalrcore": SIGNALRCORE}[library]
    python = virtual_environment(library, requirement)
    script = HERE / "hubs" / f"listen_{library}.py"
    return Client(name, (str(python), str(script)), CACHE, options)
