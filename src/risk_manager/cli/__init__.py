"""One file per command group: parses, calls, prints.

A command imports what it works with when it is called: `trader status` must start in an instant.
"""

import typer

from risk_manager.cli import admin, audit, demo, doctor, probe, rules, run, sim, trader

app = typer.Typer(
    name="risk-manager",
    help="The guard that keeps futures traders from blowing up their accounts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo.demo)
app.command("run")(run.run)
app.command("doctor")(doctor.doctor)
app.command("probe")(probe.probe)
app.add_typer(admin.app, name="admin")
app.add_typer(audit.app, name="audit")
app.add_typer(rules.app, name="rules")
app.add_typer(sim.app, name="sim")
app.add_typer(trader.app, name="trader")


def main() -> None:
    """The `risk-manager` command."""
    app(prog_name="risk-manager")
