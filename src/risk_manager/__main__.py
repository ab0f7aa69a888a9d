"""`python -m risk_manager`."""

from risk_manager.cli import main

main()
