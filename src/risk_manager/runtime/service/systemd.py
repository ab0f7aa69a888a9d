"""The systemd unit, as data: what it says is decided here, by whom it is written elsewhere."""

from pathlib import Path

import msgspec

from risk_manager.runtime.service.report import START_PATIENCE_S

UNIT = "risk-manager.service"
UNIT_FILE = Path("/etc/systemd/system") / UNIT
STATE_DIRECTORY = Path("/var/lib/risk-manager")

WATCHDOG_S = 12
"""Without a finished round for so long the process is ended and begun again: guarding 15 s after it began to hang."""

ABORT_S = 2
"""What a process that hangs has for its last words, where it was: only then it is killed."""

STOP_S = 15
RESTART_MS = 250
MEMORY_MAX = "512M"

MOST_FILES = 65536
"""The usual 1024 are enough for the guard; the rest is room that nobody who opens connections to it can use up."""

# systemd 252 and later read all of these. `systemd-analyze security` judges them.
SANDBOX = """
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
ProtectClock=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectControlGroups=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
DevicePolicy=closed
SystemCallArchitectures=native
SystemCallErrorNumber=EPERM
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @mount @debug @cpu-emulation @obsolete @raw-io @reboot @swap @module @clock
UMask=0077
LimitCORE=0
""".strip()


class ServiceSettings(msgspec.Struct, frozen=True):
    """What differs from machine to machine.

    Attributes:
        python: the interpreter that has risk-manager installed.   config: the configuration's directory.
        user: the service's own, who owns its state and nothing else.
    """

    python: Path
    config: Path
    user: str = "risk-manager"


def unit_text(settings: ServiceSettings) -> str:
    """The unit file."""
    command = (
        f"{_quoted(settings.python)} -I -B -X faulthandler -m risk_manager run --config {_quoted(settings.config)}"
    )
    return f"""\
# Written by `risk-manager admin install-service`. Changes belong into a drop-in: systemctl edit {UNIT}
[Unit]
Description=risk-manager, the guard of a futures trader's accounts
After=network.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
User={settings.user}
Group={settings.user}
ExecStart={command} --log-json
ExecReload=/bin/kill -HUP $MAINPID
Restart=always
RestartSec={RESTART_MS}ms
TimeoutStartSec={START_PATIENCE_S}
TimeoutStartFailureMode=abort
TimeoutStopSec={STOP_S}
TimeoutAbortSec={ABORT_S}
WatchdogSec={WATCHDOG_S}
WatchdogSignal=SIGABRT
StateDirectory={STATE_DIRECTORY.name}
StateDirectoryMode=0700
OOMScoreAdjust=-900
MemoryMax={MEMORY_MAX}
TasksMax=64
LimitNOFILE={MOST_FILES}
{SANDBOX}

[Install]
WantedBy=multi-user.target
"""


def _quoted(path: Path) -> str:
    """A path as one word of a command; systemd expands `%` and `$`."""
    text = str(path).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"'
