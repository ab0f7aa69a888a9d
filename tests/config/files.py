"""A configuration directory to start from."""

from pathlib import Path

ENVIRONMENT = {"PROJECT_X_USERNAME": "trader@example.com", "PROJECT_X_API_KEY": "not-a-real-key"}

ACCOUNTS = """\
venue:
  instruments: [MNQ, ES]
accounts:
  - id: 123
    mode: enforce
    nickname: combine
  - name: PRAC-V2-77
    mode: observe
data_dir: state
"""

RISK = """\
reset:
  time: "17:00"
  timezone: America/Chicago
rules:
  max_contracts:
    limit: 5
  max_contracts_per_instrument:
    limits:
      ES: 2
      MNQ: 5
    default_limit: 1
  daily_realized_loss:
    limit: -500
  daily_unrealized_loss:
    loss_limit: 300
    lockout: 30m
  symbol_blocks:
    enabled: false
    blocked_symbols: [CL, NG]
overrides:
  combine:
    daily_realized_loss:
      limit: 250
    max_contracts_per_instrument:
      limits:
        ES: 1
"""


def write(directory: Path, accounts: str = ACCOUNTS, risk: str = RISK) -> Path:
    """Write both files into a directory, which is returned."""
    (directory / "accounts.yaml").write_text(accounts, encoding="utf-8", newline="")
    (directory / "risk_config.yaml").write_text(risk, encoding="utf-8", newline="")
    return directory
