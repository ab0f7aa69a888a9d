"""Runs a program on project-x-py against the gateway the SDK's environment variables name: `at_gateway.py PROGRAM`.

`TradingSuite.create` takes no addresses, so the default configuration it makes is the one from the environment.
"""

# mypy: disable-error-code="import-not-found"

import runpy
import sys

from project_x_py.client import base
from project_x_py.config import load_default_config

base.ProjectXConfig = load_default_config
runpy.run_path(sys.argv[1], run_name="__main__")
